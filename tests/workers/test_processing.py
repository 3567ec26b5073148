"""One job's work: outcomes, attempts, poison, overtaking, handing on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import orjson
import pytest
from prometheus_client import CollectorRegistry
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException

from receiver.event import Event
from receiver.settings import load
from tests.accept import KEYS, accept, change, record
from tests.servers import wait_for
from tests.workers.ledger.conftest import MARK
from workers.alert import Alert
from workers.alerting.bursts import bursts_lua
from workers.handlers import Burst, Context, Decision, Handler, Policy
from workers.handlers.lookups import Alone
from workers.ledger.books import Books
from workers.ledger.listing import Listing
from workers.ledger.transitions import Effect, Ledger
from workers.metrics import WorkerMetrics
from workers.processing import AHEAD, HANDFUL, NEWER_WIRE_PATIENCE, Processor
from workers.settings import WorkerSettings

QUEUE = "events-bulk"


class Marks:
    """Routes each alert to the list `marks`, by its name."""

    def effects(self, alerts: Sequence[Alert], now: float) -> list[Effect]:
        """Return one mark per alert."""
        del now
        return [Effect("mark", (alert.name,)) for alert in alerts]


def says(name: str) -> Handler:
    """Return a handler that raises one alert of that name."""

    def decide(event: Event, context: Context) -> Decision:
        alert = Alert(labels={"alertname": name}, starts_at=context.now, updated_at=context.now)
        return Decision((alert,), f"saw {event.id}")

    return decide


def raises(error: Exception) -> Handler:
    """Return a handler that fails."""

    def decide(*_: object) -> Decision:
        raise error

    return decide


class World:
    """A processor over the suite's Redis, and what it needs to be looked at."""

    def __init__(self, redis: Redis, url: str) -> None:
        self.redis = redis
        self.url = url
        self.ledger = Ledger(
            redis, KEYS, dedup_window=32 * 86_400.0, fragments=[MARK, bursts_lua()]
        )
        self.now: Callable[[], float] = time.time
        self.stopping = False
        self.budget = 150.0

    def run(self, handler: Handler, keys: Sequence[str], **environ: str) -> None:
        """Pop the only job of the queue and process it."""
        handlers: Mapping[str, Handler] = {"ingestion.failed": handler}
        processor = Processor(
            ledger=self.ledger,
            handlers=handlers,
            routing=Marks(),
            policy=Policy,
            synap=Alone(),
            metrics=WorkerMetrics(CollectorRegistry()),
            settings=load(WorkerSettings, environ),
            stopping=lambda: self.stopping,
            budget=self.budget,
            clock=self.now,
        )
        job = self.redis.lpop(f"rq:queue:{QUEUE}").decode()
        processor.run(job, QUEUE, keys)

    def marks(self) -> list[str]:
        """Return the names of the alerts that were written."""
        return [mark.decode() for mark in self.redis.lrange("marks", 0, -1)]

    def states(self, keys: Sequence[str]) -> list[tuple[str, str]]:
        """Return state and reason of each event."""
        rows = [Listing(self.redis, KEYS).show(key) for key in keys]
        return [(row.state, row.reason) for row in rows if row]

    def unaccounted(self) -> int:
        """Return how many events the law misses."""
        return sum(Books(self.redis, KEYS).snapshot(time.time()).unaccounted.values())


@pytest.fixture
def world(redis: Redis, redis_url: str) -> World:
    """Return a processor's world."""
    return World(redis, redis_url)


def test_decisions_are_written_while_the_next_are_made(world: World) -> None:
    """When a handler decides on the last event, the first ones of its handful are settled."""
    keys = accept(world.url, HANDFUL)
    world.ledger.settle([], now=world.now(), job_id="any", lease=1.0).written()  # loads the script

    def first_ones() -> bool:
        return {state for state, _ in world.states(keys[:AHEAD])} == {"done"}

    def decide(event: Event, context: Context) -> Decision:
        del context
        if event.key == keys[-1]:
            wait_for(first_ones, seconds=10, what="the first decisions")
        return Decision((), "seen")

    world.run(decide, keys)

    assert {state for state, _ in world.states(keys)} == {"done"}


def test_a_job_that_breaks_off_leaves_no_reply_behind(world: World) -> None:
    """A stop between writing and hearing of it neither loses what was decided nor what follows."""
    now = time.time()
    world.now = lambda: now  # no decision is slow
    keys = accept(world.url, HANDFUL)
    world.ledger.settle([], now=world.now(), job_id="any", lease=1.0).written()  # loads the script

    def decide(event: Event, context: Context) -> Decision:
        del context
        if event.key == keys[AHEAD + 1]:
            raise KeyboardInterrupt
        return Decision((), "seen")

    with pytest.raises(KeyboardInterrupt):
        world.run(decide, keys)

    assert [world.redis.echo(text) for text in ("a", "b")] == [b"a", b"b"]
    states = [state for state, _ in world.states(keys)]
    assert states == ["done"] * AHEAD + ["inflight"] * (HANDFUL - AHEAD)


