"""From an event to a rotation: the writes that go along with the event's settlement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from workers.ledger.transitions import Effect
from workers.rotation.book import begin
from workers.rotation.config import Credential, RotationConfig
from workers.rotation.moves import ACTOR
from workers.rotation.notice import Notice
from workers.rotation.orders import first_entry
from workers.rotation.record import plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticing:
    """Begins a rotation for what events say of configured credentials, once for each."""

    configuration: Callable[[], RotationConfig]
    prefix: str

    def effects(self, notices: Sequence[Notice], now: float) -> list[Effect]:
        """Return one write for each notice that speaks of a configured credential."""
        pairs = ((notice, self.matching(notice)) for notice in notices)
        return [self._effect(notice, one, now) for notice, one in pairs if one is not None]

    def matching(self, notice: Notice) -> Credential | None:
        """Return the first credential of the configuration that a notice speaks of."""
        fitting = (
            one
            for one in self.configuration().credentials
            if one.type == notice.type
            and one.match.fits(notice)
            and one.instance_id in ("", notice.instance_id)
        )
        return next(fitting, None)

    def _effect(self, notice: Notice, credential: Credential, now: float) -> Effect:
        entry = first_entry(ACTOR, now, "Synap says that the credential is expiring")
        rotation = replace(
            plan(credential.name, now=now, trigger="event", expires_at=notice.expires_at),
            tip=entry.chain,
            client_id=notice.client_id,
            instance_id=notice.instance_id,
        )
        return begin(
            self.prefix,
            rotation,
            entry,
            reported_at=notice.reported_at,
            incident=notice.incident,
            starts=credential.rotates,
        )
