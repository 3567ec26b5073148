"""`synap-hooks drill`: does a page reach this receiver?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from uuid import uuid4

import click

from workers.alerting.config import AlertingConfig
from workers.alerting.decision import Entry
from workers.alerting.drill import Drill, drill
from workers.alerting.groups import Groups, groups_lua
from workers.alerting.listing import AlertListing
from workers.alerting.receivers import Receiver
from workers.alerting.silence_book import SilenceBook
from workers.cli import actions, output, selection
from workers.cli.configuration import routed
from workers.cli.exits import ExitCode, Nothing
from workers.cli.selection import Duration
from workers.cli.session import Session, World, opened
from workers.ledger.transitions import Ledger
from workers.severity import Severity

HEAD: Final = ("TARGET", "TOLD", "ENDED", "TRIES", "MS", "ANSWER")
PAUSE: Final = 0.1
FAILED: Final = "failed"


class Heard(NamedTuple):
    """What became of a drill at one target; `attempts` are the ledger's rows, oldest first.

    `ended` is None for a target that wants to hear of no ends.
    """

    target: str
    told: bool
    ended: bool | None
    attempts: tuple[Mapping[str, str], ...]

    @property
    def failed(self) -> bool:
        """Whether nothing more will come of it."""
        return any(row["outcome"] == FAILED for row in self.attempts)


@click.command("drill")
@click.argument("receiver")
@click.option(
    "--severity", type=click.Choice([one.value for one in Severity]), default=Severity.INFO.value,
    show_default=True, help="How much it pretends to matter.",
)  # fmt: skip
@click.option("--wait", type=Duration(), default=30.0, help="At most so long.  [default: 30s]")
@click.option("--actor", help="Who asks for it.  [default: $USER]")
@selection.json_option
@click.pass_obj
def drill_receiver(
    world: World, receiver: str, severity: str, wait: float, actor: str | None, *, as_json: bool
) -> None:
    """Send RECEIVER a harmless test alert, then its end.

    It takes the way of every alert: Redis, the workers, the target's own call. The workers must
    be running. Ends with 1 if anybody was not told.
    """
    person = actions.person_of(world, actor, needed=True)
    config = routed(world, None).alerting
    found = _receiver(config, receiver)
    with opened(world) as session:
        one = drill(receiver, uuid4().hex[:8], actor=person, severity=severity, now=session.now)
        _refuse_silenced(session, one)
        stage = _Stage(world, session, config, found, one)
        session.operator(person).note("drill", receiver, now=session.now)
        heard = stage.run(wait)
    _report(receiver, one, heard, as_json=as_json)
    done = [told.told and told.ended is not False for told in heard]
    if not all(done):
        raise click.exceptions.Exit(ExitCode.PARTLY if any(done) else ExitCode.NEGATIVE)


class _Stage:
    """A drill that is under way."""

    def __init__(
        self,
        world: World,
        session: Session,
        config: AlertingConfig,
        receiver: Receiver,
        one: Drill,
    ) -> None:
        self._clock = world.clock
        self._receiver = receiver
        self._drill = one
        self._groups = Groups(session.keys.prefix, lambda: config)
        self._listing = AlertListing(session.redis, session.keys.prefix)
        self._ledger = Ledger(
            session.redis,
            session.keys,
            dedup_window=session.settings.dedup_window,
            fragments=[groups_lua()],
        )

    def run(self, wait: float) -> list[Heard]:
        """Tell of the alert, then of its end; return what became of it within `wait` seconds."""
        until = time.monotonic() + wait
        self._report(over=False)
        first = self._await(until, lambda heard: all(one.told or one.failed for one in heard))
        told = frozenset(one.target for one in first if one.told)
        self._report(over=True)
        return self._await(
            until,
            lambda heard: all(one.ended is not False or not one.told for one in heard),
            told,
        )

    def _report(self, *, over: bool) -> None:
        now = self._clock()
        alert = self._drill.over(now) if over else self._drill.alert
        effect = self._groups.effect(self._drill.group, alert, now=now, first=now, capped=False)
        self._ledger.apply([effect])

    def _await(
        self,
        until: float,
        enough: Callable[[list[Heard]], bool],
        told: frozenset[str] = frozenset(),
    ) -> list[Heard]:
        heard = self._heard(told)
        while not enough(heard) and time.monotonic() < until:
            time.sleep(PAUSE)
            heard = self._heard(told)
        return heard

    def _heard(self, told: frozenset[str]) -> list[Heard]:
        """Return how it stands at each target; `told` are those that were told before."""
        gid = self._drill.group.id
        log = self._listing.told(gid)
        rows = self._listing.attempts([gid])
        return [
            Heard(
                target=one.target,
                told=one.target in told or bool(log.get(one.target, Entry()).firing),
                ended=(
                    one.target in log and not log[one.target].firing
                    if one.notifier.send_resolved
                    else None
                ),
                attempts=tuple(row for row in rows if row["target"] == one.target),
            )
            for one in self._receiver.integrations
        ]


def _receiver(config: AlertingConfig, name: str) -> Receiver:
    found = config.receivers.get(name)
    if found is None:
        raise Nothing(f"no receiver is called {name}; there are {', '.join(config.receivers)}")
    if not found.integrations:
        raise Nothing(f"{name} is told in no way: it has no integrations")
    return found


def _refuse_silenced(session: Session, one: Drill) -> None:
    book = SilenceBook(session.redis, session.keys.prefix)
    silence = book.in_force(session.now)(one.alert.labels)
    if silence:
        raise Nothing(f"silence {silence} mutes drills too; expire it, or drill when it is over")


def _report(receiver: str, one: Drill, heard: list[Heard], *, as_json: bool) -> None:
    if as_json:
        output.document(
            {
                "receiver": receiver,
                "alert": one.alert.fingerprint,
                "group": one.group.id,
                "targets": [_shape(told) for told in heard],
            }
        )
        return
    output.table(HEAD, [_cells(told) for told in heard])
    if not any(told.attempts or told.told for told in heard):
        click.echo("nobody has taken it up: are the workers running (python -m workers)?")


def _shape(told: Heard) -> dict[str, Any]:
    return {
        "target": told.target,
        "told": told.told,
        "ended": told.ended,
        "attempts": [dict(row) for row in told.attempts],
    }


def _cells(told: Heard) -> tuple[str, ...]:
    last = told.attempts[-1] if told.attempts else {}
    ended = "not wanted" if told.ended is None else "yes" if told.ended else "no"
    answer = " ".join(part for part in (last.get("reason"), last.get("detail")) if part)
    return (
        told.target, "yes" if told.told else "no", ended, str(len(told.attempts)),
        last.get("ms", ""), answer,
    )  # fmt: skip
