"""The admin port: alive whatever happens, ready only when it is."""

from __future__ import annotations

import orjson
import pytest
from prometheus_client import CollectorRegistry

from receiver.metrics import Metrics
from receiver.watch import Findings, Level
from receiver.web.health import Health, create_admin
from tests.receiver.web.asgi import Reply, ask

WELL = Findings(
    level=Level.FSYNC,
    problem=None,
    waits=(("WAITAOF", 1, 0),),
    server="a",
    cluster=False,
    skew=0.1,
    oldest_age=0.0,
    memory_share=0.0,
    shedding=None,
)


class Promises:
    """What the commit path would say."""

    def __init__(self, findings: Findings | None) -> None:
        self.findings = findings

    @property
    def level(self) -> Level:
        """What was found, else unproven."""
        return self.findings.level if self.findings else Level.UNPROVEN

    def ready(self) -> str | None:
        """Return the problem that was found."""
        return self.findings.problem if self.findings else "redis is unreachable"


async def get(findings: Findings | None, path: str, *, stopping: bool = False) -> Reply:
    """Return what the admin port answers."""
    promises = Promises(findings)
    health = Health(promises)
    if stopping:
        health.stop()
    admin = create_admin(health, promises, Metrics(CollectorRegistry()))
    return await ask(admin, [(b"", False)], method="GET", path=path)


@pytest.mark.parametrize(
    ("findings", "stopping", "failing"),
    [
        pytest.param(None, False, {"redis": "redis is unreachable"}, id="unreachable"),
        pytest.param(WELL, True, {"receiver": "stopping"}, id="stopping"),
        pytest.param(
            WELL._replace(level=Level.UNPROVEN, problem="set appendfsync always"),
            False,
            {"redis": "set appendfsync always"},
            id="unproven",
        ),
        pytest.param(
            WELL._replace(skew=-151.0),
            False,
            {
                "clock": "differs from Redis' by -151 s; events would be judged stale or dated "
                "ahead: set this machine's clock"
            },
            id="clock",
        ),
    ],
)
async def test_not_ready(
    findings: Findings | None, failing: dict[str, str], *, stopping: bool
) -> None:
    """What fails is named."""
    reply = await get(findings, "/readyz", stopping=stopping)

    assert reply.status == 503
    assert orjson.loads(reply.body) == {"status": "not_ready", "failing": failing}


async def test_ready() -> None:
    """When nothing fails, it says what an acknowledgement stands for."""
    reply = await get(WELL, "/readyz")

    assert reply.status == 200
    assert orjson.loads(reply.body) == {"status": "ready", "durability": "fsync"}


async def test_alive_whatever_fails() -> None:
    """Liveness asks nobody."""
    reply = await get(None, "/livez", stopping=True)

    assert (reply.status, reply.code) == (200, "alive")


@pytest.mark.parametrize(
    ("findings", "level", "shedding"),
    [
        pytest.param(WELL, "fsync", "0.0", id="well"),
        pytest.param(WELL._replace(shedding="memory"), "fsync", "1.0", id="shedding"),
        pytest.param(None, "unproven", "0.0", id="unreachable"),
    ],
)
async def test_metrics(findings: Findings | None, level: str, shedding: str) -> None:
    """A scrape shows the durability level and the shedding of this moment."""
    reply = await get(findings, "/metrics")

    text = reply.body.decode()
    assert reply.headers["content-type"].startswith("text/plain")
    assert f'synap_hooks_durability{{level="{level}"}} 1.0' in text
    assert f"synap_hooks_shedding {shedding}" in text


async def test_other_paths() -> None:
    """There is nothing else."""
    assert (await get(WELL, "/")).status == 404
