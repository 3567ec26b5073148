"""What a person may order; each order is written with its actor and goes on at the worker.

An order waits until no worker holds the rotation: what a worker has begun, it finishes first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from workers.ledger.transitions import Ledger
from workers.reading import span
from workers.rotation.book import LEASE_SECONDS, Writing, begin
from workers.rotation.config import Credential, Manual
from workers.rotation.errors import OrderError, OvertakenError, Reason
from workers.rotation.fingerprint import Secret
from workers.rotation.notice import WEBHOOK_SECRET
from workers.rotation.record import Entry, Rotation, plan
from workers.rotation.run import Machine
from workers.rotation.state import TERMINAL, WAY_BACK, Outcome, State, move
from workers.rotation.steps.deposit import judge
from workers.rotation.work import Hand, Result, ended

PATIENCE: Final = LEASE_SECONDS + 10.0
POLL: Final = 0.5
PERSON: Final = "person"

_KEPT: Final = frozenset({State.MINTED, State.PREVERIFIED})
_ENDS_SUBMIT: Final = frozenset(State) - _KEPT
_EXTENDABLE: Final = frozenset({State.OVERLAP, State.REVOKE_GATE})
_OUT: Final = frozenset({State.ROLLED_OUT, State.VERIFIED, State.OVERLAP, State.REVOKE_GATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The orders of one person; `patience` is how many seconds to wait for a worker."""

    machine: Machine
    ledger: Ledger
    prefix: str
    actor: str
    patience: float = PATIENCE
    sleep: Callable[[float], None] = time.sleep

    def start(self, name: str, *, urgent: bool = False, why: str = "") -> Rotation:
        """Begin a rotation.

        Raises:
            OrderError: the credential is not configured for it, or one is under way.
        """
        credential = self._configured(name)
        under_way = self.machine.book.active(name)
        if under_way is not None:
            raise OrderError(
                Reason.BUSY, f"rotation {under_way.short} of {name} is under way: {under_way.state}"
            )
        now = self.machine.clock()
        facts = self.machine.book.facts(credential.name)
        expires_at = facts.expires_at if facts.reported_at > facts.rotated_at else 0.0
        rotation = plan(name, now=now, trigger=PERSON, urgent=urgent, expires_at=expires_at)
        entry = first_entry(self.actor, now, why)
        # the tip makes the first line part of the chain
        rotation = replace(rotation, tip=entry.chain)
        self.ledger.apply([begin(self.prefix, rotation, entry, reported_at=now)])
        found = self.machine.book.active(name)
        if found is None or found.id != rotation.id:
            raise OrderError(Reason.BUSY, f"another rotation of {name} began at the same moment")
        return found

    def submit(self, rotation_id: str, value: Secret, why: str = "") -> Rotation:
        """Take the new key from a person: verify it here, then put it into the pending slots.

        Raises:
            OrderError: it was refused, and nothing was changed; the reason says why.
        """
        held = self._take(rotation_id)
        credential = self.machine.config.named(held.credential)
        fingerprint = self.machine.world.fingerprint(value)
        if held.new and held.new == fingerprint and held.state is not State.AWAITING_KEY:
            return self._give_back(held)
        waiting = held.state is State.AWAITING_KEY or held.back is State.AWAITING_KEY
        if credential is None or credential.type == WEBHOOK_SECRET or not waiting:
            self._give_back(held)
            raise OrderError(Reason.NOT_NOW, f"no key is waited for: it is {held.state}")
        if held.state is State.PAUSED:
            held = self._write(held, ended(Outcome.RESUME, Reason.ASKED), keep=True)
        return self._deposit(held, credential, value, why)

    def _deposit(self, held: Rotation, credential: Credential, value: Secret, why: str) -> Rotation:
        machine, hand = self.machine, Hand(value=value)
        judged = judge(machine.work(held, credential, hand), value, patient=False)
        if judged.outcome is not Outcome.OK:
            refused = Result(
                outcome=Outcome.WAIT, reason=judged.reason, detail=f"refused: {judged.detail}"
            )
            self._write(held, refused)
            raise OrderError(Reason(judged.reason), judged.detail)
        fingerprint = machine.world.fingerprint(value)
        taken = replace(judged, detail=_because(judged.detail, why)).but(new=fingerprint)
        held = self._write(held, taken, keep=True)
        held = machine.carry_on(held, hand, actor=self.actor, stop_at=_ENDS_SUBMIT)
        if held.state is not State.STORED_PENDING:
            raise OrderError(
                Reason(held.reason) if held.reason else Reason.NOT_NOW,
                f"the key is good, but it could not be stored: {held.detail}. "
                "Mend that, and submit the same key again.",
            )
        return held

    def approve(self, rotation_id: str, why: str = "") -> Rotation:
        """Approve the step that waits for it, or attest what nothing else can tell."""
        held = self._take(rotation_id)
        if not held.awaits:
            self._give_back(held)
            raise OrderError(Reason.NOT_NOW, f"nothing waits for approval: it is {held.state}")
        approvals = tuple(dict.fromkeys((*held.approvals, held.awaits)))
        text = _because(f"approved: {held.awaits}", why)
        return self._note(held, text, approvals=approvals, awaits="")

    def pause(self, rotation_id: str, why: str = "") -> Rotation:
        """Stop a rotation where it is."""
        return self._order(rotation_id, Outcome.PAUSE, why)

    def resume(self, rotation_id: str, why: str = "") -> Rotation:
        """Let a paused rotation go on."""
        return self._order(rotation_id, Outcome.RESUME, why)

    def roll_back(self, rotation_id: str, why: str = "") -> Rotation:
        """Make the old key current again; before the promotion, undo what was made."""
        return self._order(rotation_id, Outcome.ROLL_BACK, why)

    def extend(self, rotation_id: str, seconds: float, why: str = "") -> Rotation:
        """Let the overlap last longer."""
        held = self._take(rotation_id)
        where = held.back if held.state is State.PAUSED else held.state
        if where not in _EXTENDABLE or seconds <= 0:
            self._give_back(held)
            raise OrderError(Reason.NOT_NOW, f"there is no overlap to extend: it is {held.state}")
        text = _because(f"overlap extended by {span(seconds)}", why)
        return self._note(held, text, revoke_at=held.revoke_at + seconds)

    def revoke_now(self, rotation_id: str, *, accept_outage: bool, why: str) -> Rotation:
        """Break the glass: no overlap, no gate.

        Before the new key is with the applications this only makes haste, unless an outage is
        accepted.
        """
        held = self._take(rotation_id)
        where = held.back if held.state is State.PAUSED else held.state
        haste = {"urgent": True, "outage_accepted": accept_outage}
        if where in WAY_BACK and (accept_outage or where in _OUT):
            return self._write(
                held, ended(Outcome.BREAK_GLASS, Reason.ASKED, f"glass broken: {why}", **haste)
            )
        return self._note(held, f"no overlap: {why}", **haste)

    def _order(self, rotation_id: str, outcome: Outcome, why: str) -> Rotation:
        held = self._take(rotation_id)
        if not move(held.state, outcome, back=held.back).valid:
            self._give_back(held)
            word = outcome.value.replace("_", " ")
            raise OrderError(Reason.NOT_NOW, f"no {word} from here: it is {held.state}")
        return self._write(held, ended(outcome, Reason.ASKED, why))

    def _configured(self, name: str) -> Credential:
        credential = self.machine.config.named(name)
        known = ", ".join(one.name for one in self.machine.config.credentials) or "none"
        if credential is None:
            raise OrderError(
                Reason.NOT_CONFIGURED, f"no credential {name!r} is configured; there are: {known}"
            )
        if not credential.rotates:
            text = f"mode of {name} is observe: set it to approve or automatic to rotate it"
            raise OrderError(Reason.NOT_CONFIGURED, text)
        return credential

    def _take(self, rotation_id: str) -> Rotation:
        """Hold the rotation, once no worker does.

        Raises:
            OrderError: it has ended, or a worker holds it for longer than `patience`.
        """
        clock, waited = self.machine.clock, 0.0
        while True:
            held = self.machine.book.claim(rotation_id, clock(), early=True)
            if held is not None:
                return held
            found = self.machine.book.read(rotation_id)
            if found is None or found.state in TERMINAL:
                state = found.state if found else "unknown"
                raise OrderError(Reason.NOT_NOW, f"rotation {rotation_id[:8]} has ended: {state}")
            if waited >= self.patience:
                text = "a worker is at it just now; try again in two minutes"
                raise OrderError(Reason.BUSY, text)
            self.sleep(POLL)
            waited += POLL

    def _note(self, held: Rotation, detail: str, **changes: Any) -> Rotation:
        return self._write(held, Result(outcome=Outcome.MORE, detail=detail, changes=changes))

    def _give_back(self, held: Rotation) -> Rotation:
        """Let the rotation go as it was."""
        now = self.machine.clock()
        after = replace(held, lease=0.0)
        self.machine.book.save(held, after, Writing(), now)
        return after

    def _write(self, held: Rotation, result: Result, *, keep: bool = False) -> Rotation:
        try:
            return self.machine.write(held, result, actor=self.actor, release=not keep)
        except OvertakenError:
            raise OrderError(Reason.OVERTAKEN, "another worker took it over; try again") from None


def _because(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


def first_entry(actor: str, now: float, detail: str) -> Entry:
    """Return the line with which a history begins."""
    plain = Entry(
        at=now,
        actor=actor,
        source="",
        target=State.PLANNED.value,
        outcome=Outcome.OK.value,
        reason="",
        detail=detail,
        old="",
        new="",
        fence=0,
    )
    return plain.chained("")


def by_hand(credential: Credential) -> bool:
    """Say whether a person makes and revokes this credential's keys."""
    return isinstance(credential.issuer, Manual)
