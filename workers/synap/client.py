"""Every documented endpoint of Synap's API that has to do with configurations, and whoami."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from workers.reading import clean
from workers.synap import requests
from workers.synap.answers import (
    Answer,
    Applied,
    ConfigDetail,
    Configuration,
    History,
    Identity,
    Reviewed,
    Submitted,
    Version,
    VersionPage,
    read,
)
from workers.synap.errors import ConflictError, InvalidInputError
from workers.synap.reply import Reply
from workers.synap.requests import OUTCOME_OF, Status
from workers.synap.transport import Transport, Wanted

WHOAMI: Final = "/api/v1/auth/whoami"
MOST_PER_PAGE: Final = 100
LOOKED_UP: Final = "no answer came; looking it up showed that it was carried out"

OPERATIONS: Final = (
    "init", "update", "review", "apply", "rollback", "active", "config", "versions", "detail",
    "history", "whoami",
)  # fmt: skip
"""The closed set under which calls are counted."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")

A = TypeVar("A", bound=Answer)


class Client:
    """The API, one method for each endpoint; `deadline` is Unix seconds, repeats included.

    Every method raises `ApiError`. Nothing that could do harm twice is done twice: what timed out
    is looked up before it is repeated.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def configured(self, instance_id: str) -> bool:
        """Say whether there is a key to call with for an instance."""
        return self._transport.configured(instance_id)

    def whoami(self, instance_id: str = "", *, deadline: float | None = None) -> Identity:
        """Return whose the key is that would be used for an instance."""
        wanted = Wanted("whoami", instance_id, "GET", WHOAMI)
        return self._call(wanted, Identity, deadline)

    def active(self, instance_id: str, *, deadline: float | None = None) -> Configuration:
        """Return the active configuration."""
        return self._get("active", instance_id, "config", Configuration, deadline)

    def configuration(
        self, instance_id: str, config_id: str, *, deadline: float | None = None
    ) -> Configuration:
        """Return one version, whatever its status."""
        path = f"config/{_identifier(config_id)}"
        return self._get("config", instance_id, path, Configuration, deadline)

    def versions(
        self,
        instance_id: str,
        *,
        page: int = 1,
        page_size: int = MOST_PER_PAGE,
        deadline: float | None = None,
    ) -> VersionPage:
        """Return one page of the versions, newest first."""
        path = f"versions?page={page}&page_size={page_size}"
        return self._get("versions", instance_id, path, VersionPage, deadline)

    def every_version(
        self, instance_id: str, *, deadline: float | None = None
    ) -> Iterator[Version]:
        """Yield every version, newest first, asking for pages as they are needed."""
        number = 1
        while True:
            page = self.versions(instance_id, page=number, deadline=deadline)
            yield from page.data
            if not page.data or number >= (page.total_pages or 0):
                return
            number += 1

    def detail(self, instance_id: str, *, deadline: float | None = None) -> ConfigDetail:
        """Return the active configuration with what the dashboard adds."""
        path = f"/dashboard/configs/{_identifier(instance_id)}"
        return self._call(Wanted("detail", instance_id, "GET", path), ConfigDetail, deadline)

    def history(self, instance_id: str, *, deadline: float | None = None) -> History:
        """Return every version with what the dashboard adds."""
        path = f"/dashboard/configs/{_identifier(instance_id)}/history"
        return self._call(Wanted("history", instance_id, "GET", path), History, deadline)

    def init(
        self, instance_id: str, request: requests.Init, *, deadline: float | None = None
    ) -> Submitted:
        """Generate the first configuration; it waits for its review."""
        by = clean(request.triggered_by_user_id)
        return self._submit("init", instance_id, request, by=by, reason=None, deadline=deadline)

    def update(
        self, instance_id: str, request: requests.Update, *, deadline: float | None = None
    ) -> Submitted:
        """Submit a full or partial configuration; it waits for its review."""
        by, reason = clean(request.triggered_by_user_id), clean(request.reason)
        return self._submit("update", instance_id, request, by=by, reason=reason, deadline=deadline)

    def review(
        self,
        instance_id: str,
        config_id: str,
        request: requests.Review,
        *,
        deadline: float | None = None,
    ) -> Reviewed:
        """Record a decision on a configuration."""

        def taken(until: float) -> Reviewed | None:
            found = self.configuration(instance_id, config_id, deadline=until)
            decided = found.status == OUTCOME_OF[request.decision]
            return Reviewed(success=True, status=found.status) if decided else None

        wanted = _posted("review", instance_id, request, config_id)
        return _held(self._call(wanted, Reviewed, deadline, taken), "review")

    def apply(
        self,
        instance_id: str,
        config_id: str,
        request: requests.Apply,
        *,
        deadline: float | None = None,
    ) -> Applied:
        """Make an approved configuration the active one."""
        taken = partial(self._activated, instance_id, config_id)
        wanted = _posted("apply", instance_id, request, config_id)
        return _held(self._call(wanted, Applied, deadline, taken), "apply")

    def rollback(
        self,
        instance_id: str,
        config_id: str,
        request: requests.Rollback,
        *,
        deadline: float | None = None,
    ) -> Applied:
        """Make a configuration active again that was active before."""
        taken = partial(self._activated, instance_id, config_id)
        wanted = _posted("rollback", instance_id, request, config_id)
        return _held(self._call(wanted, Applied, deadline, taken), "rollback")

    def _activated(self, instance_id: str, config_id: str, until: float) -> Applied | None:
        """Say whether a configuration is the active one now."""
        found = self.configuration(instance_id, config_id, deadline=until)
        if found.status != Status.ACTIVE:
            return None
        return Applied(
            success=True, status=found.status, message=LOOKED_UP, applied_at=found.applied_at
        )

    def _submit(
        self,
        operation: str,
        instance_id: str,
        request: requests.Request,
        *,
        by: str,
        reason: str | None,
        deadline: float | None,
    ) -> Submitted:
        """Submit a configuration once: what is newer than before and ours was submitted by us."""
        before = self._newest(instance_id, deadline)

        def taken(until: float) -> Submitted | None:
            for row in self.versions(instance_id, page_size=20, deadline=until).data:
                ours = row.triggered_by == by and reason in (None, row.reason)
                if ours and (row.version or 0) > before:
                    return Submitted(config_id=row.config_id, status=row.status, message=LOOKED_UP)
            return None

        return self._call(_posted(operation, instance_id, request), Submitted, deadline, taken)

    def _newest(self, instance_id: str, deadline: float | None) -> int:
        rows = self.versions(instance_id, page_size=1, deadline=deadline).data
        return max((row.version or 0 for row in rows), default=0)

    def _get(
        self, operation: str, instance_id: str, rest: str, model: type[A], deadline: float | None
    ) -> A:
        wanted = Wanted(operation, instance_id, "GET", _path(instance_id, rest))
        return self._call(wanted, model, deadline)

    def _call(
        self,
        wanted: Wanted,
        model: type[A],
        deadline: float | None,
        taken: Callable[[float], A | None] | None = None,
    ) -> A:
        def answer(reply: Reply) -> A:
            return read(model, reply.body, status=reply.status, correlation_id=reply.correlation_id)

        return self._transport.call(wanted, read=answer, deadline=deadline, taken=taken)


R = TypeVar("R", Applied, Reviewed)


def _held(answer: R, operation: str) -> R:
    """Return an answer that says that it was done."""
    if answer.success is False:
        raise ConflictError(f"Synap answered that {operation} did not succeed")
    return answer


def _posted(
    operation: str, instance_id: str, request: requests.Request, config_id: str | None = None
) -> Wanted:
    rest = operation if config_id is None else f"{operation}/{_identifier(config_id)}"
    body: Mapping[str, Any] = request.to_wire()
    return Wanted(operation, instance_id, "POST", _path(instance_id, rest), body)


def _path(instance_id: str, rest: str) -> str:
    return f"/instances/{_identifier(instance_id)}/memory-architecture/{rest}"


def _identifier(text: str) -> str:
    """Return an identifier that may stand in a path: it came from an event or a person."""
    if not _IDENTIFIER.fullmatch(text):
        raise InvalidInputError("an id has letters, digits, _ and - only")
    return text
