"""A fake of the Kubernetes API: its shape on the wire, nothing of what stands behind it.

It keeps objects, counts `resourceVersion` and `generation`, answers `Status` objects with the
codes and reasons of the real one (401, 403 by the rules of a Role, 404, 409, 422), selects by
label and merges patches. No controller runs in it: a test plays that part and says so.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json")
REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    415: "UnsupportedMediaType",
    422: "Invalid",
    500: "InternalError",
}

Object = dict[str, Any]


class Refusal(Exception):  # noqa: N818 - it is the answer, no error of ours
    """The call is answered with a Status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class ApiServer:
    """Objects by their path, who may do what, and what was asked."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.objects: dict[str, Object] = {}
        self.rules: dict[str, list[Object] | None] = {}
        self.calls: list[tuple[str, str]] = []
        self.before_patch: list[Callable[[], None]] = []
        self._versions = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def token(self, name: str, role: Path | None, **renamed: str) -> str:
        """Let a token do what a Role says; None: everything. Names in it may be replaced."""
        self.rules[name] = None
        if role is not None:
            text = role.read_text()
            for old, new in renamed.items():
                text = text.replace(old.replace("_", "-"), new)
            self.rules[name] = yaml.safe_load(text)["rules"]
        return name

    def kubeconfig(self, folder: Path, token: str, url: str = "") -> Path:
        """Write a kubeconfig that uses a token."""
        path = folder / f"kubeconfig-{token}-{len(url)}"
        config = {
            "clusters": [{"name": "c", "cluster": {"server": url or self.url}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(json.dumps(config))
        return path

    def put(self, path: str, found: Mapping[str, Any]) -> Object:
        """Write an object as somebody else would."""
        with self.lock:
            self._versions += 1
            made: Object = {"kind": "Object", **json.loads(json.dumps(found))}
            metadata = made.setdefault("metadata", {})
            metadata["name"] = path.rpartition("/")[2]
            metadata["resourceVersion"] = str(self._versions)
            metadata.setdefault("generation", 1)
            self.objects[path] = made
            return made

    def change(self, path: str, patch: Mapping[str, Any]) -> Object:
        """Merge a patch into an object as somebody else, a controller or a person, would."""
        with self.lock:
            before = self.objects[path]
            after = merged(before, patch)
            if after.get("spec") != before.get("spec"):
                after["metadata"]["generation"] += 1
            return self.put(path, after)

    def answer(self, method: str, target: str, token: str, kind: str, body: bytes) -> Object:
        """Answer one call.

        Raises:
            Refusal: with the code of the real one.
        """
        parts = urlsplit(target)
        path, query = parts.path, parse_qs(parts.query)
        self._authorize(method, path, token)
        if method == "GET" and path not in self.objects:
            return self._list(path, query.get("labelSelector", [""])[0])
        if method == "PATCH":
            while self.before_patch:
                self.before_patch.pop()()
        with self.lock:
            if path not in self.objects:
                raise Refusal(404, "not found")
            if method == "GET":
                return self.objects[path]
            return self._patch(path, kind, json.loads(body))

    def _patch(self, path: str, kind: str, patch: Object) -> Object:
        if kind not in PATCHES:
            raise Refusal(415, f"the body of the request was in an unknown format: {kind}")
        found = self.objects[path]
        asked = patch.get("metadata", {}).pop("resourceVersion", None)
        if asked is not None and asked != found["metadata"]["resourceVersion"]:
            raise Refusal(409, "the object has been modified; please apply your changes")
        if found.get("immutable") and "data" in patch:
            raise Refusal(422, "data: Forbidden: field is immutable when `immutable` is set")
        return self.change(path, patch)

    def _list(self, path: str, selector: str) -> Object:
        with self.lock:
            items = [
                found
                for place, found in sorted(self.objects.items())
                if place.rpartition("/")[0] == path and selected(found, selector)
            ]
            known = any(place.startswith(f"{path}/") for place in self.objects)
        if not known and path.count("/") > 6:  # a name, not a collection
            raise Refusal(404, "not found")
        # lists of the real one leave out kind and apiVersion of their items
        return {"kind": "List", "items": items}

    def _authorize(self, method: str, path: str, token: str) -> None:
        if token not in self.rules:
            raise Refusal(401, "Unauthorized")
        rules = self.rules[token]
        parts = path.strip("/").split("/")
        group = "" if parts[0] == "api" else parts[1]
        resource, name = ([*parts[parts.index("namespaces") + 2 :], ""])[:2]
        verb = {"GET": "get" if name else "list", "PATCH": "patch"}[method]
        if rules is not None and not any(
            _permits(rule, group, resource, name, verb) for rule in rules
        ):
            raise Refusal(403, f'cannot {verb} resource "{resource}"')


def _permits(rule: Object, group: str, resource: str, name: str, verb: str) -> bool:
    named = rule.get("resourceNames")
    return (
        group in rule["apiGroups"]
        and resource in rule["resources"]
        and verb in rule["verbs"]
        and (named is None or name in named)
    )


def merged(found: Any, patch: Any) -> Any:
    """Return a JSON value with a patch merged into it: null removes."""
    if not isinstance(found, dict) or not isinstance(patch, dict):
        return patch
    after = dict(found)
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = merged(found.get(name, {}), value)
    return after


def selected(found: Object, selector: str) -> bool:
    """Say whether an object has the labels `a=b,c=d`."""
    labels = found["metadata"].get("labels") or {}
    wanted = [part.split("=") for part in selector.split(",") if part]
    return all(labels.get(name) == value for name, value in wanted)


def _handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5
        wbufsize = -1  # head and body in one packet, or each answer waits for an ACK

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
            kind = self.headers.get("content-type") or ""
            server.calls.append((self.command, self.path))
            try:
                code, answer = 200, server.answer(self.command, self.path, token, kind, body)
            except Refusal as refusal:
                code, answer = refusal.code, _status(refusal)
            sent = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        do_GET = do_PATCH = handle_any  # noqa: N815 - http.server's

    return Handler


def _status(refusal: Refusal) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": str(refusal),
        "reason": REASONS[refusal.code],
        "code": refusal.code,
    }
