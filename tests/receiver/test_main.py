"""`python -m receiver` as it runs: what it says at the start, how it ends, with a real Redis."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from redis import Redis

from tests.build import SECRET, make_event, signed
from tests.servers import ROOT, Module, RedisServer, free_port, listening, start_redis, wait_for

PATH = "/webhooks/synap"

Start = Callable[..., "Receiver"]


class Receiver:
    """A receiver process and its two ports."""

    def __init__(self, log: Path, **environ: str) -> None:
        self.port, self.admin_port = free_port(), free_port()
        chosen = {
            "SYNAP_HOST": "127.0.0.1",
            "SYNAP_PORT": str(self.port),
            "SYNAP_ADMIN_PORT": str(self.admin_port),
            "SYNAP_WEBHOOK_SECRET": SECRET,
            "SYNAP_SHUTDOWN_DELAY": "0",
        }
        self.process = Module("receiver", environ=chosen | environ, log=log)
        self.process.wait_listening(self.port)
        wait_for(lambda: self.admin("/livez").is_success, what="liveness")

    def post(self, body: dict[str, Any] | None = None) -> httpx2.Response:
        """Deliver an event."""
        raw, headers = signed(body)
        return httpx2.post(f"http://127.0.0.1:{self.port}{PATH}", content=raw, headers=headers)

    def admin(self, path: str) -> httpx2.Response:
        """Ask the admin port."""
        return httpx2.get(f"http://127.0.0.1:{self.admin_port}{path}")

    def lines(self) -> list[dict[str, Any]]:
        """Return the log so far."""
        return [orjson.loads(line) for line in self.process.log.read_bytes().splitlines()]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Yield a function that starts a receiver."""
    started: list[Receiver] = []

    def begin(**environ: str) -> Receiver:
        started.append(Receiver(tmp_path / f"{len(started)}.log", **environ))
        return started[-1]

    yield begin
    for receiver in started:
        receiver.process.kill()


