"""`synap-hooks sign` and `verify`."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from tests.build import SECRET
from tests.workers.cli.command import Command

BODY = b'{"event_id":"evt_1"}\n'
OTHER = "whsec_another_secret_0123456789"


def expected(secret: str = SECRET) -> str:
    """Return the header value by the standard library alone."""
    return "sha256=" + hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()


@pytest.fixture
def body(tmp_path: Path) -> str:
    """Return the path of a file that holds the body."""
    path = tmp_path / "body.json"
    path.write_bytes(BODY)
    return str(path)


def test_sign_standard_input() -> None:
    """The signature of standard input is what Synap documents, byte for byte."""
    command = Command(SYNAP_WEBHOOK_SECRET=SECRET)

    assert command("sign", stdin=BODY) == 0
    assert command.out == expected() + "\n"


def test_sign_with_secrets_from_anywhere_but_the_command_line(tmp_path: Path, body: str) -> None:
    """A secret comes from the environment, a file, a directory or standard input."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    keys = tmp_path / "keys"
    (keys / "billing").mkdir(parents=True)
    (keys / "2026").write_text(SECRET)
    (keys / "billing" / "only").write_text(OTHER)

    answers = []
    for command, arguments, stdin in (
        (Command(SYNAP_WEBHOOK_SECRET_FILE=str(secret)), (), b""),
        (Command(), ("--secret-file", str(secret)), b""),
        (Command(SYNAP_WEBHOOK_SECRET_DIR=str(keys)), (), b""),
        (Command(SYNAP_WEBHOOK_SECRET=OTHER), ("--secret-file", "-"), SECRET.encode() + b"\n"),
    ):
        assert command("sign", body, *arguments, stdin=stdin) == 0, command.err
        answers.append(command.out.strip())
    billing = Command(SYNAP_WEBHOOK_SECRET_DIR=str(keys))

    assert set(answers) == {expected()}
    assert billing("sign", body, "--endpoint", "billing", "--json") == 0
    assert billing.document == {
        "header": "X-Synap-Signature",
        "value": expected(OTHER),
        "key": "only",
    }


def test_sign_with_the_key_of_a_label(body: str) -> None:
    """With several live keys the first signs unless a label is given."""
    command = Command(SYNAP_WEBHOOK_SECRET=f"{SECRET},{OTHER}")

    command("sign", body, "--json")
    first = command.document
    command("sign", body, "--key", "key-2", "--json")

    assert (first["key"], first["value"]) == ("key-1", expected())
    assert command.document["value"] == expected(OTHER)


@pytest.mark.parametrize(
    ("environ", "arguments", "says"),
    [
        pytest.param({}, [], "no signing key", id="no secret"),
        pytest.param({"SYNAP_WEBHOOK_SECRET": "short"}, [], "shorter than 16 bytes", id="short"),
        pytest.param({"SYNAP_WEBHOOK_SECRET": SECRET}, ["/nowhere"], "cannot read", id="no body"),
        pytest.param({"SYNAP_WEBHOOK_SECRET": SECRET}, ["--key", "x"], "key-1", id="no label"),
        pytest.param(
            {"SYNAP_WEBHOOK_SECRET": SECRET}, ["--endpoint", "x"], "default", id="no endpoint"
        ),
        pytest.param({}, ["--secret-file", "/nowhere"], "/nowhere", id="no secret file"),
        pytest.param({}, ["--secret-file", "-"], "name the body's FILE", id="standard input twice"),
    ],
)
def test_refusals(environ: dict[str, str], arguments: list[str], says: str) -> None:
    """What is missing is named, with 2, and no secret is ever printed."""
    command = Command(**environ)

    assert command("sign", *arguments, stdin=SECRET) == 2
    assert says in command.err
    assert SECRET not in command.err


def test_verify(body: str) -> None:
    """A true signature names the key that made it."""
    command = Command(SYNAP_WEBHOOK_SECRET=f"{OTHER},{SECRET}")

    assert command("verify", body, "--signature", expected()) == 0
    assert command.out == "valid: signed with key key-2 of endpoint default\n"
    assert command("verify", "--signature", expected(), "--json", stdin=BODY) == 0
    assert command.document == {"valid": True, "key": "key-2", "reason": None}


@pytest.mark.parametrize(
    ("signature", "reason", "says"),
    [
        pytest.param("sha256=" + "0" * 64, "signature_mismatch", "another secret", id="mismatch"),
        pytest.param(expected().upper(), "signature_malformed", "64 lower-case", id="upper case"),
        pytest.param("é", "signature_malformed", "64 lower-case", id="not ascii"),
    ],
)
def test_verify_says_no(body: str, signature: str, reason: str, says: str) -> None:
    """A false signature ends with 1 and says what may be wrong."""
    command = Command(SYNAP_WEBHOOK_SECRET=SECRET)

    assert command("verify", body, "--signature", signature) == 1
    assert says in command.out
    assert command("verify", body, "--signature", signature, "--json") == 1
    assert command.document == {"valid": False, "key": None, "reason": reason}
