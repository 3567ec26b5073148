"""The `rotation` section: what it means, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.settings import HORIZON
from workers.document import parse
from workers.rotation.config import BY_HAND, Manual, Mode, OnFailure, RotationConfig, read
from workers.rotation.freeze import Freeze, Window
from workers.rotation.notice import Match
from workers.section import DocumentError

DAY = 86_400.0


def config(text: str) -> RotationConfig:
    """Read a section's text, of which the first line is line 2."""
    document = parse("rotation:\n" + text, file="c.yaml", base=Path("/etc"))
    section = document.section("rotation")
    assert section is not None
    return read(section)


def problems(text: str) -> list[str]:
    """Return what is wrong with a section."""
    with pytest.raises(DocumentError) as error:
        config(text)
    return error.value.problems


def credential(*lines: str) -> str:
    """Return a section with one credential that has these further lines."""
    plain = ["  credentials:", "    - name: production", *(f"      {line}" for line in lines)]
    return "\n".join(plain) + "\n"


WHOLE = """\
  freezes:
    - {name: weekend, weekdays: [sat, sunday], hours: "18:00-08:00"}
  credentials:
    - name: production
      type: api_key
      match: {credential_id: key_1, label: prod, instance_id: inst_1, endpoint: default}
      mode: automatic
      cadence: high-security
      overlap: 72h
      wave_pause: 1m
      on_failure: rollback
      identity: {client_id: cli_1, instance_id: inst_1}
      key_id: key_1
      issuer: {type: manual, link: https://dashboard.example/keys}
      stores:
        - {type: file, path: key}
      rollout: {type: none}
      freezes:
        - {name: christmas, from: 2026-12-20, to: 2027-01-03}
    - name: hooks
      type: webhook_secret
      endpoint: eu
      mode: approve
      cadence: never
"""


def test_everything_is_read() -> None:
    """A whole section, with a freeze for all and one for one."""
    production, hooks = config(WHOLE).credentials

    assert production.mode is Mode.AUTOMATIC
    assert production.match == Match("key_1", "prod", "inst_1", "default")
    assert (production.cadence, production.overlap) == (30 * DAY, 3 * DAY)
    assert (production.wave_pause, production.on_failure) == (60.0, OnFailure.ROLLBACK)
    assert (production.client_id, production.instance_id) == ("cli_1", "inst_1")
    assert production.issuer == Manual("https://dashboard.example/keys")
    assert [store.name for store in production.stores] == ["file:/etc/key"]
    assert production.rollout is not None
    assert production.freezes == (
        Freeze("weekend", days=(5, 6), hours=(18 * 3600.0, 8 * 3600.0)),
        Freeze("christmas", fixed=Window(1_797_724_800.0, 1_798_934_400.0)),
    )
    assert (hooks.endpoint, hooks.cadence, hooks.overlap) == ("eu", None, 2 * DAY)


def test_what_is_left_out() -> None:
    """A name is enough: the credential is observed, standard, by hand."""
    [found] = config(credential()).credentials

    assert (found.mode, found.cadence, found.issuer) == (Mode.OBSERVE, 90 * DAY, BY_HAND)
    assert (found.overlap, found.stores, found.rollout) == (2 * DAY, (), None)
    assert not found.rotates


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        pytest.param(["mode: auto"], ['c.yaml:4: "auto" is no mode'], id="mode"),
        pytest.param(["type: certificate"], ['c.yaml:4: "certificate" is no type'], id="type"),
        pytest.param(["cadence: 5m"], ['c.yaml:4: "cadence" must be at least 1d'], id="cadence"),
        pytest.param(["cadence: often"], ["c.yaml:4: not a valid duration"], id="no-duration"),
        pytest.param(["on_failure: shrug"], ['c.yaml:4: "shrug" is no on_failure'], id="failure"),
        pytest.param(["overlapp: 48h"], ['c.yaml:4: unknown field "overlapp"'], id="misspelled"),
        pytest.param(
            ["mode: automatic"],
            ['mode "automatic" needs at least one store', 'no "rollout"'],
            id="nothing-to-rotate",
        ),
        pytest.param(["stores: [{type: paper}]"], ['"paper" is no type of store'], id="store"),
        pytest.param(["rollout: {type: hope}"], ['"hope" is no type of rollout'], id="rollout"),
        pytest.param(["issuer: {type: oracle}"], ['"oracle" is no type of issuer'], id="issuer"),
        pytest.param(
            ["stores: [{type: file, path: a}, {type: file, path: a}]"],
            ['"file:/etc/a" stands twice in "stores"'],
            id="same-store-twice",
        ),
        pytest.param(
            ["type: webhook_secret", "stores: [{type: file, path: a}]"],
            ['"stores" means nothing for a webhook_secret'],
            id="webhook-secret-with-store",
        ),
        pytest.param(
            ["type: webhook_secret", "overlap: 1h"],
            [f'"overlap" of a webhook_secret must be at least {HORIZON:.0f}s'],
            id="webhook-secret-too-short",
        ),
        pytest.param(["freezes: [{name: a}]"], ['a freeze has either "from"'], id="empty-freeze"),
        pytest.param(
            ["freezes: [{from: now, to: 2027-01-01}]"], ['"from" must be a day'], id="no-moment"
        ),
        pytest.param(
            ["freezes: [{from: 2027-01-02, to: 2027-01-01}]"], ['"to" must be later'], id="upside"
        ),
        pytest.param(
            ["freezes: [{weekdays: [moonday, funday]}]"], ['"funday" is no weekday'], id="no-day"
        ),
        pytest.param(
            ['freezes: [{weekdays: [mon], hours: "late"}]'], ['"hours" must be such'], id="no-hours"
        ),
        pytest.param(
            ["freezes: [{weekdays: [mon, tue, wed, thu, fri, sat, sun]}]"],
            ["the freezes leave no moment free"],
            id="frozen-for-ever",
        ),
    ],
)
def test_mistakes(lines: list[str], wanted: list[str]) -> None:
    """Each is named, at its line, with what to write instead."""
    found = problems(credential(*lines))

    assert all(any(text in one for one in found) for text in wanted), found
    assert all(one.startswith("c.yaml:") for one in found)


def test_names() -> None:
    """Names are labels of metrics and parts of keys: short and plain, each once."""
    rows = ("{name: two words}", "{name: twice}", "{name: twice}", "{}")

    found = problems("  credentials:\n" + "".join(f"    - {row}\n" for row in rows))

    assert sum('"name" must be' in one for one in found) == 2
    assert any('credential "twice" stands twice' in one for one in found)


def test_a_short_overlap_is_doubted() -> None:
    """Synap recommends 48 h; less is allowed and said."""
    text = "rotation:\n" + credential("overlap: 2h")
    document = parse(text, file="c.yaml", base=Path("/etc"))
    section = document.section("rotation")
    assert section is not None

    read(section)

    assert [warning.line for warning in document.findings.warnings] == [4]
