"""What on-call has to know of a rotation, as values; who hears of it is decided elsewhere. Pure.

- SynapRotationAwaitingKey: a person has to make the new key.
- SynapRotationAwaitingApproval: a person has to approve or do something.
- SynapRotationFailed: it stands, or is being undone.
- SynapRotationVerifyFailed: the new key does not work or is not ours.
- SynapRotationThirdWriter: a store holds a key that nobody here knows.
- SynapRotationRevokeOverdue: the old key should be gone and is not.
- SynapRotationOrphanKey: a key that nobody uses still lives.
- SynapRotationOldKeyDead: the old key died before the new one was there.
- SynapRotationDue: it is time, and nothing begins by itself (mode observe).
- SynapRotationInfeasible: too little time is left before the credential expires.
- SynapRotationChanged: something happened; it ends by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from workers.alert import Alert
from workers.reading import span, utc
from workers.rotation.config import Credential, Manual
from workers.rotation.errors import Reason
from workers.rotation.notice import WEBHOOK_SECRET
from workers.rotation.pace import DAY, HOUR, key_deadline
from workers.rotation.record import Rotation
from workers.rotation.state import BEFORE_PROMOTION, WAY_BACK, State
from workers.rotation.work import PROMOTE, REVOKE, REVOKED_BY_HAND, WITHDRAWN_BY_HAND
from workers.severity import Severity

EVENT_TYPE: Final = "rotation"
CRITICAL, HIGH, MEDIUM, INFO = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.INFO
CHANGED_SECONDS: Final = 3_600.0
GATE_PATIENCE: Final = 4 * HOUR
GATE_LIMIT: Final = 7 * DAY

_VERIFY: Final = frozenset({Reason.NEW_KEY_DEAD, Reason.OTHER_IDENTITY, Reason.FORBIDDEN})
_UNDOING: Final = frozenset({State.COMPENSATING, State.ROLLING_BACK})
_TOLD: Final[Mapping[State, str]] = {
    State.PROMOTED: "promoted",
    State.VERIFIED: "verified",
    State.REVOKED: "revoked",
    State.DONE: "done",
    State.ABORTED: "aborted",
    State.ROLLED_BACK: "rolled_back",
}


class Firing(NamedTuple):
    """What is to be known now; `extra` are further labels that tell such alerts apart."""

    name: str
    severity: Severity
    summary: str
    then: str
    extra: Mapping[str, str] = {}


def firing(rotation: Rotation, credential: Credential | None, now: float) -> Iterator[Firing]:
    """Yield what has to be known of a rotation at `now` (Unix seconds)."""
    name, state = rotation.credential, rotation.state
    if state is State.AWAITING_KEY:
        yield _awaiting_key(rotation, credential, now)
    if rotation.awaits:
        yield _awaiting(rotation, credential)
    if rotation.old_died and not rotation.verified_at:
        yield Firing(
            "SynapRotationOldKeyDead",
            CRITICAL,
            f"The key of {name} is refused by Synap, and its successor is not in place yet",
            "Applications that use it fail now. Finish the rotation: "
            f"synap-hooks rotation show {rotation.short}",
        )
    if state is State.PAUSED or state in _UNDOING:
        yield _standing(rotation)
    if state is State.ORPHAN:
        yield Firing(
            "SynapRotationOrphanKey",
            HIGH,
            f"A key made for {name} is used by nobody and still lives",
            f"Revoke the key named for rotation {rotation.short} at Synap, then say so: "
            f"synap-hooks rotation approve {rotation.short}",
        )
    overdue = _overdue(rotation, now)
    if overdue:
        yield overdue


def _awaiting_key(rotation: Rotation, credential: Credential | None, now: float) -> Firing:
    until = key_deadline(rotation.entered_at, rotation.expires_at)
    left = until - now
    severity = CRITICAL if left <= 4 * HOUR else HIGH if left <= DAY else MEDIUM
    if credential is not None and credential.type == WEBHOOK_SECRET:
        what = "a new webhook signing secret"
        then = (
            "Make a new signing secret at Synap, put it as a further file into the directory of "
            f"SYNAP_WEBHOOK_SECRET_DIR (endpoint {credential.endpoint}), wait until the receiver "
            "has read it, and switch Synap to it. The first delivery signed with it goes on here."
        )
    else:
        what = "a new API key"
        link = _link(credential)
        then = (
            f"Generate a key in the Synap Dashboard (Instance > API Keys){link}, labelled "
            f"{rotation.credential}-rot-{rotation.short}, and hand it over on standard input: "
            f"synap-hooks rotation submit {rotation.short}"
        )
    summary = f"{rotation.credential} needs {what} by {utc(until)}"
    return Firing("SynapRotationAwaitingKey", severity, summary, then)


def _link(credential: Credential | None) -> str:
    issuer = credential.issuer if credential is not None else None
    return f" {issuer.link}" if isinstance(issuer, Manual) and issuer.link else ""


def _awaiting(rotation: Rotation, credential: Credential | None) -> Firing:
    order = f"synap-hooks rotation approve {rotation.short}"
    place = f"in the Synap Dashboard (Instance > API Keys){_link(credential)}"
    watched = f"It is watched; where it cannot be, say that it is done: {order}"
    what, then = {
        PROMOTE: ("the promotion of the new key has to be approved", f"Look, then: {order}"),
        REVOKE: ("the revocation of the old key has to be approved", f"Look, then: {order}"),
        REVOKED_BY_HAND: (
            "the old key has to be revoked by a person now",
            f"Every check is green. Revoke the key {rotation.old or '(old)'} {place}. {watched}",
        ),
        WITHDRAWN_BY_HAND: (
            "the new key, which nobody uses, has to be revoked by a person",
            f"Revoke the key {rotation.new or '(new)'} {place}. {watched}",
        ),
    }[rotation.awaits]
    extra = {"awaits": rotation.awaits}
    summary = f"{rotation.credential}: {what}"
    return Firing("SynapRotationAwaitingApproval", MEDIUM, summary, then, extra)


def _standing(rotation: Rotation) -> Firing:
    cause = rotation.cause or rotation.reason
    step = rotation.back.value if rotation.back else rotation.state.value
    text = f"{rotation.credential}: {rotation.detail or cause}"
    then = f"Read what happened: synap-hooks rotation history {rotation.short}. "
    if rotation.state is State.PAUSED:
        text = f"{rotation.credential} stands at {step}: {rotation.detail or cause}"
        then += f"Mend the cause, then: synap-hooks rotation resume {rotation.short}"
    else:
        then += "It is undone by itself; what a person has to do for it is told apart."
    if rotation.back in WAY_BACK | BEFORE_PROMOTION:
        then += f", or go back: synap-hooks rotation rollback {rotation.short}"
    extra = {"step": step, "reason": cause}
    if cause == Reason.THIRD_WRITER:
        return Firing("SynapRotationThirdWriter", CRITICAL, text, then, extra)
    if cause in _VERIFY:
        return Firing("SynapRotationVerifyFailed", CRITICAL, text, then, extra)
    severity = {Reason.ASKED: MEDIUM, Reason.OLD_KEY_DEAD: CRITICAL}.get(Reason(cause), HIGH)
    return Firing("SynapRotationFailed", severity, text, then, extra)


def _overdue(rotation: Rotation, now: float) -> Firing | None:
    since = now - rotation.entered_at
    late = now - rotation.revoke_at if rotation.revoke_at else since
    failed = rotation.state is State.REVOKE_FAILED
    waits = rotation.state is State.REVOKE_GATE and rotation.awaits == ""
    if not failed and not (waits and late >= GATE_PATIENCE):
        return None
    severity = CRITICAL if failed or late >= GATE_LIMIT else HIGH
    summary = f"{rotation.credential}: the old key should be revoked and is not"
    said = rotation.detail or rotation.reason
    then = f"What keeps it: {said}. synap-hooks rotation show {rotation.short}"
    return Firing("SynapRotationRevokeOverdue", severity, summary, then)


def report(
    before: Rotation, after: Rotation, credential: Credential | None, now: float
) -> tuple[Mapping[str, Mapping[str, str]], list[Alert]]:
    """Return what fires from now on, by name, and the alerts that bring on-call there.

    What fired and does not any more ends; severity is a label, so a step up ends the step below.
    """
    wanted = {one.name: one for one in firing(after, credential, now)}
    told: dict[str, Mapping[str, str]] = {}
    alerts: list[Alert] = []
    for name, one in wanted.items():
        urgent = after.glass or (after.urgent and after.trigger == "person")
        severity = CRITICAL if urgent else one.severity
        told[name] = labels = _labels(after, name, severity, one.extra)
        if before.told.get(name) != labels:
            alerts.append(_alert(after, labels, one.summary, one.then, now))
    for name, gone in before.told.items():
        if told.get(name) != gone:
            summary = f"{after.credential}: {after.state.value}"
            alerts.append(_alert(after, gone, summary, "", now, ends_at=now))
    return told, alerts


def change(before: Rotation, after: Rotation, now: float) -> list[Alert]:
    """Return the news of a step: promoted, a wave out, verified, revoked, the end."""
    what = _TOLD.get(after.state, "") if after.state is not before.state else ""
    if after.state is State.RESTARTING and after.wave > before.wave:
        what = f"wave_{before.wave}"
    if after.state is State.REVOKED and after.reason == Reason.OLD_KEY_DEAD:
        what = "revoked_elsewhere"
    if not what:
        return []
    severity = MEDIUM if what in ("aborted", "rolled_back", "revoked_elsewhere") else INFO
    labels = _labels(after, "SynapRotationChanged", severity, {"change": what})
    said = what.replace("_", " ")
    # a wave's detail names it already
    text = after.detail if what.startswith("wave") else f"{said}: {after.detail}".rstrip(": ")
    summary = f"{after.credential}: {text}"
    took = f"{span(now - after.created_at)} after it began"
    return [_alert(after, labels, summary, took, now, ends_at=now + CHANGED_SECONDS, assumed=True)]


def over(incident: Mapping[str, str], now: float) -> list[Alert]:
    """Return the end of an incident at each severity that it may have been raised with."""
    return [
        Alert(
            labels={**incident, "severity": severity.value},
            annotations={"summary": "The credential was rotated and the old one is revoked"},
            starts_at=now,
            updated_at=now,
            ends_at=now,
        )
        for severity in Severity
    ]


def _labels(
    rotation: Rotation, name: str, severity: Severity, extra: Mapping[str, str]
) -> dict[str, str]:
    return {
        "alertname": name,
        "severity": severity.value,
        "event_type": EVENT_TYPE,
        "instance_id": rotation.instance_id,
        "credential_id": rotation.credential,
        "rotation_id": rotation.short,
        **extra,
    }


def _alert(
    rotation: Rotation,
    labels: Mapping[str, str],
    summary: str,
    then: str,
    now: float,
    *,
    ends_at: float | None = None,
    assumed: bool = False,
) -> Alert:
    kept = {name: value for name, value in labels.items() if value}
    return Alert(
        labels=kept,
        annotations={
            "summary": summary,
            "description": then,
            "runbook": f"README.md#{labels['alertname'].lower()}",
            "inspect": f"synap-hooks rotation show {rotation.short}",
        },
        starts_at=now,
        updated_at=now,
        ends_at=ends_at,
        timeout=assumed,
    )