def test_each_event_has_its_effect_once(world: World) -> None:
    """A job settles its events with their effects, across slices."""
    keys = accept(world.url, 150)

    world.run(says("Failed"), keys)

    assert world.marks() == ["Failed"] * 150
    assert {state for state, _ in world.states(keys)} == {"done"}
    assert world.redis.zcard(KEYS.running) == 0
    assert world.unaccounted() == 0


def test_a_failing_event_does_not_hold_up_its_neighbours(world: World) -> None:
    """Only the failing event waits for another attempt; the rest is done."""
    keys = accept(world.url, 3)

    def fails_once(event: Event, context: Context) -> Decision:
        if event.key == keys[1]:
            raise ValueError
        return says("Failed")(event, context)

    world.run(fails_once, keys)

    assert [state for state, _ in world.states(keys)] == ["done", "inflight", "done"]
    assert world.redis.zrange(KEYS.retry, 0, -1) == [keys[1].encode()]
    assert world.unaccounted() == 0


def test_an_event_that_always_fails_dies_with_its_reason_and_tells(world: World) -> None:
    """After its last attempt an event is a dead letter, and on-call is told."""
    [key] = accept(world.url)

    for _ in range(2):
        world.run(raises(ValueError()), [key], SYNAP_MAX_ATTEMPTS="2")
        world.ledger.enqueue_due(time.time() + 3_600)

    assert world.states([key]) == [("dead", "handler_error")]
    assert world.marks() == ["SynapHooksDeadLetter"]
    assert world.unaccounted() == 0


def test_an_event_that_lost_its_worker_each_time_is_not_tried_again(world: World) -> None:
    """An event whose every start ended without an outcome is dead as `worker_lost`."""
    [key] = accept(world.url)
    change(world.redis, key, attempts=5)

    world.run(raises(AssertionError()), [key])

    assert world.states([key]) == [("dead", "worker_lost")]


def test_a_time_out_of_the_job_is_a_failed_attempt(world: World) -> None:
    """RQ's time-out inside a handler ends that attempt, not the job."""
    keys = accept(world.url, 2)
    world.run(raises(JobTimeoutException()), keys)

    assert world.states(keys) == [("inflight", "handler_timeout")] * 2


def test_an_event_without_a_body_is_dead(world: World) -> None:
    """A body that is gone cannot be processed: the event is dead, not lost."""
    [key] = accept(world.url)
    world.redis.delete(KEYS.body(key))

    world.run(says("Failed"), [key])

    assert world.states([key]) == [("dead", "body_missing")]


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        pytest.param(0.0, ("inflight", "newer_wire_version"), id="update-under-way"),
        pytest.param(NEWER_WIRE_PATIENCE + 1, ("dead", "newer_wire_version"), id="after-an-hour"),
    ],
)
def test_a_newer_wire_version_waits_for_the_update(
    world: World, age: float, expected: tuple[str, str]
) -> None:
    """What a newer release wrote is tried for an hour, without counting attempts."""
    [key] = accept(world.url)
    wire = orjson.loads(world.redis.get(KEYS.body(key)))
    world.redis.set(KEYS.body(key), orjson.dumps({**wire, "v": 2}))
    world.now = lambda: time.time() + age

    world.run(says("Failed"), [key])

    assert world.states([key]) == [expected]
    assert record(world.redis, key).get("attempts", 0) == 0


def test_a_stopping_worker_hands_on_what_it_has_not_begun(world: World) -> None:
    """On SIGTERM the event in hand is finished; the rest goes back as a new job."""
    keys = accept(world.url, 100)

    def stops(event: Event, context: Context) -> Decision:
        world.stopping = True
        return says("Failed")(event, context)

    world.run(stops, keys)

    [job] = Queue(QUEUE, connection=world.redis, serializer=JSONSerializer).jobs
    assert world.marks() == ["Failed"]
    assert job.args[0] == keys[64:]
    assert {record(world.redis, key).get("attempts", 0) for key in keys[1:]} == {0}
    assert world.ledger.enqueue_due(time.time()) == 63
    assert world.unaccounted() == 0


def test_a_job_out_of_time_hands_on_the_rest(world: World) -> None:
    """A job that has used its budget gives the rest to a new one."""
    keys = accept(world.url, 2)
    world.budget = -1.0

    world.run(says("Failed"), keys)

    [job] = Queue(QUEUE, connection=world.redis, serializer=JSONSerializer).jobs
    assert (job.args[0], world.marks()) == (keys, [])


