"""Looking a configuration up and judging it, within a deadline, in at most three requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from workers.synap.answers import Configuration, Version, VersionPage
from workers.synap.book import Book
from workers.synap.client import Client
from workers.synap.difference import difference
from workers.synap.errors import ApiError, NotFoundError
from workers.synap.guard import Case, Judgement, judge
from workers.synap.guard_section import GuardConfig
from workers.synap.records import Inspection, Question, Remembered

REQUESTS: Final = 3
NO_KEY: Final = "nothing: no API key of Synap is set (SYNAP_API_KEY)"
RECENT: Final = 100
"""How many of the newest versions are looked through for who reviewed one."""

T = TypeVar("T")


class Inspector:
    """Asks Synap about configurations; what it cannot find out it says."""

    def __init__(
        self,
        client: Client,
        book: Book,
        config: Callable[[], GuardConfig],
        *,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._book = book
        self._config = config
        self._clock = clock

    def inspect(self, asked: Question, *, deadline: float) -> Inspection:
        """Return what a configuration is, what it changed, and what the rules say of it.

        Never raises for what Synap answers or does not; `deadline` is in Unix seconds.
        """
        look = _Look(self._clock, deadline, configured=self._client.configured(asked.instance_id))
        remembered = self._book.remembered(asked.instance_id)
        applied = look.up("the configuration", lambda until: self._applied(asked, until))
        page = look.up(
            "who made and reviewed it",
            lambda until: self._client.versions(
                asked.instance_id, page_size=RECENT, deadline=until
            ),
        )
        config_id = applied.config_id if applied else asked.config_id
        row = page.find(config_id) if page else None
        previous = asked.previous or _previous(config_id, page, remembered)
        before = None
        if previous and previous != config_id:
            before = look.up(
                "the configuration before it",
                lambda until: self._client.configuration(
                    asked.instance_id, previous, deadline=until
                ),
            )
        first = not previous and page is not None
        return Inspection(
            judgement=self._judge(
                asked, remembered, applied=applied, before=before, row=row, first=first
            ),
            remembered=remembered,
            applied=applied,
            before=before,
            changes=difference(before.settings, applied.settings) if before and applied else None,
            previous=previous,
            good_after=self._config().good_after,
            missed=tuple(look.missed),
        )

    def _judge(
        self,
        asked: Question,
        remembered: Remembered,
        *,
        applied: Configuration | None,
        before: Configuration | None,
        row: Version | None,
        first: bool,
    ) -> Judgement:
        """Return what the rules say of a configuration as far as it is known."""
        case = Case(
            settings=applied.settings if applied else None,
            before=before.settings if before else None,
            first=first,
            config_id=applied.config_id if applied else asked.config_id,
            author=row.triggered_by if row else None,
            reviewed_by=row.reviewed_by if row else None,
            mode=asked.mode or None,
            pinned=remembered.pin.config_id if remembered.pin else "",
            profile=self._config().profile(asked.instance_id),
        )
        return judge(self._config().rules, case)

    def _applied(self, asked: Question, until: float) -> Configuration:
        if asked.config_id:
            return self._client.configuration(asked.instance_id, asked.config_id, deadline=until)
        return self._client.active(asked.instance_id, deadline=until)


class _Look:
    """A few requests that share what time there is; `missed` says what was not found out."""

    def __init__(self, clock: Callable[[], float], deadline: float, *, configured: bool) -> None:
        self._clock, self._deadline = clock, deadline
        self._left = REQUESTS if configured else 0
        self.missed: list[str] = [] if configured else [NO_KEY]

    def up(self, what: str, ask: Callable[[float], T]) -> T | None:
        """Ask within this request's share of the time; None when it could not be found out.

        A failure other than "not there" would only be repeated by the next request: it is the
        last one then.
        """
        if self._left <= 0:
            return None
        now = self._clock()
        until = now + max(0.0, self._deadline - now) / self._left
        self._left -= 1
        try:
            return ask(until)
        except NotFoundError as error:
            self.missed.append(f"{what}: {error}")
        except ApiError as error:
            self.missed.append(f"{what}: {error}")
            self._left = 0
        return None


def _previous(config_id: str, page: VersionPage | None, remembered: Remembered) -> str:
    """Return what was most likely active before: as remembered, else by the time of applying."""
    current = remembered.current
    if current is not None and current.config_id != config_id:
        return current.config_id
    if current is not None and current.previous:
        return current.previous
    rows = page.data if page else ()
    applied = [row for row in rows if row.applied_at is not None and row.config_id != config_id]
    newest = max(applied, key=lambda row: row.applied_at or 0.0, default=None)
    return newest.config_id if newest else ""