def run(**environ: str) -> subprocess.CompletedProcess[str]:
    """Run a receiver that cannot start."""
    return subprocess.run(
        [sys.executable, "-m", "receiver"],
        env=environ | {name: text for name, text in os.environ.items() if "COVERAGE" in name},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_delivery_from_end_to_end(start: Start, redis_url: str, redis: Redis) -> None:
    """Accepted, then a duplicate, then a conflict: in Redis, in the log and in the metrics."""
    receiver = start(SYNAP_REDIS_URL=redis_url)
    event = make_event()

    answers = [receiver.post(body) for body in (event, event, event | {"more": 1})]

    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [
        (202, "accepted"),
        (200, "duplicate"),
        (202, "quarantined"),
    ]
    assert redis.zcard("synap:inflight:ingestion.failed") == 1
    text = receiver.admin("/metrics").text
    assert 'synap_hooks_requests_verified_total{endpoint="default",key="key-1"} 3.0' in text
    assert "synap_hooks_commit_events_count 4.0" in text
    assert "_created" not in text
    assert receiver.admin("/readyz").json() == {"status": "ready", "durability": "fsync"}
    assert receiver.process.stop() == 0
    events = [line["event"] for line in receiver.lines()]
    assert events[-5:] == [*["request.answered"] * 3, "server.stopping", "server.stopped"]
    assert SECRET not in receiver.process.log.read_text()


def test_no_secret_and_no_signature_is_kept(start: Start, redis_server: RedisServer) -> None:
    """Whatever was delivered, neither is in the log or in what Redis wrote to disk."""
    redis_server.flush()
    receiver = start(SYNAP_REDIS_URL=redis_server.url)
    event = make_event(event_id="evt_canary")
    receiver.post(event)
    receiver.post(event | {"timestamp": "never"})

    kept = [file.read_bytes() for file in redis_server.folder.rglob("*.aof")]
    kept.append(receiver.process.log.read_bytes())

    assert any(b"evt_canary" in content for content in kept)
    signature = signed(event)[1]["x-synap-signature"][7:]
    for secret in (SECRET, signature):
        assert not any(secret.encode() in content for content in kept)


def test_settings_are_refused_clearly() -> None:
    """Every problem is on standard error, and the status is 2."""
    ended = run(SYNAP_PORT="tcp://10.0.0.1:80", SYNAP_ACK="x")

    assert ended.returncode == 2
    first, *rest = ended.stderr.splitlines()
    assert first == "The receiver cannot start:"
    assert sorted(line.split()[0] for line in rest) == ["SYNAP_ACK:", "SYNAP_PORT:", "no"]


def test_a_port_in_use_is_named() -> None:
    """Whoever has the port already, the variable to change is named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(SYNAP_HOST="127.0.0.1", SYNAP_PORT=port, SYNAP_WEBHOOK_SECRET=SECRET)

    assert ended.returncode == 2
    assert f"SYNAP_PORT: cannot listen on 127.0.0.1 port {port}" in ended.stderr


def test_an_unreachable_redis_is_no_error_at_the_start(start: Start) -> None:
    """It starts, says 503 and not ready, and recovers by itself when Redis comes."""
    server = start_redis()
    server.kill()
    receiver = start(SYNAP_REDIS_URL=server.url)

    refused, unready = receiver.post(), receiver.admin("/readyz")
    server.start()
    wait_for(lambda: receiver.admin("/readyz").status_code == 200, what="readiness")
    accepted = receiver.post()
    server.close()

    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert refused.headers["retry-after"] == "30"
    assert unready.status_code == 503
    assert unready.json()["failing"] == {"redis": "redis is unreachable"}
    assert receiver.admin("/livez").status_code == 200
    assert accepted.status_code == 202


def test_the_end_is_orderly(start: Start, redis_url: str) -> None:
    """First not ready, still answering; then an open request is finished; then it ends with 0."""
    receiver = start(SYNAP_REDIS_URL=redis_url, SYNAP_SHUTDOWN_DELAY="2.5")
    raw, headers = signed(make_event(event_id="evt_open"))
    lines = [f"{name}: {text}\r\n" for name, text in headers.items()]
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{''.join(lines)}Content-Length: {len(raw)}\r\n\r\n"

    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as slow:
        slow.sendall(head.encode() + raw[:10])
        ended = threading.Thread(target=receiver.process.stop)
        ended.start()
        wait_for(lambda: receiver.admin("/readyz").status_code == 503, what="not ready")
        late = receiver.post(make_event(event_id="evt_late"))
        wait_for(lambda: not listening(receiver.port), what="the listener closed")
        with pytest.raises(httpx2.ConnectError):
            receiver.post(make_event(event_id="evt_too_late"))
        slow.sendall(raw[10:])
        answer = slow.recv(65536)
    ended.join()

    assert (late.status_code, late.headers["connection"]) == (202, "close")
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert receiver.process.process.returncode == 0


def test_ctrl_c_waits_for_no_endpoint_list(start: Start, redis_url: str) -> None:
    """At a terminal, the delay that is meant for a load balancer is skipped."""
    receiver = start(SYNAP_REDIS_URL=redis_url, SYNAP_SHUTDOWN_DELAY="60")

    receiver.process.process.send_signal(2)

    assert receiver.process.process.wait(20) == 0


def test_keys_are_replaced_while_running(start: Start, redis_url: str, tmp_path: Path) -> None:
    """A new key file is accepted within seconds, without a restart."""
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "old").write_text("another-secret-0123456789")
    receiver = start(
        SYNAP_REDIS_URL=redis_url, SYNAP_WEBHOOK_SECRET="", SYNAP_WEBHOOK_SECRET_DIR=str(keys)
    )
    before = receiver.post()

    (keys / "new").write_text(SECRET + "\n")

    assert before.status_code == 401
    wait_for(lambda: receiver.post().status_code in {200, 202}, what="the new key")
    wait_for(
        lambda: any(line.get("added") == ["default/new"] for line in receiver.lines()),
        what="the line that says so",
    )
