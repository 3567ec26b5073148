"""The sandbox answers as Synap's documents say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.build import NOW
from tests.sandbox import FREE, Sandbox, VirtualClock
from tests.sandbox.sandbox import CLIENT, INSTANCE

ROOT = f"/instances/{INSTANCE}/memory-architecture"
WHOAMI = "/api/v1/auth/whoami"


@pytest.fixture
def clock() -> VirtualClock:
    """Return a clock that stands at NOW."""
    return VirtualClock(NOW)


@pytest.fixture
def synap(clock: VirtualClock) -> Iterator[Sandbox]:
    """Yield a sandbox whose time stands still."""
    built = Sandbox(clock=clock)
    yield built
    built.close()


@pytest.fixture
def http(synap: Sandbox) -> Iterator[httpx2.Client]:
    """Yield a client with a live key."""
    headers = {"authorization": f"Bearer {synap.issue_key(plan=FREE)}"}
    with httpx2.Client(base_url=synap.url, headers=headers) as client:
        yield client


def test_a_rate_of_the_free_plan(clock: VirtualClock, http: httpx2.Client) -> None:
    """Ten calls at once, then 429 with Retry-After, and one more with each second."""
    assert [http.get(WHOAMI).status_code for _ in range(10)] == [200] * 10

    refused = http.get(WHOAMI)
    assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
    assert refused.headers["retry-after"] == "2"
    clock.advance(2)
    assert [http.get(WHOAMI).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        pytest.param("", "UNAUTHORIZED", id="none"),
        pytest.param("Basic abc", "UNAUTHORIZED", id="another scheme"),
        pytest.param("Bearer synap_" + "0" * 60, "CREDENTIAL_INVALID", id="unknown key"),
    ],
)
def test_who_nobody_is(http: httpx2.Client, authorization: str, code: str) -> None:
    """Without a live key the answer is 401, with the code that says why."""
    answer = http.get(WHOAMI, headers={"authorization": authorization})

    assert (answer.status_code, answer.json()["code"]) == (401, code)


def test_errors_have_one_shape(http: httpx2.Client) -> None:
    """Every refusal is error, code and details, with the correlation id that was sent."""
    answer = http.get("/nowhere", headers={"x-correlation-id": "corr_1"})

    assert (answer.status_code, set(answer.json())) == (404, {"error", "code", "details"})
    assert answer.headers["x-correlation-id"] == "corr_1"
    assert answer.json()["details"]["correlation_id"] == "corr_1"


BAD: list[Any] = [
    pytest.param("POST", "/init", {"client_id": CLIENT}, 400, id="init by nobody"),
    pytest.param(
        "POST", "/init", {"client_id": "cli_x", "triggered_by_user_id": "u"}, 403, id="not theirs"
    ),
    pytest.param("POST", "/apply/maca_cfg_0", {"applied_by": "u"}, 404, id="apply nothing"),
    pytest.param("POST", "/apply/x", {"applied_by": "u", "mode": "fast"}, 400, id="apply how"),
    pytest.param(
        "POST", "/review/x", {"decision": "maybe", "reviewed_by": "u"}, 400, id="review how"
    ),
    pytest.param("POST", "/rollback/x", {}, 400, id="roll back by nobody"),
    pytest.param("GET", "/versions?page_size=101", None, 400, id="too large a page"),
    pytest.param("GET", "/versions?page=0", None, 400, id="page 0"),
    pytest.param("GET", "/config", None, 404, id="nothing active"),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD)
def test_what_it_refuses(
    http: httpx2.Client, method: str, path: str, body: dict[str, str] | None, status: int
) -> None:
    """Requests that the documents do not allow are answered as documented."""
    assert http.request(method, ROOT + path, json=body).status_code == status


def test_a_second_init_conflicts(synap: Sandbox, http: httpx2.Client) -> None:
    """An instance is initialized once."""
    body = {"client_id": CLIENT, "triggered_by_user_id": "u"}
    assert http.post(f"{ROOT}/init", json=body).status_code == 201

    assert http.post(f"{ROOT}/init", json=body).json()["code"] == "CONFIG_CONFLICT"
    assert len(synap.instance.versions) == 1
