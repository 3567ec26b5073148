"""`synap-hooks silence`: who need not be heard for a while."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import click

from workers.alerting.listing import AlertListing, AlertRow
from workers.alerting.matchers import Matcher, MatcherError
from workers.alerting.silence_book import SilenceBook
from workers.alerting.silences import Silence, SilenceError, State, check
from workers.alerting.syntax import parse
from workers.cli import actions, output, selection
from workers.cli.actions import Chosen, Order, Skipped
from workers.cli.configuration import routed
from workers.cli.exits import ExitCode, Misuse, Nothing
from workers.cli.output import iso, stamp
from workers.cli.selection import Duration, Filter, Moment
from workers.cli.session import Session, World, opened

HEAD: Final = ("ID", "STATE", "MUTES", "STARTS", "ENDS", "AUTHOR", "REASON")
SHORT_ID: Final = 8


@click.group()
def silence() -> None:
    """Silence alerts for a while; look at silences, end them."""


@silence.command("add")
@click.argument("matchers", metavar="MATCHER...", nargs=-1, required=True)
@click.option("--or", "others", multiple=True, help="Also what matches these: 'a=b,c=~d'.")
@click.option("--for", "lasts", type=Duration(), help="For 30m, 2h, 3d.")
@click.option("--until", type=Moment(), help="Instead: until a moment, 2027-01-31T09:30Z.")
@click.option("--from", "starts", type=Moment(), help="From a moment on.  [default: now]")
@click.option("--reason", required=True, help="Why, for whoever asks later.")
@click.option("--id", "silence_id", help="Change this silence instead of adding one.")
@click.option("--actor", help="Who does it.  [default: $USER]")
@click.option("--dry-run", is_flag=True, help="Say what it would mute, do nothing.")
@selection.json_option
@click.pass_obj
def add_silence(
    world: World,
    *,
    matchers: tuple[str, ...],
    others: tuple[str, ...],
    lasts: float | None,
    until: float | None,
    starts: float | None,
    reason: str,
    silence_id: str | None,
    actor: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Silence the alerts that all MATCHERs match.

    A matcher is name=value, name!=value, name=~regex or name!~regex. The end of what was told
    before is told all the same.
    """
    if (lasts is None) == (until is None):
        raise click.UsageError("say how long: --for 2h, or --until 2027-01-31T09:30Z")
    person = actions.person_of(world, actor, needed=not dry_run)
    sets = [matchers_of(matchers), *(matchers_of([text]) for text in others)]
    with opened(world) as session:
        before = _one(session, silence_id) if silence_id else None
        begins = starts if starts is not None else before.starts_at if before else session.now
        wanted = Silence(
            id=before.id if before else "",
            sets=tuple(sets),
            starts_at=begins,
            ends_at=until if until is not None else max(begins, session.now) + (lasts or 0.0),
            author=person or "nobody",
            reason=reason,
            updated_at=session.now,
        )
        kept = _put(world, session, wanted, dry_run=dry_run)
        muted = [
            row
            for row in AlertListing(session.redis, session.keys.prefix).alerts()
            if not row.alert.resolved(session.now) and kept.mutes(row.alert.labels)
        ]
        if not dry_run:
            session.operator(person).note(
                "silence", kept.id, now=session.now, detail=f"{kept.text}: {reason}"
            )
        _added(kept, muted, now=session.now, dry_run=dry_run, as_json=as_json)


@silence.command("list")
@click.option(
    "--state", "states", type=click.Choice([one.value for one in State]), multiple=True,
    help="In this state.  [default: active and pending]",
)  # fmt: skip
@selection.json_option
@click.pass_obj
def list_silences(world: World, states: tuple[str, ...], *, as_json: bool) -> None:
    """List silences, those that end last first."""
    wanted = states or (State.ACTIVE, State.PENDING)
    with opened(world) as session:
        rows = [one for one in _book(session).all() if one.state(session.now) in wanted]
        if as_json:
            output.document({"silences": [_shape(one, session.now) for one in rows]})
        elif rows:
            output.table(HEAD, [_cells(one, session.now) for one in rows])
        else:
            click.echo("no silences")
    if not rows:
        raise click.exceptions.Exit(ExitCode.NEGATIVE)