def test_a_job_that_runs_twice_does_nothing_the_second_time(world: World) -> None:
    """RQ may run a job again; its events are settled already, so nothing happens."""
    keys = accept(world.url, 2)
    job = world.redis.lindex(f"rq:queue:{QUEUE}", 0)
    world.run(says("Failed"), keys)
    world.redis.rpush(f"rq:queue:{QUEUE}", job)

    world.run(raises(AssertionError()), keys)

    assert world.marks() == ["Failed", "Failed"]
    assert {state for state, _ in world.states(keys)} == {"done"}


def test_an_overtaken_worker_writes_nothing(world: World) -> None:
    """A worker whose lease ran out and was taken over leaves no effect."""
    [key] = accept(world.url)

    def slow(event: Event, context: Context) -> Decision:
        job = record(world.redis, key)["job"]
        world.ledger.claim(job, [key], now=time.time() + 60, lease=30)
        return says("Late")(event, context)

    world.run(slow, [key])

    assert world.marks() == []
    assert world.states([key]) == [("inflight", "")]


def test_an_event_that_was_taken_over_before_its_start_is_left_alone(world: World) -> None:
    """A later event of the slice that another worker holds by now is not started here."""
    keys = accept(world.url, HANDFUL + 1)

    def slow(event: Event, context: Context) -> Decision:
        if event.key == keys[0]:
            job = record(world.redis, keys[-1])["job"]
            world.ledger.claim(job, keys[-1:], now=time.time() + 60, lease=30)
        return says("Failed")(event, context)

    world.run(slow, keys)

    assert world.marks() == ["Failed"] * HANDFUL
    assert world.states(keys[-1:]) == [("inflight", "")]


def test_an_unreadable_body_is_dead_with_its_reason(world: World) -> None:
    """A stored body that no longer passes what an event needs is dead, untried."""
    [key] = accept(world.url)
    wire = orjson.loads(world.redis.get(KEYS.body(key)))
    world.redis.set(KEYS.body(key), orjson.dumps({**wire, "body": {"event_id": "evt_1"}}))

    world.run(raises(AssertionError()), [key])

    assert world.states([key]) == [("dead", "no_type")]
    assert record(world.redis, key)["attempts"] == 0


def test_leases_of_the_rest_are_renewed_behind_a_slow_neighbour(world: World) -> None:
    """A slow handler does not let its neighbours' leases run out."""
    keys = accept(world.url, 3)
    clock = [time.time()]
    world.now = lambda: clock[0]

    def slow(event: Event, context: Context) -> Decision:
        clock[0] += 19
        other = record(world.redis, keys[2])["job"]
        assert world.ledger.claim(other, keys[2:], now=clock[0], lease=30) == []
        return says("Failed")(event, context)

    world.run(slow, keys[:2] + keys[2:])

    assert world.marks() == ["Failed"] * 3


def test_a_burst_has_its_effect_with_the_event_that_makes_it_one(world: World) -> None:
    """The window fills across slices; its alert goes out with the event that fills it, once."""

    def decide(event: Event, context: Context) -> Decision:
        alert = Alert(labels={"alertname": "many"}, starts_at=context.now, updated_at=context.now)
        found = Burst("x", event.key, event.received_at, 60, 148, lambda: (alert,))
        return Decision((), "counted", found)

    keys = accept(world.url, 150)

    world.run(decide, keys)

    assert world.marks() == ["many"]
    assert {state for state, _ in world.states(keys)} == {"done"}


def test_a_storm_makes_its_alert_once_a_second(world: World) -> None:
    """What a burst says is not made again for events of the second in which it went out."""
    keys = accept(world.url, 3 * HANDFUL)
    made: list[str] = []

    def decide(event: Event, context: Context) -> Decision:
        second = keys.index(event.key) // (2 * HANDFUL)

        def alerts() -> tuple[Alert, ...]:
            made.append(event.key)
            labels = {"alertname": f"second {second}"}
            return (Alert(labels=labels, starts_at=context.now, updated_at=context.now),)

        return Decision((), "counted", Burst("x", event.key, second, 60, 2, alerts))

    world.run(decide, keys)

    assert world.marks() == ["second 0", "second 1"]
    assert made == keys[:HANDFUL] + keys[2 * HANDFUL :]


def test_the_policy_reaches_the_handlers(world: World) -> None:
    """A handler knows what the configuration says about events."""
    known: list[Policy] = []

    def decide(_: Event, context: Context) -> Decision:
        known.append(context.policy)
        return Decision((), "asked")

    world.run(decide, accept(world.url, 1))

    assert known == [Policy()]
