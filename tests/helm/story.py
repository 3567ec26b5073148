"""The form of a story about alert rules, and how one is told to promtool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

SEVERITY: Final = "severity"
RELEASE: Final = {"namespace": "hooks", "app_kubernetes_io_instance": "demo"}

Expected = tuple[str, str, Mapping[str, str]]
"""A moment, an alert's name and its labels with its summary; none when it must be silent."""


class Story(NamedTuple):
    """Series by name and labels, and what is expected of them; `every` is how often rules look."""

    name: str
    series: Mapping[str, str]
    expected: tuple[Expected, ...]
    every: str = "30s"

    def document(self, rules: str, alerts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return what `promtool test rules` reads."""
        return {
            "rule_files": [rules],
            "evaluation_interval": self.every,
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [
                        {"series": series, "values": values}
                        for series, values in self.series.items()
                    ],
                    "alert_rule_test": [
                        {
                            "eval_time": moment,
                            "alertname": name,
                            "exp_alerts": [_alert(alerts[name], labels)] if labels else [],
                        }
                        for moment, name, labels in self.expected
                    ],
                }
            ],
        }


def _alert(rule: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    own = {name: value for name, value in labels.items() if name != "summary"}
    return {
        "exp_labels": {SEVERITY: rule["labels"][SEVERITY], **own},
        "exp_annotations": {**rule["annotations"], "summary": labels["summary"]},
    }


def of(metric: str, **labels: str) -> str:
    """Return the name of a series of this release."""
    inside = ",".join(f'{name}="{value}"' for name, value in {**RELEASE, **labels}.items())
    return f"synap_hooks_{metric}{{{inside}}}"


def answered(status: str, reason: str) -> str:
    """Return the series of requests that were answered so."""
    return of("requests_answered_total", status=status, reason=reason)


def fires(
    name: str,
    metric: str,
    values: str,
    summary: str,
    *,
    at: str = "10m",
    shown: tuple[str, ...] | None = None,
    **labels: str,
) -> Story:
    """Return the story of one series that makes one alert fire; `shown` labels stay on it."""
    kept = {key: value for key, value in labels.items() if shown is None or key in shown}
    return Story(name, {of(metric, **labels): values}, ((at, name, kept | {"summary": summary}),))


def lost(at: str, left: str) -> dict[str, str]:
    """Return the alert that names the moment of the first loss and the time that is left."""
    return RELEASE | {"summary": f"Events start to be lost at 1970-01-01 {at} +0000 UTC, in {left}"}