@silence.command("expire")
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@click.option("--actor", help="Who does it, for the history.  [default: $USER]")
@click.option("--dry-run", is_flag=True, help="Say what would be done, do nothing.")
@selection.json_option
@click.pass_obj
def expire_silences(
    world: World, names: tuple[str, ...], actor: str | None, *, dry_run: bool, as_json: bool
) -> None:
    """End silences now.

    They go by their id, or its first digits.
    """
    person = actions.person_of(world, actor, needed=not dry_run)
    with opened(world) as session:
        chosen = Chosen(keys=[_one(session, name).id for name in names])
        asked = Order(
            names=names, wanted=Filter(), limit=len(names), dry_run=dry_run, actor=person,
            as_json=as_json,
        )  # fmt: skip

        def expire(silence_id: str) -> str:
            book = _book(session)
            [before] = [one for one in book.all() if one.id == silence_id]
            if before.state(session.now) is State.EXPIRED:
                raise Skipped("it is over already")
            book.expire(silence_id, now=session.now)
            session.operator(person).note("expire-silence", silence_id, now=session.now)
            return f"{before.text} is heard again"

        actions.carry_out("expire", asked, chosen, expire)


def _put(world: World, session: Session, wanted: Silence, *, dry_run: bool) -> Silence:
    longest = routed(world, None).alerting.max_silence_duration
    try:
        if dry_run:
            check(wanted, now=session.now, max_duration=longest)
            return wanted
        book = SilenceBook(session.redis, session.keys.prefix, max_duration=longest)
        return book.put(wanted, now=session.now)
    except SilenceError as error:
        raise Misuse(str(error)) from error


def matchers_of(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Read matchers from the command line.

    Raises:
        Misuse: a text is no matcher.
    """
    try:
        return tuple(matcher for text in texts for matcher in parse(text).matchers)
    except MatcherError as error:
        raise Misuse(str(error)) from error


def _one(session: Session, name: str) -> Silence:
    """Return the silence that a person means by an id or its beginning."""
    found = [one for one in _book(session).all() if one.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise Nothing(f"{len(found)} silences begin with {name}; give more of it")
    raise Nothing(f"no silence has the id {name}; `synap-hooks silence list` shows them")


def _book(session: Session) -> SilenceBook:
    return SilenceBook(session.redis, session.keys.prefix)


def _added(
    kept: Silence, muted: list[AlertRow], *, now: float, dry_run: bool, as_json: bool
) -> None:
    if as_json:
        names = sorted({row.alert.fingerprint for row in muted})
        output.document({"silence": _shape(kept, now), "dry_run": dry_run, "muted": names})
        return
    click.echo(
        f"{'would mute' if dry_run else kept.id}  {kept.text}  until {stamp(kept.ends_at, now)}"
    )
    names = sorted({row.alert.name for row in muted})
    what = f"{len(muted)} now: {', '.join(names)}" if muted else "no alert that fires now"
    click.echo(f"{'dry run: ' if dry_run else ''}mutes {what}")


def _shape(one: Silence, now: float) -> dict[str, Any]:
    return {
        "id": one.id or None,
        "state": one.state(now),
        "matchers": [[str(matcher) for matcher in matchers] for matchers in one.sets],
        "starts_at": iso(one.starts_at),
        "ends_at": iso(one.ends_at),
        "author": one.author,
        "reason": one.reason,
        "updated_at": iso(one.updated_at),
    }


def _cells(one: Silence, now: float) -> tuple[str, ...]:
    return (
        one.id[:SHORT_ID], one.state(now).value, one.text, stamp(one.starts_at, now),
        stamp(one.ends_at, now), one.author, one.reason,
    )  # fmt: skip
