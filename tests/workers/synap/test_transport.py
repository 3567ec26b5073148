"""What goes wrong, what is tried again, how long it takes, how much is asked."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.sandbox import Fault
from tests.sandbox.sandbox import INSTANCE
from tests.workers.synap.rig import Rig, reach
from workers.metrics import API_OPERATIONS, API_OUTCOMES, WorkerMetrics
from workers.synap import errors
from workers.synap.client import OPERATIONS
from workers.synap.errors import (
    ApiError,
    CreditsError,
    ForbiddenError,
    InvalidInputError,
    NotConfiguredError,
    PermanentError,
    RateLimitedError,
    Reason,
    ServerError,
    TimedOutError,
    UnauthenticatedError,
    UnreachableError,
    UnreadableError,
)
from workers.synap.transport import Policy
from workers.wiring import noting

PERMANENT = [
    pytest.param(400, "INVALID_INPUT", InvalidInputError, id="400"),
    pytest.param(401, "CREDENTIAL_INVALID", UnauthenticatedError, id="401"),
    pytest.param(402, "INSUFFICIENT_CREDITS", CreditsError, id="402"),
    pytest.param(403, "FORBIDDEN", ForbiddenError, id="403"),
    pytest.param(404, "NOT_FOUND", errors.NotFoundError, id="404"),
    pytest.param(409, "CONFIG_CONFLICT", errors.ConflictError, id="409"),
    pytest.param(409, "CONFIG_ALREADY_ACTIVE", errors.AlreadyActiveError, id="409 active"),
    pytest.param(418, "TEAPOT", InvalidInputError, id="any other 4xx"),
]


def body(code: str, text: str = "no") -> bytes:
    """Return an error body as documented."""
    return f'{{"error": "{text}", "code": "{code}", "details": {{}}}}'.encode()


@pytest.mark.parametrize(("status", "code", "kind"), PERMANENT)
def test_what_is_permanent_is_tried_once(
    rig: Rig, status: int, code: str, kind: type[PermanentError]
) -> None:
    """A permanent error carries code, status and correlation id, and is not tried again."""
    headers = {"x-correlation-id": "corr_theirs"}
    rig.sandbox.faults.standing(Fault(status, body(code), headers))

    with pytest.raises(kind) as failed:
        rig.client().active(INSTANCE)

    found = failed.value
    assert (type(found), found.code, found.status) == (kind, code, status)
    assert found.correlation_id == "corr_theirs"
    assert (len(rig.calls), rig.waits) == (1, [])
    assert str(found) == f"no ({code}, status {status}, correlation id corr_theirs)"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_what_is_transient_is_tried_three_times(rig: Rig, status: int) -> None:
    """A server error is tried three times, with growing pauses that differ."""
    rig.sandbox.faults.standing(Fault(status, b"<html>bad gateway</html>"))

    with pytest.raises(ServerError) as failed:
        rig.client().active(INSTANCE)

    assert (failed.value.status, len(rig.calls)) == (status, 3)
    assert failed.value.correlation_id.startswith("corr_")
    first, second = rig.waits
    assert 0.5 <= first <= 1 <= second <= 2


def test_it_may_succeed_later(rig: Rig) -> None:
    """One failure is nothing when the next attempt succeeds."""
    reach(rig.sandbox.instance, "active")
    rig.sandbox.faults.next(Fault(503))

    assert rig.client().active(INSTANCE).version == 1
    assert rig.noted == [("active", "server_error"), ("active", "ok")]


@pytest.mark.parametrize("attempts", [1, 5])
def test_attempts_and_pauses_are_settings(rig: Rig, attempts: int) -> None:
    """The number of attempts and the longest pause are the policy's."""
    rig.policy = Policy(attempts=attempts, backoff_base=4.0, backoff_cap=5.0)
    rig.sandbox.faults.standing(Fault(503))

    with pytest.raises(ServerError):
        rig.client().active(INSTANCE)

    assert len(rig.calls) == attempts
    assert all(2 <= wait <= 5 for wait in rig.waits)


def test_retry_after_is_honoured(rig: Rig) -> None:
    """A 429 is tried again after exactly the time that it asks for, and no caller goes before."""
    reach(rig.sandbox.instance, "active")
    rig.sandbox.faults.next(Fault(429, body("RATE_LIMITED"), {"retry-after": "7"}))

    assert rig.client().active(INSTANCE).version == 1

    assert rig.waits[0] == 7.0
    assert 6 < rig.waits[1] <= 7  # its own allowance rests as well; no time passed in this test


def test_a_wait_beyond_the_deadline_is_not_begun(rig: Rig) -> None:
    """A 429 that asks for more time than there is ends at once, and says how long."""
    rig.sandbox.faults.next(Fault(429, body("RATE_LIMITED"), {"retry-after": "60"}))
    began = time.time()

    with pytest.raises(RateLimitedError) as failed:
        rig.client().active(INSTANCE, deadline=began + 10)

    assert (failed.value.retry_after, failed.value.code) == (60.0, "RATE_LIMITED")
    assert (rig.waits, len(rig.calls)) == ([], 1)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"<html></html>", id="HTML"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b'{"config_id": ', id="half"),
        pytest.param(b'{"version": 1}', id="without its id"),
        pytest.param(b'{"config_id": ["a"]}', id="an id that is none"),
        pytest.param(b'{"config_id": "a", "x": "' + b"x" * 5_000_000 + b'"}', id="enormous"),
    ],
)
def test_garbage_is_not_believed(rig: Rig, answer: bytes) -> None:
    """An answer that is none of this API is said to be unreadable, once."""
    rig.sandbox.faults.standing(Fault(200, answer))

    with pytest.raises(UnreadableError):
        rig.client().active(INSTANCE)

    assert len(rig.calls) == 1


