"""The HTTP API of the sandbox: routes, authentication, error bodies, correlation ids, faults."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.sandbox.errors import Refused, invalid, not_found
from tests.sandbox.faults import Faults
from tests.sandbox.keys import Key, Keys
from tests.sandbox.schema import changes
from tests.sandbox.state import Instance, Version, iso

CORRELATION = "x-correlation-id"
MOST_PER_PAGE = 100

Act = Callable[[Request, Instance, Mapping[str, Any]], "Result"]


class Result(NamedTuple):
    """What an operation answers."""

    body: Mapping[str, Any]
    status: int = 200


class Call(NamedTuple):
    """One request that arrived; `key` is the label of the key that it used, if it was known."""

    method: str
    path: str
    query: str
    key: str
    correlation_id: str
    status: int
    body: Mapping[str, Any]


class Api:
    """The routes over instances, keys and faults; `calls` lists what arrived."""

    def __init__(self, instances: Mapping[str, Instance], keys: Keys, faults: Faults) -> None:
        self._instances, self._keys, self._faults = instances, keys, faults
        self.calls: list[Call] = []
        root = "/instances/{instance_id}/memory-architecture"
        self.app = Starlette(
            routes=[
                Route("/api/v1/auth/whoami", self._guarded(self._whoami)),
                self._route(f"{root}/init", _init, "POST"),
                self._route(f"{root}/update", _update, "POST"),
                self._route(f"{root}/apply/{{config_id}}", _apply, "POST"),
                self._route(f"{root}/rollback/{{config_id}}", _rollback, "POST"),
                self._route(f"{root}/review/{{config_id}}", _review, "POST"),
                self._route(f"{root}/config", _active, "GET"),
                self._route(f"{root}/config/{{config_id}}", _config, "GET"),
                self._route(f"{root}/versions", _versions, "GET"),
                self._route("/dashboard/configs/{instance_id}", _detail, "GET"),
                self._route("/dashboard/configs/{instance_id}/history", _history, "GET"),
                Route("/{rest:path}", self._guarded(_nowhere), methods=["GET", "POST"]),
            ]
        )

    def _route(self, path: str, act: Act, method: str) -> Route:
        async def operate(request: Request, key: Key, body: Mapping[str, Any]) -> Result:
            instance = self._instances.get(request.path_params["instance_id"])
            if instance is None:
                raise not_found("instance")
            if key.instance_id != instance.id:
                raise Refused(403, "FORBIDDEN", "this key belongs to another instance")
            if not instance.credits:
                raise Refused(
                    402,
                    "INSUFFICIENT_CREDITS",
                    "the balance does not cover this request",
                    details={"balance_credits": 0.0, "minimum_required_credits": 1.0},
                )
            return act(request, instance, body)

        return Route(path, self._guarded(operate), methods=[method])

    def _guarded(
        self, operate: Callable[[Request, Key, Mapping[str, Any]], Awaitable[Result]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Wrap an operation with what holds for each: faults, keys, errors, correlation ids."""

        async def endpoint(request: Request) -> Response:
            correlation = request.headers.get(CORRELATION) or f"corr_{uuid4().hex[:16]}"
            fault = self._faults.take(request.method, request.url.path)
            raw = await request.body()
            if fault is not None and not fault.taken:
                answer = await self._faults.answer(fault)
                self._note(request, correlation, answer.status_code, raw)
                return answer
            answer = await self._operate(operate, request, raw, correlation)
            if fault is not None:
                answer = await self._faults.answer(fault)
            self._note(request, correlation, answer.status_code, raw)
            answer.headers[CORRELATION] = correlation
            return answer

        return endpoint

    async def _operate(
        self,
        operate: Callable[[Request, Key, Mapping[str, Any]], Awaitable[Result]],
        request: Request,
        raw: bytes,
        correlation: str,
    ) -> Response:
        try:
            key = self._keys.authenticate(request.headers.get("authorization"))
            result = await operate(request, key, _object(raw))
        except Refused as refused:
            details = {**refused.details, "correlation_id": correlation}
            said = {"error": refused.text, "code": refused.code, "details": details}
            return JSONResponse(said, refused.status, refused.headers)
        return JSONResponse(dict(result.body), result.status)

    async def _whoami(self, _: Request, key: Key, __: Mapping[str, Any]) -> Result:
        # client_id, instance_id and user_context_isolation are what the SDK reads; the label is
        # assumed
        return Result(
            {
                "client_id": key.client_id,
                "instance_id": key.instance_id,
                "user_context_isolation": "user",
                "label": key.label,
            }
        )

    def _note(self, request: Request, correlation: str, status: int, raw: bytes) -> None:
        try:
            label = self._keys.find(request.headers["authorization"].partition(" ")[2]).label
        except KeyError:
            label = ""
        body = _object(raw) if raw[:1] == b"{" else {}
        path, query = request.url.path, request.url.query
        self.calls.append(Call(request.method, path, query, label, correlation, status, body))


