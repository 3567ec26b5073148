"""Issuer `http`."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import orjson
import pytest

from tests.sink import Sink
from workers.document import parse
from workers.rotation.adapters import load
from workers.rotation.errors import PermanentError, PortError, Reason, TransientError
from workers.rotation.fingerprint import Secret
from workers.rotation.issuers import ISSUERS
from workers.rotation.ports import Found, Issued, Issuer
from workers.section import DocumentError

KEY = "synap_n3wKc4nary"
NAME = 'synap-rot-"7f3a/1'
TOKEN = "6f0c9b0e-0000-5000-8000-000000000000"

ENTRY = """
type: http
authorization: Bearer c4nary
create:
  url: {url}/keys
  body: '{{"label": "{{name}}"}}'
  key_id: data.id
  value: data.key
list:
  url: {url}/keys?label={{name}}
  items: data
  key_id: id
  name: label
revoke:
  url: {url}/keys/{{key_id}}
"""


def configured(entry: str, base: Path = Path("/nowhere")) -> Issuer:
    """Return an issuer as its entry in a configuration describes it."""
    section = parse(entry, file="hooks.yml", base=base)
    made: Issuer | None = load(ISSUERS, section, "issuer")
    section.findings.raise_if_any()
    assert made is not None
    return made


@pytest.fixture
def issuer(sink: Sink) -> Issuer:
    """Return an issuer at the sink."""
    return configured(ENTRY.format(url=sink.url))


def test_a_key_is_made(sink: Sink, issuer: Issuer) -> None:
    """By the configured call, with the name escaped where it stands and a key for repeats."""
    sink.answer(201, orjson.dumps({"data": {"id": 7, "key": KEY}}))

    made = issuer.issue(NAME, TOKEN)

    (seen,) = sink.seen
    assert made == Issued("7", Secret(KEY))
    assert (seen.method, seen.path, seen.json) == ("POST", "/keys", {"label": NAME})
    assert seen.headers["authorization"] == "Bearer c4nary"
    assert seen.headers["idempotency-key"] == TOKEN


def test_keys_are_found_by_their_exact_name(sink: Sink, issuer: Issuer) -> None:
    """What the filter of the other side lets through besides is left out."""
    items = [
        {"id": "a", "label": NAME},
        {"id": "b", "label": f"{NAME}0"},
        {"id": "", "label": NAME},
        {"label": NAME},
        "?",
    ]
    sink.answer(body=orjson.dumps({"data": items}))

    found = issuer.find(NAME)

    (seen,) = sink.seen
    assert found == [Found("a", NAME)]
    assert (seen.method, seen.path) == ("GET", "/keys?label=synap-rot-%227f3a%2F1")
    assert "idempotency-key" not in seen.headers


@pytest.mark.parametrize("status", [200, 204, 404, 410])
def test_a_key_is_revoked_and_stays_so(sink: Sink, issuer: Issuer, status: int) -> None:
    """One that is gone is what was wanted."""
    sink.answer(status, b"")

    issuer.revoke("a/7", TOKEN)

    (seen,) = sink.seen
    assert (seen.method, seen.path) == ("DELETE", "/keys/a%2F7")
    assert seen.headers["idempotency-key"] == TOKEN


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        pytest.param(400, PermanentError, Reason.INVALID, id="malformed"),
        pytest.param(401, PermanentError, Reason.DENIED, id="unauthorized"),
        pytest.param(404, PermanentError, Reason.INVALID, id="nowhere"),
        pytest.param(409, TransientError, Reason.CONFLICT, id="repeat-that-differs"),
        pytest.param(429, TransientError, Reason.RATE_LIMITED, id="throttled"),
        pytest.param(500, TransientError, Reason.SERVER_ERROR, id="broken"),
    ],
)
def test_answers(
    sink: Sink, issuer: Issuer, status: int, kind: type[PortError], reason: Reason
) -> None:
    """Whether a key may have been made decides between the two kinds."""
    sink.answer(status, KEY.encode())

    with pytest.raises(kind) as caught:
        issuer.issue(NAME, TOKEN)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="no-data"),
        pytest.param(b'{"data": {"id": 7}}', id="no-key"),
        pytest.param(b'{"data": {"id": 7, "key": null}}', id="null"),
        pytest.param(b'{"data": {"id": 7, "key": ["x"]}}', id="a-list"),
    ],
)
def test_an_answer_without_a_key(sink: Sink, issuer: Issuer, body: bytes) -> None:
    """A configuration that does not fit the answer is named as such."""
    sink.answer(body=body)

    with pytest.raises(PermanentError) as caught:
        issuer.issue(NAME, TOKEN)

    assert caught.value.reason == Reason.INVALID


def test_a_list_that_is_none(sink: Sink, issuer: Issuer) -> None:
    """Nothing found and nothing readable are two things."""
    sink.answer(body=b'{"data": {}}')

    with pytest.raises(PermanentError) as caught:
        issuer.find(NAME)

    assert caught.value.reason == Reason.INVALID


def test_paths_lead_through_lists(sink: Sink) -> None:
    """A number in a path is a place in a list; an empty path is the answer itself."""
    entry = ENTRY.replace("data.id", "0.id").replace("data.key", "0.key")
    issuer = configured(entry.replace("  items: data\n", "").format(url=sink.url))
    sink.answer(body=orjson.dumps([{"id": "a", "key": KEY, "label": NAME}]))

    assert issuer.issue(NAME, TOKEN).key_id == "a"
    assert issuer.find(NAME) == [Found("a", NAME)]


def test_nothing_listens() -> None:
    """It may do so later."""
    with pytest.raises(TransientError) as caught:
        configured(ENTRY.format(url="http://127.0.0.1:1")).find(NAME)

    assert caught.value.reason == Reason.UNREACHABLE


def test_no_secret_shows(sink: Sink, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither values, logs nor tracebacks hold a key."""
    sink.answer(body=orjson.dumps({"data": {"id": "7", "key": KEY}}))
    shown = [repr(issuer)]
    with caplog.at_level(logging.DEBUG):
        shown.append(repr(issuer.issue(NAME, TOKEN)))
        sink.answer(500, KEY.encode())
        for call in (issuer.find, lambda name: issuer.issue(name, TOKEN)):
            with pytest.raises(TransientError) as caught:
                call(NAME)
            shown += traceback.format_exception(caught.value)

    assert "c4nary" not in "".join(shown) + caplog.text


