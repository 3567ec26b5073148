"""`synap-hooks sign` and `verify`: signatures by hand.

Secrets come from files, the environment or standard input, never from the command line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from receiver import signature
from receiver.errors import Refusal, SignatureError
from receiver.event import DEFAULT_ENDPOINT
from receiver.settings import ReceiverSettings
from receiver.signature import SigningKey
from workers.cli import output, selection
from workers.cli.exits import ExitCode, Misuse
from workers.cli.session import World, settings_of

STDIN: Final = "-"
MAX_SECRET_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 64 << 20

_SECRETS: Final = ("SYNAP_WEBHOOK_SECRET", "SYNAP_WEBHOOK_SECRET_FILE", "SYNAP_WEBHOOK_SECRET_DIR")
_MEND: Final = {
    Refusal.MALFORMED.value: "a signature is sha256= and 64 lower-case hex digits",
    Refusal.MISMATCH.value: (
        "another secret signed it, or the body is not byte for byte what was sent "
        "(an editor's last newline counts)"
    ),
}

Command = Callable[..., None]


def key_options(command: Command) -> Command:
    """Add to a command where its signing keys come from."""
    for option in (
        click.option(
            "--secret-file",
            metavar="FILE",
            help="The file with the secret, - for standard input.  "
            "[default: what SYNAP_WEBHOOK_SECRET, its _FILE or its _DIR name]",
        ),
        click.option("--endpoint", default=DEFAULT_ENDPOINT, show_default=True, help="Whose keys."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("file", default=STDIN)
@click.option("--key", "label", help="Sign with the key of this label.  [default: the first]")
@key_options
@selection.json_option
@click.pass_obj
def sign(
    world: World,
    file: str,
    *,
    label: str | None,
    secret_file: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Print the signature of a body.

    It is the value of the header X-Synap-Signature for FILE or standard input, byte for byte.
    """
    keys = signing_keys(world, secret_file, endpoint)
    key = chosen_key(keys, label)
    value = signature.sign(read_body(file, secret_file), key)
    if as_json:
        output.document({"header": "X-Synap-Signature", "value": value, "key": key.label})
    else:
        click.echo(value)


@click.command()
@click.argument("file", default=STDIN)
@click.option("--signature", "value", required=True, help="The header value: sha256=...")
@key_options
@selection.json_option
@click.pass_obj
def verify(
    world: World,
    file: str,
    *,
    value: str,
    secret_file: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Check the signature of a body.

    Says which key signed FILE or standard input, byte for byte, or why none did.
    """
    keys = signing_keys(world, secret_file, endpoint)
    body = read_body(file, secret_file)
    try:
        key = signature.verify(body, value.strip().encode(errors="replace"), keys)
    except SignatureError as refused:
        if as_json:
            output.document({"valid": False, "key": None, "reason": refused.reason})
        else:
            click.echo(f"not valid: {_MEND[refused.reason]}")
        raise click.exceptions.Exit(ExitCode.NEGATIVE) from None
    if as_json:
        output.document({"valid": True, "key": key.label, "reason": None})
    else:
        click.echo(f"valid: signed with key {key.label} of endpoint {endpoint}")


def signing_keys(world: World, secret_file: str | None, endpoint: str) -> Sequence[SigningKey]:
    """Return the live keys of an endpoint, newest first where the order is known.

    Raises:
        Trouble: there are none, or they cannot be read.
    """
    environ: dict[str, Any] = {n: v for n, v in world.environ.items() if n in _SECRETS}
    if secret_file == STDIN:
        content = sys.stdin.buffer.read(MAX_SECRET_BYTES)
        environ = {_SECRETS[0]: content.decode(errors="replace").rstrip("\r\n")}
    elif secret_file is not None:
        environ = {_SECRETS[1]: secret_file}
    secrets = settings_of(ReceiverSettings, environ).signing_secrets()
    if endpoint not in secrets:
        known = ", ".join(sorted(secrets))
        raise Misuse(f"endpoint {endpoint} has no key; there are: {known}")
    return [SigningKey(label, secret) for label, secret in secrets[endpoint].items()]


def chosen_key(keys: Sequence[SigningKey], label: str | None) -> SigningKey:
    """Return the key of a label, or the first.

    Raises:
        Trouble: no key has the label.
    """
    for key in keys:
        if label in (None, key.label):
            return key
    known = ", ".join(key.label for key in keys)
    raise Misuse(f"no key has the label {label}; there are: {known}")


def read_body(file: str, secret_file: str | None) -> bytes:
    """Return the bytes of a body.

    Raises:
        Trouble: the file cannot be read, or standard input already gave the secret.
    """
    if file == STDIN:
        if secret_file == STDIN:
            raise Misuse("standard input gave the secret; name the body's FILE")
        return sys.stdin.buffer.read(MAX_BODY_BYTES)
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Misuse(f"cannot read {file}: {error.strerror}") from error
