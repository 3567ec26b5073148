"""Texts that the configuration writes about alerts: templates, sandboxed and bounded.

The language is Jinja's without anything that could run long or reach out: no calls, no imports,
no macros, no assignments, no arithmetic, loops nested twice at most, a few filters, a bounded
result. What events say is only ever inserted, never read as a template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from jinja2 import ChainableUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from workers.alert import Alert
from workers.alerting.notification import Notification, cut

MAX_SOURCE: Final = 8_192
MAX_TEXT: Final = 16_384
"""Characters of a template, and of what becomes of it."""

MAX_LOOPS: Final = 2
MAX_LOOPED: Final = 100
MAX_VALUE: Final = 2_000
"""How deep loops nest, how many alerts a template gets to see, and how much of each value."""

FILTERS: Final = (
    "capitalize", "default", "d", "first", "int", "join", "last", "length", "count", "list",
    "lower", "replace", "round", "sort", "string", "title", "trim", "truncate", "unique", "upper",
)  # fmt: skip

_ALLOWED: Final = (
    nodes.And, nodes.Compare, nodes.Concat, nodes.CondExpr, nodes.Const, nodes.Filter, nodes.For,
    nodes.Getattr, nodes.Getitem, nodes.If, nodes.Keyword, nodes.List, nodes.Name, nodes.Not,
    nodes.Operand, nodes.Or, nodes.Output, nodes.Template, nodes.TemplateData, nodes.Test,
    nodes.Tuple,
)  # fmt: skip
_MARKS: Final = ("{{", "{%", "{#")


class TextError(ValueError):
    """The text is no template that is allowed here; says what to mend."""


class Template:
    """One template; immutable, equal by its source."""

    def __init__(self, source: str) -> None:
        """Compile a template.

        Raises:
            TextError: it is too long, no template, or uses what is not allowed.
        """
        self.source = source
        if len(source) > MAX_SOURCE:
            raise TextError(f"longer than {MAX_SOURCE} characters")
        environment = _environment()
        try:
            tree = environment.parse(source)
            _check(tree, 0)
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise TextError(f"line {getattr(error, 'lineno', 1)}: {error.message}") from None
        except RecursionError:
            raise TextError("nested too deeply") from None

    def render(self, variables: Mapping[str, Any]) -> str:
        """Return the text, cut to `MAX_TEXT` characters.

        Raises:
            TextError: what it asks for cannot be done with these alerts.
        """
        try:
            return cut("".join(_bounded(self._template.generate(variables))).strip(), MAX_TEXT)
        except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
            raise TextError(type(error).__name__) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Template({self.source!r})"


def is_template(text: str) -> bool:
    """Say whether a text has anything to fill in."""
    return any(mark in text for mark in _MARKS)


def variables(notification: Notification) -> dict[str, Any]:
    """Return what a template can speak of."""
    shown = notification.alerts[:MAX_LOOPED]
    return {
        "status": notification.status,
        "why": notification.why.value,
        "receiver": notification.receiver,
        "group_key": notification.group_key,
        "group_labels": _values(notification.group_labels),
        "common_labels": _values(notification.common_labels),
        "common_annotations": _values(notification.common_annotations),
        "route_labels": _values(notification.route_labels),
        "external_url": notification.external_url,
        "title": notification.title,
        "num_firing": len(notification.firing) + notification.truncated,
        "num_resolved": len(notification.resolved),
        "alerts": [_alert(alert, notification.at) for alert in shown],
        "firing": [_alert(alert, notification.at) for alert in shown if alert.ends_at is None],
        "resolved": [_alert(alert, notification.at) for alert in shown if alert.ends_at],
    }


def _alert(alert: Alert, at: float) -> dict[str, Any]:
    return {
        "status": "resolved" if alert.resolved(at) else "firing",
        "labels": _values(alert.labels),
        "annotations": _values(alert.annotations),
        "starts_at": _time(alert.starts_at),
        "ends_at": _time(alert.ends_at) if alert.ends_at is not None else "",
        "generator_url": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }


def _values(table: Mapping[str, str]) -> dict[str, str]:
    return {name: cut(text, MAX_VALUE) for name, text in table.items()}


def _replace(text: object, old: object, new: object, count: int = -1) -> str:
    """Replace as text does; repeated, it would else grow without bound."""
    return cut(str(text).replace(str(old), str(new), count), MAX_TEXT)


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(sep=" ", timespec="seconds")


def _bounded(pieces: Iterator[str]) -> Iterator[str]:
    """Yield pieces until there is more than anyone may send."""
    left = MAX_TEXT + 1
    for piece in pieces:
        if left <= 0:
            return
        yield piece[:left]
        left -= len(piece)


def _check(node: nodes.Node, loops: int) -> None:
    """Refuse what is not on the list, whatever else the language has."""
    if not isinstance(node, _ALLOWED):
        raise TextError(
            f"line {node.lineno}: {type(node).__name__.lower()} is not allowed in a template"
        )
    if isinstance(node, nodes.For):
        loops += 1
        if loops > MAX_LOOPS or node.recursive:
            raise TextError(f"line {node.lineno}: loops may be nested {MAX_LOOPS} deep at most")
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise TextError(f'line {node.lineno}: filter "{node.name}" is not allowed in a template')
    for child in node.iter_child_nodes():
        _check(child, loops)


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    """Return the sandbox; a name that is not there is the empty text."""
    environment = ImmutableSandboxedEnvironment(
        undefined=ChainableUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    environment.filters["replace"] = _replace
    return environment


def worded(
    notification: Notification, texts: Mapping[str, Template]
) -> tuple[Notification, dict[str, str]]:
    """Return the notification with its texts and route labels filled in, and what failed why.

    A text that cannot be made is left out, so that the target's own form stands in for it.
    """
    written = {
        f"label {name}": _compiled(label)
        for name, label in notification.route_labels.items()
        if is_template(label)
    }
    if not texts and not written:
        return notification, {}
    known = variables(notification)
    found, failed = _rendered({**texts, **written}, known)
    labels = {
        name: found.get(f"label {name}", "" if is_template(label) else label)
        for name, label in notification.route_labels.items()
    }
    said = {name: found[name] for name in texts if found.get(name)}
    return replace(notification, texts=said, route_labels=labels), failed


def _rendered(
    texts: Mapping[str, Template], known: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    found: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name, text in texts.items():
        try:
            found[name] = text.render(known)
        except TextError as error:
            failed[name] = str(error)
    return found, failed


@lru_cache(maxsize=256)
def _compiled(source: str) -> Template:
    """Return a route label's template, which was checked when the file was read."""
    return Template(source)
