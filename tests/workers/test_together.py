"""Effects that share a script leave what they leave one by one: what is written once is enough."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import orjson
import pytest
from redis import Redis

from receiver.broker import Keys
from receiver.event import parse
from tests.build import NOW, make_alert, make_event
from tests.workers.alerting.house import PREFIX, config_of
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
    follows = groups.effects([some_alert(chance)], NOW) if chance.random() < 0.5 else []
    member, at = chance.choice("abcdefgh"), NOW + chance.choice((0, 1, 2, 30, 90))
    of = chance.choice(("x", "y"))
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
    keys = sorted(redis.scan_iter(f"{PREFIX}:*"))
    found: dict[str, Any] = {key.decode(): read[redis.type(key)](key) for key in keys}
    found["expires"] = [key for key in keys if redis.ttl(key) > 0]
    found["jobs"] = redis.llen("rq:queue:notifications")
    return found


@pytest.mark.parametrize("seed", range(40))
def test_one_script_or_many(redis: Redis, seed: int) -> None:
    """Alerts, bursts and tallies end up the same, however many effects one script runs."""
    ledger = Ledger(
        redis,
        Keys(PREFIX),
        dedup_window=60.0,
        fragments=[groups_lua(), bursts_lua(), book_lua()],
    )
    effects = some_effects(random.Random(seed))

    for effect in effects:
        ledger.apply([effect])
    one_by_one = content(redis)
    redis.flushdb()
    ledger.apply(effects)

    assert content(redis) == one_by_one
    assert len(one_by_one) > 3