async def _nowhere(_: Request, __: Key, ___: Mapping[str, Any]) -> Result:
    raise not_found("route")


def _init(_: Request, instance: Instance, body: Mapping[str, Any]) -> Result:
    return _submitted(*instance.init(body))._replace(status=201)


def _update(_: Request, instance: Instance, body: Mapping[str, Any]) -> Result:
    return _submitted(*instance.update(body))


def _submitted(version: Version, flags: list[dict[str, str]], text: str) -> Result:
    return Result(
        {
            "config_id": version.config_id,
            "status": version.status,
            "message": text,
            "review_flags": flags,
        }
    )


def _apply(request: Request, instance: Instance, body: Mapping[str, Any]) -> Result:
    version, before = instance.apply(request.path_params["config_id"], body)
    return _activated(version, before, f"Configuration {version.config_id} is now active.")


def _rollback(request: Request, instance: Instance, body: Mapping[str, Any]) -> Result:
    version, before = instance.rollback(request.path_params["config_id"], body)
    return _activated(version, before, f"Rolled back to configuration {version.config_id}.")


def _activated(version: Version, before: Version | None, text: str) -> Result:
    return Result(
        {
            "success": True,
            "status": version.status,
            "message": text,
            "applied_at": iso(version.applied_at or 0),
            "rollback_config_id": before.config_id if before else None,
        }
    )


def _review(request: Request, instance: Instance, body: Mapping[str, Any]) -> Result:
    version = instance.review(request.path_params["config_id"], body)
    return Result({"success": True, "status": version.status})


def _active(_: Request, instance: Instance, __: Mapping[str, Any]) -> Result:
    if instance.active is None:
        raise not_found("an active configuration")
    return Result(instance.active.whole())


def _config(request: Request, instance: Instance, _: Mapping[str, Any]) -> Result:
    return Result(instance.find(request.path_params["config_id"]).whole())


def _versions(request: Request, instance: Instance, _: Mapping[str, Any]) -> Result:
    page, size = _number(request, "page", 1), _number(request, "page_size", 20)
    if size > MOST_PER_PAGE:
        raise invalid("page_size is at most 100", "page_size")
    rows, total = instance.page(page, size)
    return Result(
        {
            "data": [version.summary() for version in rows],
            "page": page,
            "page_size": size,
            "total": total,
            "total_pages": math.ceil(total / size),
        }
    )


def _detail(request: Request, instance: Instance, body: Mapping[str, Any]) -> Result:
    whole = _active(request, instance, body).body
    return Result(
        {
            **whole,
            "last_modifier": whole["applied_by"],
            "change_frequency": {"last_30_days": len(instance.versions)},
            "health_status": "healthy",
        }
    )


def _history(_: Request, instance: Instance, __: Mapping[str, Any]) -> Result:
    rows = []
    for before, version in zip([None, *instance.versions], instance.versions, strict=False):
        held = before.config if before else {}
        rows.append(
            {
                **version.summary(),
                "diff": changes(held, version.config) if before else [],
                "review_comments": version.notes,
            }
        )
    timeline = [{"operation": name, "config_id": ident} for name, ident in instance.operations]
    return Result({"data": rows[::-1], "timeline": timeline})


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(raw or b"{}")
    except ValueError:
        raise invalid("the body is not JSON", "body") from None
    if not isinstance(found, dict):
        raise invalid("the body is not an object", "body")
    return found


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise invalid(f"{name} must be a positive number", name)
    return int(text)
