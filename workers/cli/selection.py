"""Which records a command means: by key, by event id, or by filter and bound."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import wraps
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import click

from receiver.event import DEFAULT_ENDPOINT, KINDS, kind_of, safe_key
from receiver.values import duration
from workers.cli.exits import Nothing
from workers.cli.session import Session
from workers.ledger.find import LEAST_PREFIX, Room, find
from workers.ledger.listing import DEAD, DONE, IN_FLIGHT, EventRow, QuarantineRow

LISTED: Final = 50
MOST: Final = 10_000
LOOKED_AT: Final = 100_000
"""How many of the newest records a filter is tried on; narrow it by type to reach further back."""

ALL_STATES: Final = (IN_FLIGHT, DEAD, DONE)

Command: TypeAlias = Callable[..., None]
Row = TypeVar("Row", EventRow, QuarantineRow)


class Duration(click.ParamType[float]):
    """A length of time on the command line, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds from `30`, `10s`, `5m`, `2h` or `31d`."""
        try:
            return duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[float]):
    """A moment on the command line, in Unix seconds."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return Unix seconds from ISO 8601; without an offset it is UTC."""
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no moment: write 2027-01-31T09:30Z", param, ctx)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


class Filter(NamedTuple):
    """What a record must be; an empty part lets everything through.

    `older_than` and `newer_than` are seconds since the record came into its state.
    """

    types: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    older_than: float | None = None
    newer_than: float | None = None

    @property
    def empty(self) -> bool:
        """Whether it lets everything through."""
        return self == Filter()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds under which events of these types are kept."""
        return tuple({kind_of(name): None for name in self.types}) or KINDS

    def holds(self, row: EventRow | QuarantineRow, now: float) -> bool:
        """Say whether a record passes at `now`."""
        aged = now - (since(row) or now)
        return (
            (not self.endpoints or endpoint_of(row) in self.endpoints)
            and (not self.reasons or any(fnmatchcase(row.reason, name) for name in self.reasons))
            and (self.older_than is None or aged >= self.older_than)
            and (self.newer_than is None or aged < self.newer_than)
            and (not self.types or not isinstance(row, EventRow) or self._typed(row))
        )

    def _typed(self, row: EventRow) -> bool:
        return row.kind in self.types or (row.event is not None and row.event.type in self.types)


def filters(*, types: bool) -> Callable[[Command], Command]:
    """Add the filter options to a command; it gets them as one `Filter`, `wanted`."""
    options = [
        click.option("--endpoint", "endpoints", multiple=True, help="Of this endpoint."),
        click.option("--reason", "reasons", multiple=True, help="With this reason; * and ? match."),
        click.option(
            "--older-than", type=Duration(), help="In its state for at least 10m, 2h, 3d."
        ),
        click.option(
            "--newer-than", type=Duration(), help="In its state for less than 10m, 2h, 3d."
        ),
    ]
    if types:
        options.append(click.option("--type", "types", multiple=True, help="Of this event type."))

    def add(command: Command) -> Command:
        @wraps(command)
        def gathered(*positional: Any, **given: Any) -> None:
            parts = {name: given.pop(name) for name in Filter._fields if name in given}
            command(*positional, wanted=Filter(**parts), **given)

        return _all_of(options, gathered)

    return add


def json_option(command: Command) -> Command:
    """Add `--json` to a command."""
    option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    return option(command)


def limit_option(command: Command) -> Command:
    """Add the bound of a listing to a command."""
    bound = click.IntRange(1, MOST)
    return click.option("--limit", type=bound, default=LISTED, show_default=True)(command)


def since(row: EventRow | QuarantineRow) -> float | None:
    """Return when a record came into its state, in Unix seconds."""
    if isinstance(row, QuarantineRow):
        return row.at
    # One that lived before keeps the moment at which it died; in flight it counts from its entry.
    return row.received_at if row.state == IN_FLIGHT or row.at is None else row.at


def endpoint_of(row: EventRow | QuarantineRow) -> str:
    """Return the endpoint of a record; empty when the body that named it is gone."""
    if isinstance(row, QuarantineRow):
        return row.endpoint
    return row.event.endpoint if row.event else ""


def events(session: Session, states: Sequence[str], wanted: Filter) -> Iterator[EventRow]:
    """Yield the events in any of `states` that pass the filter, newest first, of `LOOKED_AT`."""
    sources = []
    for state in states:
        apart = [wanted.kinds] if state == DONE else [(kind,) for kind in wanted.kinds]
        sources += [session.listing.events(state, kinds=kinds) for kinds in apart]
    looked_at = islice(heapq.merge(*sources, key=_newest), LOOKED_AT)
    return (row for row in looked_at if wanted.holds(row, session.now))


def quarantined(session: Session, wanted: Filter) -> Iterator[QuarantineRow]:
    """Yield the quarantined bodies that pass the filter, newest first."""
    endpoints = wanted.endpoints or session.listing.quarantined_endpoints()
    sources = [session.listing.quarantine([endpoint]) for endpoint in endpoints]
    looked_at = islice(heapq.merge(*sources, key=_newest), LOOKED_AT)
    return (row for row in looked_at if wanted.holds(row, session.now))


def bounded(rows: Iterator[Row], limit: int) -> tuple[list[Row], bool]:
    """Return at most `limit` rows, and whether there are more."""
    taken = list(islice(rows, limit + 1))
    return taken[:limit], len(taken) > limit


def resolve(session: Session, name: str, endpoint: str | None, room: Room) -> str:
    """Return the key that a person means by a key, the beginning of one, or an event id.

    Raises:
        Trouble: nothing or more than one thing goes by that name.
    """
    by_id = safe_key(endpoint or DEFAULT_ENDPOINT, name)
    if room is Room.EVENTS and session.redis.exists(session.keys.event(by_id)):
        return by_id
    found = find(session.redis, session.keys, name, room)
    if len(found) == 1:
        return found[0]
    if found:
        raise Nothing(f"{len(found)} keys begin with {name}; give more of it")
    raise Nothing(_nothing(name, endpoint, room))


def _nothing(name: str, endpoint: str | None, room: Room) -> str:
    if room is Room.QUARANTINE:
        return (
            f"nothing in quarantine has the key {name}; give at least {LEAST_PREFIX} of its "
            "digits as `synap-hooks quarantine list` shows them"
        )
    return (
        f"no event of endpoint {endpoint or DEFAULT_ENDPOINT} has the id {name}, and none has it "
        f"as its key; name another --endpoint, or give at least {LEAST_PREFIX} digits of the key "
        "as `synap-hooks events list` shows them"
    )


def _newest(row: EventRow | QuarantineRow) -> float:
    return -(since(row) or 0.0)


def _all_of(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    for option in options:
        command = option(command)
    return command
