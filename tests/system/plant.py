"""The whole service as processes, with a sender that remembers what was acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx2
import orjson

from receiver.event import DEFAULT_ENDPOINT, safe_key
from tests.accept import KEYS
from tests.build import SECRET, make_event, signed
from tests.processes import Module, free_port, wait_for
from tests.servers import RedisServer, start_redis
from workers.ledger.books import Books

SHORT = {
    "SYNAP_HANDLER_TIMEOUT": "1s",
    "SYNAP_LEASE": "2s",
    "SYNAP_SWEEP_INTERVAL": "0.5",
    "SYNAP_SWEEP_GRACE": "2s",
    "SYNAP_TICK_LEASE": "1s",
    "SYNAP_RETRY_BASE": "0.2",
    "SYNAP_GRACE_PERIOD": "10s",
}
"""Leases that let a lost worker's events come back within seconds."""

Delivery = tuple[bytes, dict[str, str]]


class Sender:
    """Sends distinct events from several threads, and keeps the ids that were answered 2xx.

    `failures` says how each delivery ended that was answered otherwise, or not at all.
    Each thread rests for `pause` seconds between two events; `delivery` returns the body and the
    headers of an event with this id.
    """

    def __init__(
        self,
        url: str,
        *,
        threads: int = 4,
        pause: float = 0.0,
        delivery: Callable[[str], Delivery] = lambda ident: signed(make_event(event_id=ident)),
    ) -> None:
        self._url = url
        self._pause = pause
        self._delivery = delivery
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._next = 0
        self.acknowledged: set[str] = set()
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._send) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop sending and wait for the answers that are under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int) -> None:
        """Wait until `count` more events were acknowledged."""
        target = len(self.acknowledged) + count
        wait_for(lambda: len(self.acknowledged) >= target, seconds=30, what=f"{count} more events")

    def _take(self) -> str:
        with self._lock:
            self._next += 1
            return f"evt_{self._next}"

    def _send(self) -> None:
        with httpx2.Client(timeout=10) as client:
            while not self._stop.is_set():
                ident = self._take()
                while not self._stop.is_set() and not self._deliver(client, ident):
                    time.sleep(0.05)
                time.sleep(self._pause)

    def _deliver(self, client: httpx2.Client, ident: str) -> bool:
        body, headers = self._delivery(ident)
        try:
            answer = client.post(self._url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            self.failures.append(repr(error))
            return False
        if answer.status_code in {200, 202}:
            with self._lock:
                self.acknowledged.add(ident)
            return True
        self.failures.append(f"{answer.status_code} {answer.text}")
        return False


class Plant:
    """Redis, receiver and workers of one test; every process can be killed.

    Args:
        folder: where logs go.
        server: whose records are looked at, one of the plant's own if none is given.
        environ: further variables.
    """

    def __init__(self, folder: Path, *, server: RedisServer | None = None, **environ: str) -> None:
        self.folder = folder
        self.server = server or start_redis()
        self.port, self.admin, self.workers_admin = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}/webhooks/synap"
        self.environ = {
            "SYNAP_REDIS_URL": self.server.url,
            "SYNAP_WEBHOOK_SECRET": SECRET,
            "SYNAP_HOST": "127.0.0.1",
            "SYNAP_PORT": str(self.port),
            "SYNAP_ADMIN_PORT": str(self.admin),
            "SYNAP_WORKERS_ADMIN_PORT": str(self.workers_admin),
            "SYNAP_SHUTDOWN_DELAY": "0",
            **environ,
        }
        self.modules: list[Module] = []

    def start(self, module: str, *arguments: str, **environ: str) -> Module:
        """Start a process of the service; `environ` replaces what the others have."""
        log = self.folder / f"{module}{'-'.join(arguments)}.log"
        started = Module(module, *arguments, environ=self.environ | environ, log=log)
        self.modules.append(started)
        return started

    def receiver(self) -> Module:
        """Start a receiver and wait until it listens."""
        return self.start("receiver").wait_listening(self.port)

    def close(self) -> None:
        """End everything."""
        alive = [module for module in self.modules if module.alive]
        for module in alive:
            module.process.terminate()
        for module in alive:
            module.process.wait(30)
        self.server.close()

    def send(self, count: int, *, prefix: str = "evt", document_id: str = "doc") -> list[str]:
        """Send events one after the other; return their ids once all are acknowledged."""
        ids = [f"{prefix}_{n}" for n in range(count)]
        with httpx2.Client(timeout=10) as client:
            for ident in ids:
                event = make_event(event_id=ident, data={"document_id": document_id})
                body, headers = signed(event)
                answer = client.post(self.url, content=body, headers=headers)
                assert answer.status_code == 202, answer.text
        return ids

    def states(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the ids by the state of their record; `gone` has no record."""
        found: dict[str, list[str]] = {}
        with self.server.client() as redis:
            for ident in ids:
                held = redis.get(KEYS.event(safe_key(DEFAULT_ENDPOINT, ident)))
                state = orjson.loads(held)["state"] if held else "gone"
                found.setdefault(state, []).append(ident)
        return found

    def wait_settled(self, ids: Sequence[str], *, seconds: float) -> float:
        """Wait until every id is done; return how many seconds it took."""
        began = time.monotonic()
        wait_for(lambda: set(self.states(ids)) <= {"done"}, seconds=seconds, what="all done")
        return time.monotonic() - began

    def account(self, ids: Sequence[str]) -> None:
        """Assert that each id is done, once, and that no event is unaccounted for."""
        assert set(self.states(ids)) <= {"done"}
        accepted = self._counted("accepted")
        assert sum(accepted.values()) >= len(ids)
        wait_for(
            lambda: self._counted("done") == accepted,
            seconds=30,
            what="what was accepted and not acknowledged",
        )
        with self.server.client() as redis:
            books = Books(redis, KEYS)
            books.audit(time.time())
            assert not any(books.snapshot(time.time()).unaccounted.values())
        assert self._counted("done") == accepted

    def _counted(self, what: str) -> dict[str, int]:
        """Return how many events of each kind were accepted, or are done."""
        with self.server.client() as redis:
            held = redis.hgetall(KEYS.counters)
        names = ((name.decode().partition(":"), int(value)) for name, value in held.items())
        return {kind: value for (counted, _, kind), value in names if counted == what}

    def child(self, role: str) -> int:
        """Return the pid of a process that the supervisor started for a role."""
        return wait_for(lambda: _find(role, self.modules), what=f"a process for {role}")


def _find(role: str, modules: Sequence[Module]) -> int:
    parents = {module.process.pid for module in modules if module.alive}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent in parents and role.encode() in command:
            return int(entry.name)
    return 0
