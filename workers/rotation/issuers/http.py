"""Issuer `http`: an API that makes, lists and revokes keys, described by the configuration.

    create:  {url, method: POST, body: '{"label": "{name}"}', key_id: data.id, value: data.key}
    list:    {url, method: GET, items: data, key_id: id, name: label}
    revoke:  {url: ".../keys/{key_id}", method: DELETE}

`{name}` and `{key_id}` are filled in, escaped for where they stand; a path such as `data.0.id`
leads to a value in the answer. Each call that changes something carries an `Idempotency-Key`. The
list must answer with the keys of that name on one page of at most 64 KiB: filter by `{name}`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from workers.outbound import callable_url, redact
from workers.rotation.calling import Request, call, json_of
from workers.rotation.errors import PermanentError, Reason, TransientError
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Found, Issued
from workers.section import Secret as Given
from workers.section import SecretUnreadableError, Section

IDEMPOTENCY: Final = "idempotency-key"
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

_GONE: Final = frozenset({404, 410})
_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "create": ("key_id", "value"),
    "list": ("key_id", "name"),
    "revoke": (),
}
_METHODS: Final = {"create": "POST", "list": "GET", "revoke": "DELETE"}


class Call(NamedTuple):
    """One kind of call: what is sent, and the paths to what its answer holds."""

    method: str
    url: str
    body: str = ""
    items: str = ""
    paths: Mapping[str, str] = {}


class Http:
    """Makes and revokes keys by calls of the configuration."""

    def __init__(
        self,
        calls: Mapping[str, Call],
        authorization: Given | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._calls = calls
        self._authorization = authorization
        self._clock = clock

    def issue(self, name: str, token: str) -> Issued:
        """Make a key of this name."""
        said = self._call("create", {"name": name}, token)
        paths = self._calls["create"].paths
        key_id, value = (_text(said, paths[field]) for field in ("key_id", "value"))
        if not key_id or not value:
            raise PermanentError(
                Reason.INVALID, "http issuer: the answer has no key at the configured paths"
            )
        return Issued(key_id, Secret(value))

    def find(self, name: str) -> Sequence[Found]:
        """Return the keys whose name is exactly this."""
        said = self._call("list", {"name": name})
        listing = self._calls["list"]
        items = _at(said, listing.items)
        if not isinstance(items, list):
            raise PermanentError(Reason.INVALID, "http issuer: no list at the configured path")
        found = (
            Found(_text(item, listing.paths["key_id"]), _text(item, listing.paths["name"]))
            for item in items
        )
        return [key for key in found if key.key_id and key.name == name]

    def revoke(self, key_id: str, token: str) -> None:
        """Revoke a key; 404 and 410 mean that it is gone, which is what was wanted."""
        self._call("revoke", {"key_id": key_id}, token, _GONE)

    def _call(
        self,
        kind: str,
        values: Mapping[str, str],
        token: str = "",
        also: frozenset[int] = frozenset(),
    ) -> Any:
        """Make a call and return what its answer holds; None where nothing is read of it."""
        described = self._calls[kind]
        url = _filled(described.url, values, lambda value: quote(value, safe=""))
        body = _filled(described.body, values, lambda value: json.dumps(value)[1:-1])
        name = f"http issuer {redact(url)} {kind}"
        headers = {IDEMPOTENCY: token} if token else {}
        try:
            if self._authorization:
                headers["authorization"] = self._authorization.reveal()
        except SecretUnreadableError as error:
            raise TransientError(Reason.NOT_FOUND, f"{name}: {error}") from None
        request = Request(name, described.method, url, body.encode(), headers, also)
        answer = call(request, self._clock())
        return json_of(answer, name) if described.paths else None


def _filled(template: str, values: Mapping[str, str], escape: Callable[[str], str]) -> str:
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", escape(value))
    return template


def _at(said: Any, path: str) -> Any:
    """Return what stands at a path such as `data.0.id`; None if nothing does."""
    for part in path.split(".") if path else ():
        if isinstance(said, dict):
            said = said.get(part)
        elif isinstance(said, list) and part.isdecimal() and int(part) < len(said):
            said = said[int(part)]
        else:
            return None
    return said


def _text(said: Any, path: str) -> str:
    found = _at(said, path)
    return str(found) if isinstance(found, str | int) else ""


def read(section: Section) -> Http:
    """Read the entry of type `http`."""
    calls = {kind: _read_call(kind, section) for kind in _PATHS}
    return Http(calls, section.secret("authorization"))


def _read_call(kind: str, section: Section) -> Call:
    inner = section.section(kind)
    if inner is None:
        section.problem(f'"{kind}" is missing: how keys are made, listed and revoked')
        return Call("", "")
    method = inner.text("method", _METHODS[kind]).upper()
    if method not in METHODS:
        inner.problem(f'"{method}" is no method: use one of {", ".join(METHODS)}', "method")
    url = inner.text("url")
    if not callable_url(url):
        inner.problem("url must be an http or https URL", "url")
    if kind == "revoke" and "{key_id}" not in url + inner.text("body"):
        inner.problem('"{key_id}" must stand in url or body: which key is revoked')
    paths = {field: inner.text(field) for field in _PATHS[kind]}
    for field, path in paths.items():
        if not path:
            inner.problem(f'"{field}" is missing: the path to it in the answer')
    items = inner.text("items") if kind == "list" else ""
    described = Call(method, url, inner.text("body"), items, paths)
    inner.close()
    return described
