"""Effects that share a script leave what they leave one by one: what is written once is enough."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import orjson
import pytest
from redis import Redis
from redis.exceptions import ResponseError

from receiver.broker import Keys
from receiver.event import parse
from tests.build import NOW, make_alert, make_event
from tests.workers.alerting.house import PREFIX, ROOM, config_of
from workers.alert import Alert
from workers.alerting.bursts import burst, bursts_lua
from workers.alerting.groups import Groups, groups_lua
from workers.handlers.ingestion_failed import tally_note
from workers.ledger.transitions import Effect, Ledger
from workers.synap.book import book_lua

CONFIG = config_of("""
route:
  receiver: r
  group_by: [alertname]
  routes:
    - {receiver: r, matchers: ['alertname = "At once"'], group_wait: 0s}
receivers: [{name: r}]
inhibit_rules:
  - source_matchers: ['severity = "critical"']
    target_matchers: ['severity = "warning"']
""")


def some_effects(chance: random.Random) -> list[Effect]:
    """Return alerts, bursts and failures in some order, many of them about the same."""
    groups = Groups(PREFIX, lambda: CONFIG)
    makers = (
        lambda: groups.effects([some_alert(chance)], NOW),
        lambda: [some_burst(chance, groups)],
        lambda: [some_failure(chance)],
    )
    return [effect for _ in range(12) for effect in chance.choice(makers)()]


def some_alert(chance: random.Random) -> Alert:
    """Return a report of one of a few alerts: early or late, open, ended, or assumed to end."""
    start = chance.choice((-300, -200, -100))
    return replace(
        make_alert(
            chance.choice(("A", "At once")), severity=chance.choice(("warning", "critical"))
        ),
        annotations={"n": str(chance.random())},
        starts_at=NOW + start,
        updated_at=NOW + start + chance.choice((0, 50)),
        ends_at=chance.choice((None, NOW + start + 60, NOW + 600)),
        timeout=chance.random() < 0.3,
    )


def some_burst(chance: random.Random, groups: Groups) -> Effect:
    """Return an event that counts in one of two windows, with or without what follows."""
    of = chance.choice(("x", "y"))
    follows = groups.effects([make_alert(f"Burst of {of}")], NOW) if chance.random() < 0.5 else []
    member, at = chance.choice("abcdefgh"), NOW + chance.choice((0, 1, 2, 30, 90))
    return burst(PREFIX, of, member=member, at=at, window=60, least=3, effects=follows)


def some_failure(chance: random.Random) -> Effect:
    """Return a failure that counts in one of two tallies."""
    body = make_event(event_id=chance.choice("abcdef"), correlation_id=chance.choice("pqr"))
    event = parse(orjson.dumps(body), endpoint="default", received_at=NOW)
    alert = make_alert(chance.choice("AB"), now=NOW + chance.randrange(9))
    note = tally_note(event, alert, chance.choice(("", "d1", "d2")), NOW + chance.randrange(99))
    return Effect(note.name, note.args)


def content(redis: Redis) -> dict[str, Any]:
    """Return everything under the prefix, and how many jobs were pushed."""
    read = {
        b"hash": redis.hgetall,
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"set": redis.smembers,
        b"string": redis.get,
        b"list": lambda key: redis.lrange(key, 0, -1),
    }
    redis.delete(f"{ROOM}called")  # lasts for a second of real time
    keys = sorted(redis.scan_iter(f"{PREFIX}:*"))
    found: dict[str, Any] = {key.decode(): read[redis.type(key)](key) for key in keys}
    found["expires"] = [key for key in keys if redis.ttl(key) != -1]
    found["jobs"] = redis.llen("rq:queue:notifications")
    return found


def ledger(redis: Redis) -> Ledger:
    """Return a ledger with every effect that leaves something to the end, and one that breaks."""
    broken = 'effects["break"] = function() error("broken") end'
    fragments = [groups_lua(), bursts_lua(), book_lua(), broken]
    return Ledger(redis, Keys(PREFIX), dedup_window=60.0, fragments=fragments)


@pytest.mark.parametrize("seed", range(60))
def test_one_script_or_many(redis: Redis, seed: int) -> None:
    """Alerts, bursts and tallies end up the same, however many effects one script runs."""
    effects = some_effects(random.Random(seed))

    for effect in effects:
        ledger(redis).apply([effect])
    one_by_one = content(redis)
    redis.flushdb()
    ledger(redis).apply(effects)

    assert content(redis) == one_by_one
    assert len(one_by_one) > 3


@pytest.mark.parametrize("seed", range(60))
def test_a_script_that_breaks_off_can_be_run_again(redis: Redis, seed: int) -> None:
    """What it left keeps nothing out; a window that it filled may raise its burst sooner."""
    effects = some_effects(random.Random(seed))
    ledger(redis).apply(effects)
    alerts, tallies = alerts_of(redis), tallies_of(redis)
    redis.flushdb()

    with pytest.raises(ResponseError, match="broken"):
        ledger(redis).apply([*effects, Effect("break", ())])
    ledger(redis).apply(effects)

    assert alerts_of(redis) >= alerts
    assert tallies_of(redis) == tallies


def alerts_of(redis: Redis) -> set[bytes]:
    """Return the fingerprints of the alerts that are stored, in any group."""
    return {fp for key in redis.scan_iter(f"{ROOM}alerts:*") for fp in redis.hkeys(key)}


def tallies_of(redis: Redis) -> dict[bytes, list[bytes]]:
    """Return what is known of each tally, and that it expires."""
    tallies = redis.zrange(f"{PREFIX}:synap:failing", 0, -1)
    named = {tally: f"{PREFIX}:synap:failures:{tally.decode()}" for tally in tallies}
    assert all(redis.ttl(name) > 0 for name in named.values())
    return {tally: sorted(redis.hkeys(name)) for tally, name in named.items()}
