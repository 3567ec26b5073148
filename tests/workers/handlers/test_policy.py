"""The `events` section: how much each kind of event matters to a team."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.document import parse
from workers.handlers.policy import (
    DAY,
    STEPS,
    Cause,
    Credentials,
    Ingestion,
    Policy,
    Retention,
    read,
)
from workers.section import DocumentError
from workers.severity import Severity

FULL = """
credential.expiring:
  severities: {30d: low, 2d: critical}
  types:
    passkey: {1d: info}
ingestion.failed:
  severities: {transient: info}
  burst: 50
  burst_window: 10m
  burst_severity: high
  quiet: 1h
retention.cleanup:
  most_share: 40%
  most_memories: 1000
  exceeded: medium
"""


def policy_of(text: str) -> Policy:
    """Return the policy that a section describes.

    Raises:
        DocumentError: with every problem and its line.
    """
    section = parse(text, file="hooks.yml", base=Path("/nowhere"))
    policy = read(section)
    section.findings.raise_if_any()
    return policy


def test_nothing_written_is_the_standard() -> None:
    """Without the section, or with an empty one, the documented defaults hold."""
    assert policy_of("") == Policy()
    assert policy_of("ingestion.failed: {}") == Policy()


def test_every_table_can_be_changed() -> None:
    """What is written holds; what is not stays as it is."""
    standard = Policy()

    assert policy_of(FULL) == Policy(
        credentials=Credentials(
            steps=((2 * DAY, Severity.CRITICAL), (30 * DAY, Severity.LOW)),
            own={**standard.credentials.own, "passkey": ((DAY, Severity.INFO),)},
        ),
        ingestion=Ingestion(
            severities={**standard.ingestion.severities, Cause.TRANSIENT: Severity.INFO},
            burst=50,
            window=600,
            burst_severity=Severity.HIGH,
            quiet=3600,
        ),
        retention=Retention(most_share=0.4, most_memories=1000, exceeded=Severity.MEDIUM),
    )


def test_the_standard_climb() -> None:
    """Credentials climb from low to critical at 14, 7, 3 and 1 days."""
    assert [(within / DAY, level.value) for within, level in reversed(STEPS)] == [
        (14, "low"),
        (7, "medium"),
        (3, "high"),
        (1, "critical"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("credential.expired: {}", '1: unknown field "credential.expired"', id="kind"),
        pytest.param(
            "credential.expiring:\n  severities:\n    soon: low",
            '3: not a valid duration string: "soon"',
            id="no duration",
        ),
        pytest.param(
            "credential.expiring:\n  severities: {1d: bad}",
            'field "1d" must be one of critical, high, medium, low, info',
            id="no severity",
        ),
        pytest.param(
            "ingestion.failed:\n  severities:\n    transiant: low",
            '3: unknown field "transiant" in severities',
            id="no cause",
        ),
        pytest.param("ingestion.failed: {burst: 0}", "at least 1", id="no burst"),
        pytest.param("ingestion.failed: {quiet: 0s}", "quiet cannot be zero", id="no quiet"),
        pytest.param("ingestion.failed: {burst_window: 0s}", "cannot be zero", id="no window"),
        pytest.param("retention.cleanup: {most_share: 0.4}", "write 25%", id="no share"),
        pytest.param("retention.cleanup: {most_memories: x}", "whole number", id="no number"),
        pytest.param("retention.cleanup: {odd: 1}", 'unknown field "odd"', id="unknown field"),
        pytest.param("credential.expiring: {types: {a: 1}}", "a must be a mapping", id="no table"),
    ],
)
def test_problems_name_their_line(text: str, says: str) -> None:
    """What cannot be read is refused with its place and what to write instead."""
    with pytest.raises(DocumentError) as raised:
        policy_of(text)

    assert says in str(raised.value)