def test_the_authorization_may_come_later(sink: Sink, tmp_path: Path) -> None:
    """It is read from its file at each call."""
    entry = ENTRY.replace("authorization: Bearer c4nary", "authorization_file: token")
    issuer = configured(entry.format(url=sink.url), tmp_path)
    sink.answer(body=b'{"data": []}')
    with pytest.raises(TransientError):
        issuer.find(NAME)
    (tmp_path / "token").write_text("Bearer later\n")

    assert issuer.find(NAME) == []
    assert sink.seen[0].headers["authorization"] == "Bearer later"


def test_the_configuration_is_strict() -> None:
    """What is missing or malformed is named with its line."""
    entry = "type: http\ncreate: {url: x, key_id: id}\nrevoke: {url: 'http://h', method: GO}\n"
    with pytest.raises(DocumentError) as caught:
        configured(entry)

    assert sorted(caught.value.problems) == [
        'hooks.yml:1: "list" is missing: how keys are made, listed and revoked',
        'hooks.yml:2: "value" is missing: the path to it in the answer',
        "hooks.yml:2: url must be an http or https URL",
        'hooks.yml:3: "GO" is no method: use one of GET, POST, PUT, PATCH, DELETE',
        'hooks.yml:3: "{key_id}" must stand in url or body: which key is revoked',
    ]
