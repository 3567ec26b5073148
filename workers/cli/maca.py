"""`synap-hooks maca`: an instance's configurations, judged, compared, pinned, rolled back."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

import click

from workers.cli import actions, maca_view, rollback, selection
from workers.cli.exits import Misuse
from workers.cli.rollback_plan import Order
from workers.cli.session import World
from workers.cli.synap_desk import ACTIVE, Room, entered, negative, settings_in
from workers.synap.difference import difference
from workers.synap.guard import Case, Judgement, judge
from workers.synap.records import Pin, Question
from workers.synap.schema import Settings

INSTANCE: Final = click.argument("instance", metavar="INSTANCE")
REASON_CHARS: Final = 500


@click.group()
def maca() -> None:
    """Look at memory configurations, judge them, go back to one.

    INSTANCE is an instance's id, inst_... ; a version is its id, or the word active.
    """


@maca.command("show")
@INSTANCE
@click.argument("version", default=ACTIVE)
@selection.json_option
@click.pass_obj
def show_version(world: World, instance: str, version: str, *, as_json: bool) -> None:
    """Show one version: its fields, what the guard remembers of the instance."""
    with entered(world) as room:
        found = room.configuration(instance, version)
        remembered = room.desk.book.remembered(instance)
        good = remembered.last_good(now=room.session.now, good_after=room.document.guard.good_after)
        maca_view.version(found, remembered, good, now=room.session.now, as_json=as_json)


@maca.command("versions")
@INSTANCE
@click.option("--limit", type=click.IntRange(1, selection.MOST), help="At most so many.")
@selection.json_option
@click.pass_obj
def list_versions(world: World, instance: str, limit: int | None, *, as_json: bool) -> None:
    """List every version, newest first."""
    with entered(world) as room:
        every = room.desk.client.every_version(instance, deadline=room.deadline)
        rows = list(islice(every, limit or selection.MOST))
        maca_view.versions(rows, now=room.session.now, as_json=as_json)
    if not rows:
        raise negative()


@maca.command("diff")
@INSTANCE
@click.argument("old")
@click.argument("new", default=ACTIVE)
@selection.json_option
@click.pass_obj
def diff_versions(world: World, instance: str, old: str, new: str, *, as_json: bool) -> None:
    """Say what is different in NEW from OLD, field by field.

    Either may be a version, active, or a local YAML or JSON file. Ends with 1 if they differ.
    """
    with entered(world) as room:
        before, after = (_settings(room, instance, name) for name in (old, new))
    changes = difference(before, after)
    maca_view.changes(old, new, changes, as_json=as_json)
    if changes:
        raise negative()


@maca.command("check")
@click.argument("source", metavar="FILE|VERSION")
@click.option("--instance", help="Compare with what is active there; whose profile to use.")
@selection.json_option
@click.pass_obj
def check_source(world: World, source: str, instance: str | None, *, as_json: bool) -> None:
    """Judge a file or a version by the guard's rules.

    Ends with 1 if a rule is violated: for CI, before an update is submitted. A file is a full
    or partial configuration; with --instance it is laid over what is active there.
    """
    with entered(world) as room:
        judgement = _judged(room, source, instance)
    maca_view.judgement(source, judgement, as_json=as_json)
    if judgement.violations:
        raise negative()


@maca.command("pin")
@INSTANCE
@click.argument("version", required=False)
@click.option("--clear", is_flag=True, help="Expect no version any more.")
@click.option("--actor", help="Who does it, for the history.  [default: $USER]")
@selection.json_option
@click.pass_obj
def pin_version(
    world: World,
    instance: str,
    version: str | None,
    *,
    clear: bool,
    actor: str | None,
    as_json: bool,
) -> None:
    """Expect one version to be active; the guard alerts when another is.

    Without VERSION, say which one is pinned.
    """
    if clear and version:
        raise click.UsageError("give a VERSION to pin, or --clear")
    with entered(world) as room:
        if version or clear:
            person = actions.person_of(world, actor, needed=True)
            _pin(room, instance, version, person)
        pinned = room.desk.book.remembered(instance).pin
    maca_view.pin(instance, pinned, now=room.session.now, as_json=as_json)
    if pinned is None and not clear:
        raise negative()


@maca.command("rollback")
@INSTANCE
@click.option("--to", "target", help="The version.  [default: the last that proved good]")
@click.option("--reason", default="", help="Why, for Synap's audit log and the history.")
@click.option("--actor", help="Who does it, for Synap and the history.  [default: $USER]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, do nothing.")
@selection.json_option
@click.pass_obj
def roll_back(
    world: World,
    instance: str,
    *,
    target: str | None,
    reason: str,
    actor: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Go back to a version that was active before.

    Names it, asks, goes back, verifies that it is the active one, notes it in the history, ends
    the guard's alerts that are over, and prints the beginning of a post-mortem.
    """
    person = actions.person_of(world, actor, needed=True)
    if len(reason) > REASON_CHARS:
        raise Misuse(f"the reason is longer than {REASON_CHARS} characters")
    order = Order(instance=instance, to=target, reason=reason, actor=person, as_json=as_json)
    with entered(world) as room:
        plan = rollback.planned(room, order)
        if dry_run:
            maca_view.plan(plan, order, as_json=as_json)
            return
        if not yes:
            maca_view.plan(plan, order, as_json=False, err=as_json)
            click.confirm(f"Roll {instance} back to {plan.goal.named}?", abort=True, err=True)
        rollback.carry_out(room, order, plan)


def _settings(room: Room, instance: str, name: str) -> Settings:
    if Path(name).is_file():
        return settings_in(name)
    return room.configuration(instance, name).settings


def _judged(room: Room, source: str, instance: str | None) -> Judgement:
    """Judge a file by what can be known of it, a version by all that Synap says of it."""
    if Path(source).is_file():
        settings = settings_in(source)
        before = None
        if instance:
            before = room.configuration(instance, ACTIVE).settings
            settings = settings.over(before)
        profile = room.document.guard.profile(instance or "")
        case = Case(settings=settings, before=before, profile=profile)
        return judge((rule for rule in room.document.guard.rules if rule.reads), case)
    if not instance:
        raise Misuse(f"{source} is no file here; for a version add --instance")
    found = room.configuration(instance, source)
    asked = Question(instance, found.config_id, "", "", found.applied_at or room.session.now)
    seen = room.desk.inspector.inspect(asked, deadline=room.deadline)
    return seen.judgement


def _pin(room: Room, instance: str, version: str | None, person: str) -> None:
    operator, now = room.session.operator(person), room.session.now
    if version is None:
        if room.desk.book.unpin(instance):
            operator.note("maca-unpin", instance, now=now)
        return
    found = room.configuration(instance, version)
    room.desk.book.pin(instance, Pin(found.config_id, person, now))
    operator.note("maca-pin", instance, now=now, detail=found.named)
    if found.status != ACTIVE:
        click.echo(f"note: {found.named} is {found.status or 'not active'} now", err=True)
