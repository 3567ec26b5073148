"""How rotations are shown: rows, a page of facts, JSON objects; keys only as fingerprints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from receiver.settings import HORIZON
from workers.cli import output
from workers.cli.output import iso, stamp
from workers.rotation.alerts import Firing
from workers.rotation.config import Credential
from workers.rotation.notice import WEBHOOK_SECRET
from workers.rotation.record import Entry, Rotation, unbroken
from workers.rotation.schedule import Outlook

HEAD: Final = ("ID", "CREDENTIAL", "STATE", "SINCE", "NEXT", "WHY")
PLAN_HEAD: Final = (
    "CREDENTIAL",
    "TYPE",
    "MODE",
    "NEXT START",
    "EXPIRES",
    "LATEST START",
    "VERDICT",
)
LINE_HEAD: Final = ("AT", "ACTOR", "FROM", "TO", "OUTCOME", "REASON", "DETAIL")

_TIMES: Final = (
    "created_at", "entered_at", "due_at", "promoted_at", "verified_at", "revoke_at", "revoked_at",
    "ended_at", "expires_at",
)  # fmt: skip
_WORDS: Final = (
    "id", "credential", "state", "trigger", "urgent", "reason", "detail", "cause", "awaits", "old",
    "new", "client_id", "instance_id", "key_id", "old_key_id", "wave", "later", "approvals",
    "new_label",
)  # fmt: skip


def shape(rotation: Rotation) -> dict[str, Any]:
    """Return the documented JSON form of a rotation; what is not known is null."""
    words = {name: getattr(rotation, name) for name in _WORDS}
    back = rotation.back.value if rotation.back else None
    return {
        **{name: None if value == "" else value for name, value in words.items()},
        "waves": [list(wave) for wave in rotation.waves],
        "resumes_at": back,
        **{name: iso(getattr(rotation, name) or None) for name in _TIMES},
    }


def listed(rotations: Sequence[Rotation], *, now: float, as_json: bool) -> None:
    """Print a listing."""
    if as_json:
        output.document({"rotations": [shape(one) for one in rotations]})
    elif rotations:
        output.table(HEAD, [_cells(one, now) for one in rotations])
    else:
        click.echo("no rotations")


def _cells(one: Rotation, now: float) -> tuple[str, ...]:
    following = "" if one.ended_at else stamp(one.due_at, now)
    why = (one.awaits and f"awaits approval: {one.awaits}") or one.cause or one.reason
    return (one.short, one.credential, one.state, stamp(one.entered_at, now), following, why)


def shown(
    rotation: Rotation,
    last: Entry | None,
    asked: Sequence[Firing],
    *,
    now: float,
    as_json: bool,
) -> None:
    """Print one rotation as far as it is known, and what it asks of a person."""
    found = shape(rotation)
    if as_json:
        asks = [{"alert": one.name, "severity": one.severity.value, "summary": one.summary,
                 "then": one.then} for one in asked]  # fmt: skip
        output.document({"rotation": found | {"last": _line(last) if last else None, "asks": asks}})
        return
    plain = {name: _written(value) for name, value in found.items() if name not in _TIMES}
    times = {name: stamp(getattr(rotation, name), now) for name in _TIMES if found[name]}
    output.facts({name: text for name, text in {**plain, **times}.items() if text})
    for one in asked:
        click.echo(f"\n[{one.severity.value}] {one.summary}\n{one.then}")


def told(rotation: Rotation, lines: Sequence[Entry], *, now: float, as_json: bool) -> None:
    """Print the history of a rotation."""
    if as_json:
        output.document(
            {
                "rotation": shape(rotation),
                "unbroken": unbroken(list(lines)),
                "history": [_line(line) for line in lines],
            }
        )
        return
    rows = [
        (stamp(a.at, now), a.actor, a.source, a.target, a.outcome, a.reason, a.detail)
        for a in lines
    ]
    output.table(LINE_HEAD, rows)
    if not unbroken(list(lines)):
        click.echo("the chain is broken: a line was changed or removed")


def done(word: str, rotation: Rotation, *, now: float, as_json: bool) -> None:
    """Print what became of an order."""
    if as_json:
        output.document({"result": word, "rotation": shape(rotation)})
        return
    click.echo(f"{word}: {rotation.short} of {rotation.credential}, {rotation.state}")
    if rotation.awaits:
        click.echo(f"it waits for approval: {rotation.awaits}")
    elif rotation.due_at > now:
        click.echo(f"next look: {stamp(rotation.due_at, now)}")


def planned(
    rows: Sequence[tuple[Credential, Outlook]],
    uses: Mapping[str, Mapping[str, float]],
    *,
    now: float,
    as_json: bool,
) -> None:
    """Print what is ahead of every credential; signing keys with their last use."""
    if as_json:
        output.document(
            {"credentials": [_planned(one, ahead, uses[one.name], now) for one, ahead in rows]}
        )
        return
    if not rows:
        click.echo("no credentials are configured: see `rotation:` in the configuration")
        return
    output.table(PLAN_HEAD, [_plan_cells(one, ahead, now) for one, ahead in rows])
    for one, _ in rows:
        for label, at, verdict in _signing_keys(one, uses[one.name], now):
            click.echo(f"  {one.name}: signing key {label}, last used {stamp(at, now)}: {verdict}")


def _plan_cells(one: Credential, ahead: Outlook, now: float) -> tuple[str, ...]:
    return (
        one.name,
        one.type,
        one.mode,
        stamp(ahead.next_start, now),
        stamp(ahead.expires_at, now),
        stamp(ahead.latest_start, now),
        _verdict(ahead),
    )


def _verdict(ahead: Outlook) -> str:
    if ahead.rotation is not None:
        return f"under way: {ahead.rotation.short} {ahead.rotation.state}"
    return "feasible" if ahead.feasible else "too late for a full overlap"


def _planned(
    one: Credential, ahead: Outlook, uses: Mapping[str, float], now: float
) -> dict[str, Any]:
    return {
        "credential": one.name,
        "type": one.type,
        "mode": one.mode,
        "next_start": iso(ahead.next_start),
        "expires_at": iso(ahead.expires_at),
        "latest_start": iso(ahead.latest_start),
        "expected_seconds": ahead.work,
        "feasible": ahead.feasible,
        "rotation": ahead.rotation.id if ahead.rotation else None,
        "signing_keys": [
            {"label": label, "last_used": iso(at), "verdict": verdict}
            for label, at, verdict in _signing_keys(one, uses, now)
        ],
    }


def _signing_keys(
    one: Credential, uses: Mapping[str, float], now: float
) -> list[tuple[str, float, str]]:
    """Return each signing key with its last use, and whether it is safe to retire.

    The newest is in use. Another is safe once Synap cannot send again what it signed with it.
    """
    if one.type != WEBHOOK_SECRET:
        return []
    newest = max(uses, key=lambda label: uses[label], default="")
    return [
        (
            label,
            at,
            "in use"
            if label == newest
            else "safe to retire"
            if now - at > HORIZON
            else "may still be needed",
        )
        for label, at in sorted(uses.items(), key=lambda pair: -pair[1])
    ]


def _line(line: Entry) -> dict[str, Any]:
    found = line._asdict()
    return found | {"at": iso(line.at)}


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_written(part) for part in value)
    return "" if value is None else str(value)
