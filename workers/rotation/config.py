"""The `rotation` section: which credentials there are, and how each is rotated.

Every process reads and checks it wholly. A credential that is not in it, or whose `mode` is not
set, is only ever alerted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from receiver.event import DEFAULT_ENDPOINT
from receiver.settings import HORIZON
from workers.rotation.adapters import load
from workers.rotation.applications import Copy, Witness
from workers.rotation.copies import COPIES
from workers.rotation.freeze import Freeze, endless
from workers.rotation.freeze_section import read_freezes
from workers.rotation.issuers import ISSUERS
from workers.rotation.notice import API_KEY, ROTATED_TYPES, WEBHOOK_SECRET, Match
from workers.rotation.ports import Issuer, Rollout, Store
from workers.rotation.rollouts import ROLLOUTS
from workers.rotation.stores import STORES
from workers.rotation.witnesses import WITNESSES
from workers.section import Section

DAY: Final = 86_400.0
CADENCES: Final = {"standard": 90 * DAY, "high-security": 30 * DAY}
OVERLAP: Final = 48 * 3_600.0
WAVE_PAUSE: Final = 30.0
NAME_CHARS: Final = 64

MANUAL: Final = "manual"

_OF_API_KEYS: Final = (
    "stores", "copies", "rollout", "attestation", "issuer", "identity", "on_failure",
)  # fmt: skip
_MATCHES: Final = ("credential_id", "label", "instance_id", "endpoint")


class Manual(NamedTuple):
    """A person makes and revokes keys: Synap documents no API for either.

    `link` is where your people find the Dashboard; alerts show it.
    """

    link: str = ""


ANYTHING: Final = Match()
BY_HAND: Final = Manual()


class Mode(StrEnum):
    """How far a credential's rotation goes by itself."""

    AUTOMATIC = "automatic"
    APPROVE = "approve"
    OBSERVE = "observe"


class OnFailure(StrEnum):
    """What a failed rollout leads to."""

    PAUSE = "pause"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One credential as it is configured; times are seconds.

    `cadence` None: no rotation by the calendar.
    """

    name: str
    type: str = API_KEY
    match: Match = ANYTHING
    mode: Mode = Mode.OBSERVE
    cadence: float | None = CADENCES["standard"]
    overlap: float = OVERLAP
    wave_pause: float = WAVE_PAUSE
    on_failure: OnFailure = OnFailure.PAUSE
    client_id: str = ""
    instance_id: str = ""
    key_id: str = ""
    endpoint: str = DEFAULT_ENDPOINT
    issuer: Issuer | Manual = BY_HAND
    stores: tuple[Store, ...] = ()
    copies: tuple[Copy, ...] = ()
    rollout: Rollout | None = None
    witness: Witness | None = None
    freezes: tuple[Freeze, ...] = ()

    @property
    def rotates(self) -> bool:
        """Whether it is rotated at all, alone or with approvals."""
        return self.mode is not Mode.OBSERVE


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationConfig:
    """The whole section."""

    credentials: tuple[Credential, ...] = ()

    def named(self, name: str) -> Credential | None:
        """Return the credential of that name."""
        return next((one for one in self.credentials if one.name == name), None)


def read(section: Section) -> RotationConfig:
    """Read the section.

    Raises:
        DocumentError: with every problem and its line.
    """
    shared = read_freezes(section)
    credentials = [
        _credential(inner, shared) for inner in section.sections("credentials", "credential")
    ]
    names = [credential.name for credential in credentials]
    for name in sorted({name for name in names if names.count(name) > 1}):
        section.problem(f'credential "{name}" stands twice', "credentials")
    section.close()
    section.findings.raise_if_any()
    return RotationConfig(credentials=tuple(credentials))


def _credential(section: Section, shared: tuple[Freeze, ...]) -> Credential:
    kind = _one_of(section, "type", ROTATED_TYPES, API_KEY)
    whole = section.duration("overlap")
    pause = section.duration("wave_pause")
    identity = section.section("identity") or Section(None, "identity", section.findings)
    freezes = shared + read_freezes(section)
    if endless(freezes):
        section.problem("the freezes leave no moment free", "freezes")
    credential = Credential(
        name=_name(section),
        type=kind,
        match=_match(section),
        mode=Mode(_one_of(section, "mode", tuple(Mode), Mode.OBSERVE)),
        cadence=_cadence(section),
        overlap=_overlap(section, kind, whole),
        wave_pause=WAVE_PAUSE if pause is None else pause,
        on_failure=OnFailure(_one_of(section, "on_failure", tuple(OnFailure), OnFailure.PAUSE)),
        client_id=identity.text("client_id"),
        instance_id=identity.text("instance_id"),
        key_id=section.text("key_id"),
        endpoint=section.text("endpoint", DEFAULT_ENDPOINT),
        issuer=_issuer(section),
        stores=_stores(section),
        copies=_copies(section),
        rollout=_rollout(section),
        witness=_witness(section),
        freezes=freezes,
    )
    identity.close()
    _check(credential, section)
    section.close()
    return credential


def _check(credential: Credential, section: Section) -> None:
    """Note what is missing or meaningless for the credential's type and mode."""
    if credential.type == WEBHOOK_SECRET:
        for name in _OF_API_KEYS:
            if section.has(name):
                section.problem(
                    f'"{name}" means nothing for a webhook_secret: the receiver reads its keys '
                    "from SYNAP_WEBHOOK_SECRET_DIR, and only Synap makes them",
                    name,
                )
        return
    if credential.rotates and not credential.stores:
        section.problem(f'mode "{credential.mode}" needs at least one store', "mode")
    if credential.rotates and credential.rollout is None:
        section.problem(
            'no "rollout": say how applications come to read the new key, or "type: none"'
        )
    for what, found in (("stores", credential.stores), ("copies", credential.copies)):
        places = [place.name for place in found]
        for place in sorted({place for place in places if places.count(place) > 1}):
            section.problem(f'"{place}" stands twice in "{what}"', what)


