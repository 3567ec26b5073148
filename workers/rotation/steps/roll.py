"""Bringing the applications to the new key, wave by wave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workers.rotation.config import OnFailure
from workers.rotation.errors import Reason
from workers.rotation.ports import Phase, Progress, Side
from workers.rotation.state import Outcome
from workers.rotation.steps.follow import follow
from workers.rotation.steps.prove import verified
from workers.rotation.work import Result, Work, ended, hold, more, ok, wait

FIRST_LOOK: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Where a rollout is, onward or back; `step` also begins the names of its fields."""

    step: str
    wave: int
    begun: int
    waves: tuple[tuple[str, ...], ...]

    @property
    def members(self) -> tuple[str, ...]:
        """The workloads of this wave."""
        return self.waves[self.wave]

    @property
    def mark(self) -> str:
        """This wave's name within this process."""
        return f"{self.step}/{self.wave}"


def onward(work: Work, wave: int | None = None) -> Front:
    """Return how far the rollout of the new key is, or one wave of it."""
    rotation = work.rotation
    at = rotation.wave if wave is None else wave
    return Front(step="roll", wave=at, begun=rotation.begun, waves=rotation.waves)


def fix(work: Work) -> Result:
    """Wait until the copies hold the new key, and fix the moment that marks all restarts."""
    late = follow(work, Side.NEW)
    return late or ok("the restarts have their mark", rolled_at=work.rotation.rolled_at or work.now)


def restart(work: Work) -> Result:
    """Bring out the next wave, or look how far it is; the canary is verified before the others."""
    front = onward(work)
    if front.wave >= len(front.waves):
        return ok("every wave is out" if front.waves else "nothing to restart")
    progress = status(work, front)
    if progress.phase is Phase.DONE:
        if front.wave == 0 and len(front.waves) > 1:
            checked = verified(work)
            if checked.outcome is not Outcome.OK:
                return checked
        return _next(work, front, progress)
    return advance(work, front, progress)


def advance(work: Work, front: Front, progress: Progress) -> Result:
    """Return what a wave that is not done needs: its beginning, its start, time, or a person."""
    phase, begun = progress.phase, front.begun > front.wave
    own = work.hand.begun == front.mark
    # a person who resumed after a failure has said that it is to be started again
    again = phase in (Phase.UNKNOWN, Phase.FAILED) and (own or not begun)
    if phase is Phase.ABSENT or again:
        return _start(work, front) if begun else _begin(work, front)
    if phase is Phase.UNKNOWN:
        text = f"whether {_named(front)} was restarted cannot be told; resume starts it again"
        return hold(Reason.ROLLOUT_UNKNOWN, text)
    if phase is Phase.RUNNING:
        return wait(detail=f"{_named(front)}: {progress.detail}")
    if phase is Phase.HELD:
        return hold(Reason.ROLLOUT_HELD, f"{_named(front)}: {progress.detail}")
    return _broken(work, f"{_named(front)}: {progress.detail}")


def status(work: Work, front: Front) -> Progress:
    """Return how far a wave is."""
    assert work.credential.rollout is not None
    return work.credential.rollout.status(front.members, work.stamp(front.step))


def _begin(work: Work, front: Front) -> Result:
    """Note that the wave begins, before it does; between waves there is a pause."""
    if front.step == "roll":
        since = work.now - work.rotation.entered_at
        if front.wave > 0 and since < work.credential.wave_pause and not work.rotation.urgent:
            return wait(detail="pause between waves", after=work.credential.wave_pause - since)
        until = work.frozen_until()
        if until is not None:
            return wait(Reason.FROZEN, "a freeze holds", after=until - work.now, fresh=True)
    work.hand.begun = front.mark
    noted = front.wave + 1
    text = f"{_named(front)} begins"
    return more(text, begun=noted) if front.step == "roll" else more(text, back_begun=noted)


def _start(work: Work, front: Front) -> Result:
    assert work.credential.rollout is not None
    work.hand.begun = ""
    work.credential.rollout.start(front.members, work.stamp(front.step))
    return wait(detail=f"{_named(front)} restarts", after=FIRST_LOOK)


def _next(work: Work, front: Front, progress: Progress) -> Result:
    later = tuple(dict.fromkeys((*work.rotation.later, *progress.later)))
    return more(f"{_named(front)} is out", fresh=True, wave=front.wave + 1, later=later)


def _broken(work: Work, detail: str) -> Result:
    if work.credential.on_failure is OnFailure.ROLLBACK:
        return ended(Outcome.ROLL_BACK, Reason.ROLLOUT_FAILED, detail)
    return hold(Reason.ROLLOUT_FAILED, detail)


def _named(front: Front) -> str:
    kind = "canary" if front.wave == 0 else f"wave {front.wave}"
    return f"{kind} ({', '.join(front.members)})"
