"""The checklist's rollback runbook: name the version, go back, verify, note, close, look back."""

from __future__ import annotations

from typing import Final

import click
from redis.exceptions import RedisError

from workers import wiring
from workers.alert import Alert
from workers.alerting.groups import Groups
from workers.cli import maca_view, output
from workers.cli.exits import ExitCode, Nothing
from workers.cli.post_mortem import PostMortem
from workers.cli.rollback_plan import Done, Order, Plan
from workers.cli.synap_desk import ACTIVE, Room
from workers.consequences import noted
from workers.handlers.config_applied import applied_note
from workers.handlers.fields import clean
from workers.synap import requests
from workers.synap.answers import Applied, Version
from workers.synap.difference import difference
from workers.synap.errors import AlreadyActiveError, ApiError
from workers.synap.records import Question, Record
from workers.synap.violations import RULE, closing

MODE: Final = "rollback"


def planned(room: Room, order: Order) -> Plan:
    """Name the version to go back to.

    Raises:
        Trouble: none is known to be good and none was named.
    """
    client, deadline = room.desk.client, room.deadline
    current = client.active(order.instance, deadline=deadline)
    goal_id, why = order.to, "as asked"
    if goal_id is None:
        remembered = room.desk.book.remembered(order.instance)
        good = remembered.last_good(
            now=room.session.now,
            good_after=room.document.guard.good_after,
            but=current.config_id,
        )
        if good is None:
            raise Nothing(
                "no version of this instance has proved good yet: name one with --to; "
                f"synap-hooks maca versions {order.instance} lists them"
            )
        goal_id, why = good.config_id, "the last version that proved good"
    goal = client.configuration(order.instance, goal_id, deadline=deadline)
    return Plan(current, goal, why, difference(current.settings, goal.settings))


def carry_out(room: Room, order: Order, plan: Plan) -> None:
    """Roll back, note it, verify it, end the alerts that are over, and print what to write down.

    Raises:
        Trouble: Synap refused, or another version is active afterwards.
    """
    applied = _roll_back(room, order, plan)
    lacking = _note(room, order, plan)
    unverified = _verify(room, order, plan)
    at = applied.applied_at or room.session.now
    ended: tuple[Alert, ...] = ()
    if not lacking and not unverified:
        ended = _close(room, order, plan, at)
    left = "; ".join(filter(None, (unverified, lacking)))
    done = Done(at, applied.message, ended, verified=not unverified, lacking=left)
    looked_back = PostMortem(order, plan, done, _versions(room, order))
    if order.as_json:
        output.document(maca_view.rolled_back(order, plan, done) | looked_back.machine)
    else:
        maca_view.print_rolled_back(order, plan, done)
        click.echo(looked_back.text)
    if left:
        raise click.exceptions.Exit(ExitCode.PARTLY)


def _verify(room: Room, order: Order, plan: Plan) -> str:
    """Ask which version is active; return why that is not known, empty if it is the wanted one."""
    try:
        active = room.desk.client.active(order.instance, deadline=room.deadline)
    except ApiError as error:
        return f"not verified, so no alert was ended: {clean(str(error))}"
    if active.config_id != plan.goal.config_id:
        raise Nothing(
            f"Synap took the rollback, but {active.named} is active and not {plan.goal.named}: "
            "somebody may have applied it meanwhile"
        )
    return ""


def _roll_back(room: Room, order: Order, plan: Plan) -> Applied:
    request = requests.Rollback(applied_by=order.actor, reason=order.reason or None)
    goal = plan.goal.config_id
    if plan.current.config_id == goal:
        return Applied(success=True, status=ACTIVE, message="it was the active one already")
    try:
        return room.desk.client.rollback(order.instance, goal, request, deadline=room.deadline)
    except AlreadyActiveError:  # somebody was faster
        return Applied(success=True, status=ACTIVE, message="it was made active meanwhile")


def _note(room: Room, order: Order, plan: Plan) -> str:
    """Leave the line of history; return why that could not be done."""
    detail = f"{plan.current.named} -> {plan.goal.named}: {order.reason or 'no reason given'}"
    try:
        operator = room.session.operator(order.actor)
        operator.note("maca-rollback", order.instance, now=room.session.now, detail=detail)
    except RedisError as error:
        return f"not noted, and no alert was ended: Redis: {type(error).__name__}"
    return ""


def _close(room: Room, order: Order, plan: Plan, at: float) -> tuple[Alert, ...]:
    """End the alerts of violations that the version does not have; return their ends."""
    asked = Question(order.instance, plan.goal.config_id, plan.current.config_id, MODE, at)
    seen = room.desk.inspector.inspect(asked, deadline=room.deadline)
    fired = {violation.rule for violation in seen.judgement.violations}
    held = {
        fingerprint
        for fingerprint, alert in seen.remembered.alerts.items()
        if alert.labels.get(RULE) in fired
    }
    over = closing(seen.remembered.alerts.values(), seen.judgement, fired=held, at=at)
    record = Record(
        config_id=plan.goal.config_id,
        at=at,
        version="" if plan.goal.version is None else str(plan.goal.version),
        by=order.actor,
        mode=MODE,
        reason=order.reason,
        previous=plan.current.config_id,
        clean=seen.judgement.clean,
    )
    session = room.session
    groups = Groups(session.settings.key_prefix, lambda: room.document.alerting)
    note = applied_note(record, asked, seen, (), over)
    ledger = wiring.ledger_of(session.settings, session.redis)
    ledger.apply([noted(note, groups, now=session.now)])
    return over


def _versions(room: Room, order: Order) -> tuple[Version, ...]:
    """Return the newest versions for the timeline; without them it is shorter."""
    try:
        return room.desk.client.versions(order.instance, deadline=room.deadline).data
    except ApiError:
        return ()
