"""What a role's Redis user may not do, and what RQ has to do under it that is rare."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from prometheus_client import CollectorRegistry
from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from receiver.broker import EVENTS, EVENTS_BULK, NOTIFICATIONS, ROTATION, texts
from tests.servers import RedisServer
from tests.system.users import SERVERS, give_users, refusals, server_of
from tests.workers import probe
from tests.workers.probe import push
from workers.lifeline import Stop
from workers.metrics import WorkerMetrics
from workers.rights import JOBS_OF, RIGHTS, Role
from workers.worker import build

FUNCTIONS = (probe.note, probe.explode)

FORBIDDEN = {
    Role.RECEIVER: """
        GET synap:rotation:record:1
        SET synap:rotation:record:1 x
        GET synap:rotation:pepper
        HGETALL synap:alerting:group:1
        HSET synap:alerting:group:1 slot x
        HGETALL synap:alerting:alerts:1
        GET synap:body:1
        RPUSH rq:queue:rotation x
        RPUSH rq:queue:notifications x
        EVAL "return redis.call('RPUSH','rq:queue:rotation','x')" 0
        EVAL "return redis.call('GET','synap:rotation:record:1')" 0
        HSET rq:job:rotation-1 data x
        HSET rq:job:flush-1 data x
        LRANGE rq:queue:events 0 -1
        DEL synap:event:1
        SET synap:tick x
    """,
    Role.EVENTS: """
        GET synap:rotation:record:1
        GET synap:rotation:pepper
        LRANGE synap:rotation:history:1 0 -1
        HGETALL synap:alerting:delivery:1
        RPUSH rq:queue:rotation x
        RPUSH rq:queue:events-bulk x
        LRANGE rq:queue:notifications 0 -1
        HSET rq:job:rotation-1 data x
        HGETALL synap:quarantined:1
        SET synap:tick x
    """,
    Role.NOTIFICATIONS: """
        GET synap:event:1
        GET synap:body:1
        GET synap:rotation:record:1
        HSET synap:counters accepted:unknown 1
        RPUSH rq:queue:rotation x
        RPUSH rq:queue:events x
        SET synap:tick x
    """,
    Role.ROTATION: """
        GET synap:event:1
        GET synap:body:1
        HGETALL synap:alerting:delivery:1
        HSET synap:alerting:log:1 team x
        RPUSH rq:queue:events x
        LRANGE rq:queue:notifications 0 -1
        SET synap:tick x
    """,
    Role.TICK: """
        GET synap:body:1
        GET synap:rotation:pepper
        HSET synap:alerting:delivery:1 target x
        LPOP rq:queue:rotation
        HGETALL rq:job:rotation-1
    """,
}
FORBIDDEN_TO_ALL = """
    GET another
    SET another x
    KEYS *
    SCAN 0
    FLUSHALL
    FLUSHDB
    SCRIPT FLUSH
    FUNCTION LIST
    CONFIG SET appendfsync no
    CLIENT LIST
    ACL LIST
    ACL SETUSER x on
    MONITOR
    SHUTDOWN
    REPLICAOF NO ONE
"""
"""Of the commands that only an administrator needs, those that would do the most harm."""

FORBIDDEN[Role.EVENTS_BULK] = FORBIDDEN[Role.EVENTS].replace("events-bulk", "events")
FORBIDDEN[Role.WORKERS] = FORBIDDEN[Role.OPERATOR] = ""


class Users(NamedTuple):
    """A server of the test's own, and the URL with which each role signs in."""

    server: RedisServer
    urls: dict[str, str]

    def client(self, role: Role) -> Redis:
        """Return a client that signed in as a role; the caller closes it."""
        return Redis.from_url(self.urls[role])


@pytest.fixture(scope="module", params=SERVERS)
def users(request: pytest.FixtureRequest) -> Iterator[Users]:
    """Yield a server whose roles have their users."""
    server = server_of(request.param)
    yield Users(server, give_users(server))
    server.close()


def is_refused(client: Redis, line: str) -> bool:
    """Say whether a command, or the command within a script, is refused for want of a right."""
    try:
        client.execute_command(*shlex.split(line))
    except NoPermissionError:
        return True
    except ResponseError as error:  # how a script's refusal is told differs between servers
        return any(said in str(error) for said in ("ACL failure", "can't access at least one"))
    return False


@pytest.mark.parametrize("role", Role)
def test_no_role_can_do_more(users: Users, role: Role) -> None:
    """What a role does not need is refused, within scripts as well."""
    lines = filter(None, map(str.strip, (FORBIDDEN[role] + FORBIDDEN_TO_ALL).splitlines()))

    with users.client(role) as client:
        assert [line for line in lines if not is_refused(client, line)] == []


@pytest.mark.parametrize("role", [Role.RECEIVER, Role.NOTIFICATIONS])
def test_what_proves_durability_is_allowed(users: Users, role: Role) -> None:
    """Who acknowledges events, or notes what a target was told, may wait for disks and replicas."""
    lines = ("INFO", "CONFIG GET appendfsync", "WAIT 0 1", "WAITAOF 0 0 1")

    with users.client(role) as client:
        assert [line for line in lines if is_refused(client, line)] == []


@pytest.mark.parametrize("queue", [EVENTS, EVENTS_BULK, NOTIFICATIONS, ROTATION])
def test_lost_and_failed_jobs_are_looked_after(users: Users, queue: str) -> None:
    """Under its own user RQ takes back what a dead worker had, and keeps what failed."""
    ids = [f"{kind}{number}" for kind in JOBS_OF[queue].split() for number in range(3)]
    with users.server.client() as admin, users.client(Role(queue)) as own:
        admin.execute_command("ACL", "LOG", "RESET")
        for at, job_id in enumerate(ids):
            function = f"{probe.NAME}.{'explode' if at % 3 == 2 else 'note'}"
            job = push(admin, function, ["x"], queue=queue, job_id=job_id)
            if at % 3 == 1:
                admin.lrem(job.queue_key, 0, job_id)
                admin.zadd(f"rq:wip:{queue}", {f"{job_id}:run": time.time() - 100})
        stuck = f"rq:queue:{queue}:intermediate"
        admin.lmove(f"rq:queue:{queue}", stuck)
        admin.set(f"{stuck}:first_seen:{ids[0]}", time.time() - 60)
        metrics = WorkerMetrics(CollectorRegistry())

        build(queue, own, FUNCTIONS, metrics, Stop()).clean_registries()
        build(queue, own, FUNCTIONS, metrics, Stop()).work(burst=True, logging_level=None)

        assert refusals(users.server) == []
        assert admin.llen(f"rq:queue:{queue}") == admin.llen(stuck) == 0
        failed = set(texts(admin.zrange(f"rq:failed:{queue}", 0, -1)))
        assert failed >= {job_id for job_id in ids if job_id.endswith("2")}


def test_workers_that_share_a_deployment_may_do_all_of_it() -> None:
    """The user of all workers has every right of each of them, and the person has all there are."""
    shared = set(RIGHTS[Role.WORKERS].patterns("p"))

    for role in (*map(Role, JOBS_OF), Role.TICK):
        assert set(RIGHTS[role].patterns("p")) <= shared
    assert set(RIGHTS[Role.OPERATOR].patterns("p")) == {"~p:*", "~rq:*"}
