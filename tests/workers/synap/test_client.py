"""Every endpoint; what is typed, what is kept, what is done once."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.sandbox import Fault
from tests.sandbox.sandbox import CLIENT, INSTANCE
from tests.workers.synap.rig import Rig, reach
from workers.synap import requests
from workers.synap.answers import VersionPage
from workers.synap.client import LOOKED_UP, OPERATIONS, Client
from workers.synap.errors import (
    AlreadyActiveError,
    ApiError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
from workers.synap.requests import Decision, Mode, Status

INIT = requests.Init(client_id=CLIENT, triggered_by_user_id="user_admin_001")
UPDATE = requests.Update(
    client_id=CLIENT,
    triggered_by_user_id="user_admin_001",
    reason="Increase context budget for longer support conversations",
    config={"retrieval": {"context_budget": 8192, "mode": "accurate"}},
)
APPLY = requests.Apply(applied_by="user_admin_001")
ROLLBACK = requests.Rollback(applied_by="user_admin_001", reason="costs")
APPROVE = requests.Review(decision=Decision.APPROVE, reviewed_by="user_lead_002", notes="fine")
LOST = Fault(504, b"gateway time-out", taken=True, method="POST")


def test_the_page_from_top_to_bottom(rig: Rig) -> None:
    """Every endpoint of the page answers as documented, typed."""
    client = rig.client()

    first = client.init(INSTANCE, INIT)
    assert (first.status, first.review_flags[0].field) == (
        "pending_review",
        "storage.vector.embedding_dimension",
    )
    assert client.review(INSTANCE, first.config_id, APPROVE).status == "approved"
    assert client.apply(INSTANCE, first.config_id, APPLY).rollback_config_id == ""
    second = client.update(INSTANCE, UPDATE)
    assert {flag.field: flag.severity for flag in second.review_flags} == {
        "retrieval.context_budget": "warning",
        "retrieval.mode": "warning",
    }
    client.review(INSTANCE, second.config_id, APPROVE)
    applied = client.apply(INSTANCE, second.config_id, APPLY)
    assert (applied.success, applied.status) == (True, "active")
    assert applied.rollback_config_id == first.config_id
    assert applied.applied_at is not None
    active = client.active(INSTANCE)
    assert (active.config_id, active.version) == (second.config_id, 2)
    assert active.settings.value("retrieval.context_budget") == 8192
    assert client.configuration(INSTANCE, first.config_id).status == "superseded"
    page = client.versions(INSTANCE, page_size=1)
    assert (page.total, page.total_pages, page.data[0].reviewed_by) == (2, 2, "user_lead_002")
    assert client.detail(INSTANCE).health_status == "healthy"
    assert [row["version"] for row in client.history(INSTANCE).data] == [2, 1]
    assert client.rollback(INSTANCE, first.config_id, ROLLBACK).status == "active"
    assert client.whoami().instance_id == INSTANCE
    assert {operation for operation, _ in rig.noted} == set(OPERATIONS)


def test_unknown_fields_are_kept(rig: Rig) -> None:
    """What nobody documented stays with the answer."""
    identity = rig.client().whoami()

    assert identity.model_extra == {"label": "production"}


def test_listings_page_by_themselves(rig: Rig) -> None:
    """All versions are listed, with one call for each hundred of them."""
    for _ in range(203):
        reach(rig.sandbox.instance, "pending_review")

    found = [row.version for row in rig.client().every_version(INSTANCE)]

    assert found == list(range(203, 0, -1))
    assert len(rig.calls) == 3


ALLOWED = {
    "review": {"pending_review", "changes_requested"},
    "apply": {"approved"},
    "rollback": {"superseded"},
}


@pytest.mark.parametrize(
    ("operation", "status"), list(itertools.product(ALLOWED, [s.value for s in Status]))
)
def test_the_life_of_a_configuration(rig: Rig, operation: str, status: str) -> None:
    """Each operation is allowed in exactly the statuses that the page names; else 409."""
    config_id = reach(rig.sandbox.instance, status)
    client = rig.client()
    operate = {
        "review": lambda: client.review(INSTANCE, config_id, APPROVE),
        "apply": lambda: client.apply(INSTANCE, config_id, APPLY),
        "rollback": lambda: client.rollback(INSTANCE, config_id, ROLLBACK),
    }[operation]

    if status in ALLOWED[operation]:
        assert operate().success
    else:
        expected = AlreadyActiveError if status == "active" else ConflictError
        with pytest.raises(expected) as refused:
            operate()
        assert type(refused.value) is expected
        assert refused.value.status == 409
        assert len(rig.calls) == 1


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        pytest.param(Decision.APPROVE, "approved", id="approve"),
        pytest.param(Decision.REJECT, "rejected", id="reject"),
        pytest.param(Decision.REQUEST_CHANGES, "changes_requested", id="request changes"),
    ],
)
def test_each_decision_has_its_status(rig: Rig, decision: Decision, status: str) -> None:
    """A review leads to the documented status, and a lost answer to the same one."""
    rig.sandbox.faults.next(LOST)
    config_id = reach(rig.sandbox.instance, "pending_review")

    answer = rig.client().review(
        INSTANCE, config_id, requests.Review(decision=decision, reviewed_by="x")
    )

    assert (answer.success, answer.status) == (True, status)
    assert rig.made == [f"POST review/{config_id}", f"GET config/{config_id}"]


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_is_sent(rig: Rig, mode: Mode) -> None:
    """The mode of an apply is the documented word."""
    config_id = reach(rig.sandbox.instance, "approved")

    rig.client().apply(INSTANCE, config_id, requests.Apply(applied_by="x", mode=mode))

    assert rig.calls[0].body == {"applied_by": "x", "mode": mode.value}


@pytest.mark.parametrize("operation", ["apply", "rollback"])
def test_what_timed_out_is_looked_up(rig: Rig, operation: str) -> None:
    """An apply whose answer was lost is not repeated once it shows that it was carried out."""
    config_id = reach(rig.sandbox.instance, "approved" if operation == "apply" else "superseded")
    rig.sandbox.faults.next(LOST)
    client = rig.client()

    if operation == "apply":
        answer = client.apply(INSTANCE, config_id, APPLY)
    else:
        answer = client.rollback(INSTANCE, config_id, ROLLBACK)

    assert (answer.success, answer.status, answer.message) == (True, "active", LOOKED_UP)
    assert rig.made == [f"POST {operation}/{config_id}", f"GET config/{config_id}"]
    done = [name for name, ident in rig.sandbox.instance.operations if ident == config_id]
    assert done.count(operation) == 1


def test_what_was_not_taken_is_repeated(rig: Rig) -> None:
    """An apply that the server never carried out is applied, once, by the second attempt."""
    config_id = reach(rig.sandbox.instance, "approved")
    rig.sandbox.faults.next(Fault(503, b"", method="POST"))

    assert rig.client().apply(INSTANCE, config_id, APPLY).status == "active"

    assert rig.made == [
        f"POST apply/{config_id}",
        f"GET config/{config_id}",
        f"POST apply/{config_id}",
    ]
    assert rig.sandbox.instance.operations.count(("apply", config_id)) == 1


def test_where_nobody_can_say_it_is_not_repeated(rig: Rig) -> None:
    """When the look-up fails too, the error says that the outcome is unknown; nothing repeats."""
    config_id = reach(rig.sandbox.instance, "approved")
    rig.sandbox.faults.next(LOST)
    rig.sandbox.faults.standing(Fault(500, method="GET"))

    with pytest.raises(ApiError, match="whether it was carried out is unknown") as failed:
        rig.client().apply(INSTANCE, config_id, APPLY)

    assert failed.value.ambiguous
    assert [call for call in rig.made if call.startswith("POST")] == [f"POST apply/{config_id}"]


@pytest.mark.parametrize("operation", ["init", "update"])
def test_submissions_are_not_doubled(rig: Rig, operation: str) -> None:
    """A submission whose answer was lost is found among the versions, not submitted again."""
    rig.sandbox.faults.next(LOST)
    client = rig.client()
    if operation == "update":
        reach(rig.sandbox.instance, "active")
        answer = client.update(INSTANCE, UPDATE)
    else:
        answer = client.init(INSTANCE, INIT)

    newest = rig.sandbox.instance.versions[-1]
    assert (answer.config_id, answer.status) == (newest.config_id, "pending_review")
    assert answer.message == LOOKED_UP
    assert newest.version == (2 if operation == "update" else 1)


class Meanwhile(Client):
    """A client beside which somebody else submits, after its first attempt was lost."""

    rig: Rig

    def versions(self, *arguments: Any, **options: Any) -> VersionPage:
        """Let the other one submit first, if it is time."""
        if len(self.rig.calls) == 2:  # the list before, and the attempt that was lost
            reach(self.rig.sandbox.instance, "pending_review")
        return super().versions(*arguments, **options)


def test_a_submission_that_was_not_taken_is_repeated(rig: Rig) -> None:
    """What others submitted meanwhile is not taken for ours; ours is submitted again, once."""
    reach(rig.sandbox.instance, "active")
    rig.sandbox.faults.next(Fault(503, b"", method="POST"))
    client = Meanwhile(rig.client()._transport)
    client.rig = rig

    answer = client.update(INSTANCE, UPDATE)

    versions = rig.sandbox.instance.versions
    assert [version.triggered_by for version in versions] == [
        "user_author",
        "user_author",
        "user_admin_001",
    ]
    assert answer.config_id == versions[-1].config_id


def test_null_within_a_configuration_is_sent(rig: Rig) -> None:
    """A retention of null is a value; leaving it out would keep the old one."""
    reach(rig.sandbox.instance, "active")
    config = {"storage": {"retention": {"default_ttl_days": None}}}

    rig.client().update(INSTANCE, UPDATE.model_copy(update={"config": config}))

    assert rig.calls[-1].body["config"] == config


@pytest.mark.parametrize("odd", ["..", "a/b", "a b", "a?b", "", "x" * 129])
def test_ids_cannot_lead_elsewhere(rig: Rig, odd: str) -> None:
    """An id with anything but letters, digits, _ and - is refused before it is sent."""
    client = rig.client()

    with pytest.raises(InvalidInputError):
        client.active(odd)
    with pytest.raises(InvalidInputError):
        client.configuration(INSTANCE, odd)

    assert rig.calls == []


def test_nothing_active_is_not_found(rig: Rig) -> None:
    """An instance without an active configuration answers 404."""
    with pytest.raises(NotFoundError) as missing:
        rig.client().active(INSTANCE)

    assert (missing.value.code, missing.value.status) == ("NOT_FOUND", 404)