def test_a_redirect_is_not_followed(rig: Rig) -> None:
    """An answer that leads elsewhere takes no key there."""
    rig.sandbox.faults.standing(Fault(302, b"", {"location": "http://127.0.0.1:1/"}))

    with pytest.raises(UnreadableError):
        rig.client().active(INSTANCE)


def test_wrong_types_hide_nothing_else(rig: Rig) -> None:
    """A field of another type than documented is empty; the rest of the answer is read."""
    odd = b"""{"config_id": "a", "version": {"n": 1}, "status": 7, "applied_at": "soon",
        "applied_by": ["x"], "retrieval": {"context_budget": 8192, "mode": 3}, "storage": null}"""
    rig.sandbox.faults.standing(Fault(200, odd))

    found = rig.client().active(INSTANCE)

    assert (found.config_id, found.version, found.status) == ("a", None, "7")
    assert (found.applied_at, found.applied_by) == (None, "")
    assert found.settings.value("retrieval.context_budget") == 8192
    assert found.settings.odd == {"retrieval.mode": 3}


def test_rows_that_cannot_be_read_are_left_out(rig: Rig) -> None:
    """One bad row of a page costs that row."""
    page = b'{"data": [{"config_id": "a"}, {"version": 2}, 3], "total": "2", "page": null}'
    rig.sandbox.faults.standing(Fault(200, page))

    found = rig.client().versions(INSTANCE)

    assert ([row.config_id for row in found.data], found.total) == (["a"], 2)


def test_a_hanging_server_takes_the_time_there_is(rig: Rig) -> None:
    """With a deadline all attempts together end within it."""
    rig.sandbox.faults.standing(Fault(hang=30))
    began = time.time()

    with pytest.raises(TimedOutError):
        rig.client().active(INSTANCE, deadline=began + 1.5)

    assert time.time() - began < 1.5


def test_nobody_there(rig: Rig) -> None:
    """Without a connection nothing was sent, so that anything may be tried again."""
    rig.url = "http://127.0.0.1:1"

    with pytest.raises(UnreachableError) as failed:
        rig.client().active(INSTANCE)

    assert not failed.value.ambiguous
    assert len(rig.waits) == 2


def test_no_key_no_call(rig: Rig) -> None:
    """Without a key nothing is sent."""
    rig.key = ""
    client = rig.client()

    with pytest.raises(NotConfiguredError, match="SYNAP_API_KEY"):
        client.active(INSTANCE)

    assert not client.configured(INSTANCE)
    assert rig.calls == []


def test_a_key_of_another_instance(rig: Rig) -> None:
    """A wrong-instance key is told from a dead one; whoami says whose it is."""
    rig.sandbox.add_instance("inst_other")
    rig.key = rig.sandbox.issue_key(instance_id="inst_other")

    with pytest.raises(ForbiddenError):
        rig.client().active(INSTANCE)
    assert rig.client().whoami().instance_id == "inst_other"

    rig.sandbox.revoke_key(rig.key)
    with pytest.raises(UnauthenticatedError) as dead:
        rig.client().whoami()
    assert dead.value.code == "CREDENTIAL_INVALID"


def test_credits_are_told_apart(rig: Rig) -> None:
    """An account without credits is neither a dead key nor a wrong request."""
    rig.sandbox.instance.credits = False

    with pytest.raises(CreditsError) as spent:
        rig.client().active(INSTANCE)

    assert (spent.value.status, spent.value.reason) == (402, Reason.CREDITS)


def test_no_secret_leaves_but_in_its_header(rig: Rig) -> None:
    """The key is in no error, no log, no Redis key and nothing but the Authorization header."""
    rig.sandbox.faults.standing(Fault(401, body("CREDENTIAL_INVALID", "synap_" + "abc" * 20)))
    client = rig.client()
    metrics = WorkerMetrics(CollectorRegistry())

    with pytest.raises(UnauthenticatedError) as refused:
        client.active(INSTANCE)
    with capture_logs() as logs:
        noting(metrics)("active", refused.value)

    assert rig.key
    shown = f"{refused.value} {refused.value!r} {logs} {rig.redis.keys('*')}"
    assert rig.key not in shown
    assert "abcabc" not in shown
    assert logs[0]["event"] == "api.failed"
    assert logs[0]["correlation_id"] == refused.value.correlation_id


def test_every_reason_and_operation_is_counted() -> None:
    """The metric's labels are exactly the operations and the reasons of the error tree."""

    def leaves(kind: type[ApiError]) -> list[type[ApiError]]:
        return [kind, *(leaf for inner in kind.__subclasses__() for leaf in leaves(inner))]

    assert set(API_OPERATIONS) == set(OPERATIONS)
    assert set(API_OUTCOMES) == {"ok", *Reason}
    assert {kind.reason for kind in leaves(ApiError)} == set(Reason)


def test_the_drawn_tree_is_the_tree() -> None:
    """The picture in the module's docstring shows every error class, and no other."""
    drawn = set(re.findall(r"\b(\w+Error)\b", errors.__doc__ or ""))
    there: dict[str, Any] = vars(errors)

    assert drawn == {
        name
        for name, found in there.items()
        if isinstance(found, type) and issubclass(found, ApiError)
    }
