"""The `receivers` section of the configuration, read strictly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from workers.alerting.buckets import Rate, parse_rate, rate_of
from workers.alerting.notification import Notifier
from workers.alerting.notifiers import TARGETS, Ambient
from workers.alerting.receivers import Integration, Receiver
from workers.alerting.texts import Template, TextError
from workers.section import Section

TEXTS: Final = ("title", "description")
"""What a template may write; everything else is the target's own form."""


def read_receivers(
    sections: Iterable[Section], ambient: Ambient, *, resolve_when_muted: bool
) -> dict[str, Receiver]:
    """Read every receiver; problems are noted in the sections' findings."""
    receivers: dict[str, Receiver] = {}
    lines: dict[str, Section] = {}
    for section in sections:
        name = _name(section, receivers)
        lines[name] = section
        receivers[name] = Receiver(
            name=name,
            integrations=numbered(name, _targets(section, ambient)),
            fallback=section.text("fallback_receiver"),
            resolve_when_muted=section.flag("resolve_when_muted", default=resolve_when_muted),
            texts=read_texts(section),
        )
        section.close()
    for name, receiver in receivers.items():
        _check_fallback(receiver, receivers, lines[name])
    return receivers


def read_texts(section: Section) -> dict[str, Template]:
    """Read `templates`: how a title and a description are written."""
    inner = section.section("templates")
    if inner is None:
        return {}
    found = {}
    for name in TEXTS:
        if not inner.has(name):
            continue
        try:
            found[name] = Template(inner.text(name))
        except TextError as error:
            inner.problem(f"template {name}: {error}", name)
    inner.close()
    return found


def numbered(
    receiver: str, targets: Iterable[tuple[str, Notifier, Rate | None]]
) -> tuple[Integration, ...]:
    """Return a receiver's integrations, numbered within each type."""
    counts: dict[str, int] = {}
    found = []
    for kind, notifier, limit in targets:
        place = counts.get(kind, 0)
        counts[kind] = place + 1
        found.append(
            Integration(
                receiver=receiver,
                name=f"{kind}/{place}",
                notifier=notifier,
                rate=rate_of(kind, limit),
            )
        )
    return tuple(found)


def _name(section: Section, taken: Mapping[str, Receiver]) -> str:
    name = section.text("name")
    if not name:
        section.problem("missing name in receiver")
    if name in taken:
        section.problem(f'notification config name "{name}" is not unique', "name")
    labelled = section.table("labels").get("name", name)
    if labelled != name:
        section.problem(
            f'receiver label "name" must match receiver name "{name}", got "{labelled}"', "labels"
        )
    return name


def _targets(section: Section, ambient: Ambient) -> list[tuple[str, Notifier, Rate | None]]:
    found: list[tuple[str, Notifier, Rate | None]] = []
    for kind, read_target in TARGETS.items():
        for inner in section.sections(f"{kind}_configs", f"{kind}_config"):
            limit = _limit(inner)
            found.append((kind, read_target(inner, ambient), limit))
            inner.close()
    return found


def _limit(section: Section) -> Rate | None:
    """Read how often the target may be called, if the entry says so."""
    burst = section.integer("rate_burst", 0)
    if not section.has("rate_limit"):
        if burst:
            section.problem("rate_burst needs a rate_limit", "rate_burst")
        return None
    text = section.text("rate_limit")
    limit = parse_rate(text, burst)
    if limit is None:
        section.problem(
            f'not a valid rate: "{text}"; write calls per second, minute or hour, such as 60/m',
            "rate_limit",
        )
    return limit


def _check_fallback(
    receiver: Receiver, receivers: Mapping[str, Receiver], section: Section
) -> None:
    """Note a fallback that nobody defined, that tells nobody, or that leads back."""
    if not receiver.fallback:
        return
    if receiver.fallback not in receivers:
        section.problem(
            f'undefined receiver "{receiver.fallback}" used as fallback_receiver',
            "fallback_receiver",
        )
        return
    if not any(one.notifier.durable for one in receivers[receiver.fallback].integrations):
        section.warn(
            f'fallback_receiver "{receiver.fallback}" has no target that is called',
            "fallback_receiver",
        )
    seen, place = {receiver.name}, receiver.fallback
    while place in receivers and place not in seen:
        seen.add(place)
        place = receivers[place].fallback
    if place in seen:
        section.problem("fallback_receiver leads back to itself", "fallback_receiver")
