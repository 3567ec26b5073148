"""A fake of Azure Key Vault: its wire, under Microsoft's own client.

HTTPS with a certificate of its own, the 401 challenge that tells where to sign in, versions,
attributes and the error bodies of the real one. Nothing of Azure answers here, and nobody signs
in: the credential of a test hands out a token that the fake knows.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken
from azure.keyvault.secrets import SecretClient

from tests.certificate import write_certificate
from workers.rotation.stores.azure import OPTIONS

CHALLENGE = (
    'Bearer authorization="https://login.microsoftonline.com/tenant", '
    'resource="https://vault.azure.net"'
)
Version = dict[str, Any]


class Credential:
    """Signs nobody in: the token is given."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Return the token."""
        return AccessToken(self._token, int(time.time()) + 3600)

    def close(self) -> None:
        """Have nothing to close."""


class KeyVault:
    """Secrets by their name, each a list of versions, and who may do what with each."""

    def __init__(self, folder: Path) -> None:
        self.secrets: dict[str, list[Version]] = {}
        self.deleted: set[str] = set()
        self.granted: dict[tuple[str, str], Sequence[str]] = {}
        self.challenged = 0
        self.before_put: list[Callable[[], None]] = []
        self.trouble: tuple[int, dict[str, str]] | None = None
        self.authority = folder / "vault.pem"
        key = folder / "vault.key"
        write_certificate(self.authority, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.authority, key)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def client(self, url: str, token: str) -> SecretClient:
        """Return Microsoft's client; the fake's name is not in the domain of the challenge."""
        return SecretClient(
            url,
            Credential(token),
            verify_challenge_resource=False,
            connection_verify=str(self.authority),
            **OPTIONS,
        )

    def set(self, name: str, value: str, **others: Any) -> Version:
        """Write a version as somebody else would."""
        version = {
            "id": f"{self.url}/secrets/{name}/{uuid.uuid4().hex}",
            "value": value,
            "attributes": {"enabled": True, "created": int(time.time())},
            **{field: given for field, given in others.items() if given},
        }
        self.secrets.setdefault(name, []).append(version)
        return version

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, Any]:
        """Answer one call that carries a token."""
        _, _, name, *rest = path.split("/")
        what = {"PUT": "setSecret", "PATCH": "update"}.get(method, "getSecret")
        if rest == ["versions"]:
            what = "readMetadata"
        granted = self.granted.get((token, name), ())
        if f"Microsoft.KeyVault/vaults/secrets/{what}/action" not in granted:
            return _error(403, "Forbidden", "ForbiddenByRbac")
        if method == "PUT":
            return self._put(name, json.loads(body))
        versions = self.secrets.get(name, [])
        if rest == ["versions"]:
            return 200, {"value": [{**one, "value": None} for one in versions], "nextLink": None}
        wanted = rest[0] if rest else ""
        found = [one for one in versions if one["id"].endswith(f"/{wanted}") or not wanted]
        changes = json.loads(body)["attributes"] if method == "PATCH" else None
        return self._one(found[-1], changes) if found else _error(404, "SecretNotFound", "")

    def _one(self, found: Version, changes: dict[str, Any] | None) -> tuple[int, Any]:
        if changes is not None:
            found["attributes"] |= changes
        elif not found["attributes"]["enabled"]:
            return _error(403, "Forbidden", "SecretDisabled")
        return 200, found

    def _put(self, name: str, body: Any) -> tuple[int, Any]:
        while self.before_put:
            self.before_put.pop()()
        if name in self.deleted:
            return _error(409, "Conflict", "ObjectIsDeletedButRecoverable")
        kept = {field: body.get(field) for field in ("contentType", "tags")}
        return 200, self.set(name, body["value"], **kept)


def _error(status: int, code: str, inner: str) -> tuple[int, Any]:
    said = {"code": code, "message": "no", "innererror": {"code": inner} if inner else None}
    return status, {"error": said}


def _handler(vault: KeyVault) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5
        wbufsize = -1

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
            headers: dict[str, str] = {}
            if not token:
                vault.challenged += 1
                status, answer = _error(401, "Unauthorized", "")
                headers = {"WWW-Authenticate": CHALLENGE}
            elif vault.trouble and not vault.trouble[0]:
                self.close_connection = True
                return
            elif vault.trouble:
                status, headers = vault.trouble
                answer = {}
            else:
                path = urlsplit(self.path).path.rstrip("/")
                status, answer = vault.answer(self.command, path, token, body)
            sent = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "content-type": "application/json"}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        do_GET = do_PUT = do_PATCH = handle_any  # noqa: N815 - http.server's

    return Handler