def _name(section: Section) -> str:
    name = section.text("name")
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if not plain.isascii() or not plain.isalnum() or len(name) > NAME_CHARS:
        section.problem(
            f'"name" must be 1 to {NAME_CHARS} letters, digits, ".", "-" or "_"', "name"
        )
    return name


def _match(section: Section) -> Match:
    inner = section.section("match")
    if inner is None:
        return ANYTHING
    values = {name: inner.text(name) for name in _MATCHES}
    inner.close()
    return Match(**values)


def _cadence(section: Section) -> float | None:
    text = section.text("cadence", "standard")
    if text == "never":
        return None
    if text in CADENCES:
        return CADENCES[text]
    seconds = section.duration("cadence")
    if seconds is not None and seconds < DAY:
        section.problem('"cadence" must be at least 1d', "cadence")
    return seconds


def _overlap(section: Section, kind: str, asked: float | None) -> float:
    least = HORIZON if kind == WEBHOOK_SECRET else 0.0
    usual = max(OVERLAP, least)
    if asked is None:
        return usual
    if asked < least:
        section.problem(
            f'"overlap" of a webhook_secret must be at least {least:.0f}s: until then Synap may '
            "still send again what it signed with the old key",
            "overlap",
        )
    elif asked < OVERLAP:
        section.warn("the overlap is shorter than the 48 h that Synap recommends", "overlap")
    return asked


def _issuer(section: Section) -> Issuer | Manual:
    inner = section.section("issuer")
    if inner is None:
        return BY_HAND
    if inner.text("type") == MANUAL:
        link = inner.text("link")
        inner.close()
        return Manual(link)
    if inner.text("type") not in ISSUERS:
        known = ", ".join(sorted((MANUAL, *ISSUERS)))
        inner.problem(f'"{inner.text("type")}" is no type of issuer: use one of {known}', "type")
        return BY_HAND
    found: Issuer | None = load(ISSUERS, inner, "issuer")
    return found or BY_HAND


def _stores(section: Section) -> tuple[Store, ...]:
    found = [load(STORES, inner, "store") for inner in section.sections("stores", "store")]
    return tuple(store for store in found if store is not None)


def _copies(section: Section) -> tuple[Copy, ...]:
    found = [load(COPIES, inner, "copy") for inner in section.sections("copies", "copy")]
    return tuple(copy for copy in found if copy is not None)


def _witness(section: Section) -> Witness | None:
    inner = section.section("attestation")
    found: Witness | None = None if inner is None else load(WITNESSES, inner, "attestation")
    return found


def _rollout(section: Section) -> Rollout | None:
    inner = section.section("rollout")
    found: Rollout | None = None if inner is None else load(ROLLOUTS, inner, "rollout")
    return found


def _one_of(section: Section, field: str, words: Sequence[str], default: str) -> str:
    text = section.text(field, default)
    if text in words:
        return text
    section.problem(f'"{text}" is no {field}: use one of {", ".join(words)}', field)
    return default
