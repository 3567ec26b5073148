"""The office that makes and revokes keys over HTTP: what the issuer `http` is configured for.

A process of its own, so that it goes on when a worker is killed in the middle of a call. Each
path begins with the folder of the world that is meant, so that one office serves many worlds.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.processes import Module, free_port
from tests.workers.rotation.world import FakeIssuer, World
from workers.document import parse
from workers.rotation.adapters import load
from workers.rotation.errors import PermanentError
from workers.rotation.issuers import ISSUERS
from workers.rotation.ports import Found, Issued, Issuer

ENTRY: Final = """
type: http
authorization: Bearer issuer
create: {{url: "{url}/keys", body: '{{"label": "{{name}}"}}', key_id: data.id, value: data.key}}
list: {{url: "{url}/keys?label={{name}}", items: data, key_id: id, name: label}}
revoke: {{url: "{url}/keys/{{key_id}}"}}
"""


class Office(BaseHTTPRequestHandler):
    """Answers for the keys of the world whose folder the path begins with."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or each answer waits for an ACK

    def handle_any(self) -> None:
        """Make, list or revoke, as the method says."""
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        folder, _, key_id = path.partition("/keys")
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        issuer = FakeIssuer(World(Path(folder) / "world.json"), counted=False)
        try:
            status, said = 200, self._answer(issuer, key_id.strip("/"), query, body)
        except PermanentError:
            status, said = 403, {"error": "this key is not revoked"}
        if self.command == "POST" and issuer.world.spoiled("answer"):
            issuer.world.mend()
            self.close_connection = True  # the key is made, and nobody is told
            return
        sent = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def _answer(
        self, issuer: FakeIssuer, key_id: str, query: dict[str, list[str]], body: bytes
    ) -> Any:
        if self.command == "POST":
            token = self.headers["idempotency-key"]
            made = issuer.issue(json.loads(body)["label"], token)
            return {"data": {"id": made.key_id, "key": made.value.reveal()}}
        if self.command == "GET":
            found = issuer.find(query["label"][0])
            return {"data": [{"id": key.key_id, "label": key.name} for key in found]}
        issuer.revoke(key_id, self.headers["idempotency-key"])
        return {}

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - http.server's


@dataclass(frozen=True, slots=True)
class Mortal:
    """The real issuer `http`, each call of which is one after which the process may die."""

    issuer: Issuer
    world: World

    def issue(self, name: str, token: str) -> Issued:
        """Make a key."""
        try:
            return self.issuer.issue(name, token)
        finally:
            self._count("issue")

    def find(self, name: str) -> list[Found]:
        """Return the keys of this name."""
        try:
            return list(self.issuer.find(name))
        finally:
            self._count("find")

    def revoke(self, key_id: str, token: str) -> None:
        """Revoke a key."""
        try:
            self.issuer.revoke(key_id, token)
        finally:
            self._count("revoke")

    def _count(self, call: str) -> None:
        with self.world.change(call):
            pass


def mortal(url: str, world: World) -> Mortal:
    """Return the issuer `http` as a configuration describes it, for the keys of a world."""
    entry = ENTRY.format(url=f"{url}{world.path.parent}")
    section = parse(entry, file="hooks.yml", base=world.path.parent)
    made: Issuer | None = load(ISSUERS, section, "issuer")
    section.findings.raise_if_any()
    assert made is not None
    return Mortal(made, world)


def opened(log: Path) -> tuple[Module, str]:
    """Start an office; return its process and its URL."""
    port = free_port()
    office = Module("tests.workers.rotation.crash.key_office", str(port), environ={}, log=log)
    return office.wait_listening(port), f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Office).serve_forever()
