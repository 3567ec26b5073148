"""A fake of Google Cloud Secret Manager: its wire, under Google's own client.

gRPC generic handlers with Google's own messages and crc32c over a loopback port. It knows four
methods and the permissions that Google documents for four roles; nothing of Google answers here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Any

import google_crc32c
import grpc
from google.cloud.secretmanager_v1 import (
    AccessSecretVersionRequest,
    AccessSecretVersionResponse,
    AddSecretVersionRequest,
    DestroySecretVersionRequest,
    ListSecretVersionsRequest,
    ListSecretVersionsResponse,
    SecretManagerServiceClient,
    SecretVersion,
)
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)

State = SecretVersion.State
SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
ROLES: Mapping[str, frozenset[str]] = {
    "roles/secretmanager.secretAccessor": frozenset({"access"}),
    "roles/secretmanager.secretVersionAdder": frozenset({"add"}),
    "roles/secretmanager.secretVersionManager": frozenset({"add", "destroy", "list", "get"}),
    "roles/secretmanager.viewer": frozenset({"list", "get"}),
}


class SecretManager:
    """Secrets by their name, each a list of versions, and what may be done with each."""

    def __init__(self) -> None:
        self.secrets: dict[str, list[tuple[bytes, State]]] = {}
        self.granted: dict[str, frozenset[str]] = {}
        self.damaged = False
        self.before_add: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((self._methods(),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.stop(None).wait()

    def client(self, port: int | None = None) -> SecretManagerServiceClient:
        """Return Google's client, bound to this server."""
        channel = grpc.insecure_channel(f"127.0.0.1:{self.port if port is None else port}")
        return SecretManagerServiceClient(
            transport=SecretManagerServiceGrpcTransport(channel=channel)
        )

    def grant(self, secret: str, roles: Sequence[str]) -> None:
        """Let callers do with a secret what these roles permit."""
        self.granted[secret] = frozenset[str]().union(*(ROLES[role] for role in roles))

    def add(self, secret: str, value: bytes) -> str:
        """Add a version as somebody else would."""
        with self._lock:
            versions = self.secrets.setdefault(secret, [])
            versions.append((value, State.ENABLED))
            return f"{secret}/versions/{len(versions)}"

    def _methods(self) -> grpc.GenericRpcHandler:
        table = {
            "AccessSecretVersion": (
                self._access, AccessSecretVersionRequest, AccessSecretVersionResponse,
            ),
            "AddSecretVersion": (self._add, AddSecretVersionRequest, SecretVersion),
            "ListSecretVersions": (
                self._list, ListSecretVersionsRequest, ListSecretVersionsResponse,
            ),
            "DestroySecretVersion": (self._destroy, DestroySecretVersionRequest, SecretVersion),
        }  # fmt: skip
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(call, request.deserialize, answer.serialize)
            for name, (call, request, answer) in table.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _versions(self, secret: str, permission: str, context: Any) -> list[tuple[bytes, State]]:
        if permission not in self.granted.get(secret, ()):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"Permission denied on {secret}")
        if secret not in self.secrets:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Secret [{secret}] not found")
        return self.secrets[secret]

    def _access(self, request: AccessSecretVersionRequest, context: Any) -> Any:
        secret, _, number = request.name.partition("/versions/")
        with self._lock:
            versions = self._versions(secret, "access", context)
            at = len(versions) if number == "latest" else int(number)
            if not 0 < at <= len(versions):
                context.abort(grpc.StatusCode.NOT_FOUND, "version not found")
            data, state = versions[at - 1]
        if state != State.ENABLED:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"it is in {state.name} state")
        return AccessSecretVersionResponse(
            name=f"{secret}/versions/{at}",
            payload={"data": data, "data_crc32c": google_crc32c.value(data) + self.damaged},
        )

    def _add(self, request: AddSecretVersionRequest, context: Any) -> Any:
        while self.before_add:
            self.before_add.pop()()
        self._versions(request.parent, "add", context)
        if request.payload.data_crc32c != google_crc32c.value(request.payload.data):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "checksum mismatch")
        return SecretVersion(name=self.add(request.parent, request.payload.data), state=1)

    def _list(self, request: ListSecretVersionsRequest, context: Any) -> Any:
        versions = self._versions(request.parent, "list", context)
        listed = [
            SecretVersion(name=f"{request.parent}/versions/{number}", state=state)
            for number, (_, state) in enumerate(versions, start=1)
        ]
        start = int(request.page_token or 0)
        end = start + (request.page_size or 25_000)
        return ListSecretVersionsResponse(
            versions=listed[::-1][start:end],
            next_page_token=str(end) if end < len(listed) else "",
        )

    def _destroy(self, request: DestroySecretVersionRequest, context: Any) -> Any:
        secret, _, number = request.name.partition("/versions/")
        versions = self._versions(secret, "destroy", context)
        versions[int(number) - 1] = (b"", State.DESTROYED)
        return SecretVersion(name=request.name, state=State.DESTROYED)
