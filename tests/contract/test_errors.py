"""The error tree is total: every reason has an answer, a count and a word."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry

from receiver import errors
from receiver.errors import (
    EventError,
    Flaw,
    HookError,
    Offence,
    Refusal,
    RequestError,
    Shortage,
    SignatureError,
    UnavailableError,
)
from receiver.metrics import Metrics
from receiver.web.problems import INTERNAL_ERROR, answer_of
from tests.contract.readme import section

DELIVERED: list[tuple[HookError, int]] = [
    *((SignatureError(reason), 401) for reason in Refusal),
    *((UnavailableError(reason), 503) for reason in Shortage),
    (RequestError(Offence.BODY_TOO_LARGE), 413),
    (RequestError(Offence.BODY_TIMEOUT), 408),
    (RequestError(Offence.METHOD_NOT_ALLOWED), 405),
    (RequestError(Offence.NOT_FOUND), 404),
]


def test_reasons_are_unambiguous() -> None:
    """No two of the closed sets share a word, since all are labels of one metric."""
    words = [reason.value for kind in (Refusal, Flaw, Shortage, Offence) for reason in kind]

    assert len(words) == len(set(words))


def test_every_offence_has_an_answer() -> None:
    """The table below is whole: only a client that left gets no answer."""
    answered = {error.reason for error, _ in DELIVERED}

    assert {offence.value for offence in Offence} - answered == {Offence.DISCONNECTED.value}


@pytest.mark.parametrize(
    ("error", "status"), DELIVERED, ids=[error.reason for error, _ in DELIVERED]
)
def test_every_error_has_its_status(error: HookError, status: int) -> None:
    """Each error is answered with its own reason, never as an internal error."""
    answer = answer_of(error)

    assert (answer.status, answer.reason) == (status, error.reason)


def test_unforeseen_errors_are_never_a_500() -> None:
    """An error of no known reason is answered 503, so that the sender keeps the event."""
    assert answer_of(HookError()) is INTERNAL_ERROR
    assert INTERNAL_ERROR.status == 503


def test_authentication_failures_look_alike() -> None:
    """One fixed body for every way in which a signature can fail."""
    bodies = {answer_of(SignatureError(reason)).body["body"] for reason in Refusal}

    assert len(bodies) == 1


def test_every_flaw_is_counted() -> None:
    """Each reason for quarantine has its series from the first scrape."""
    registry = CollectorRegistry()
    Metrics(registry)

    counted = {
        flaw
        for flaw in Flaw
        if registry.get_sample_value(
            "synap_hooks_events_quarantined_total", {"reason": EventError(flaw).reason}
        )
        == 0.0
    }

    assert counted == set(Flaw)


def test_the_drawn_tree_is_the_tree() -> None:
    """The picture in the module's docstring shows every error class, and no other."""
    drawn = set(re.findall(r"\b(\w+Error)\b", errors.__doc__ or ""))

    classes = {
        name
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, HookError)
    }

    assert drawn == classes


def test_documented_statuses_are_the_answers() -> None:
    """The README's table of answers names exactly the statuses and words that are sent."""
    rows = re.findall(r"^\|[^|]+\| (\d{3})[^|]*\| `(\w+)` \|", section("Answers"), re.MULTILINE)
    answers = [answer_of(error) for error, _ in DELIVERED]
    refused = {
        (str(a.status), re.findall(rb'"code":"(\w+)"', a.body["body"])[0].decode()) for a in answers
    }

    assert set(rows) - refused == {
        ("202", "accepted"),
        ("200", "duplicate"),
        ("202", "quarantined"),
    }
    assert refused <= set(rows)
