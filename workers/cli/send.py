"""`synap-hooks send`: a signed sample of each type to any URL."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import click
import httpx2

from receiver import signature
from receiver.settings import mask_url
from receiver.signature import SigningKey
from workers.cli import output, selection
from workers.cli.exits import ExitCode, Misuse, Unreachable
from workers.cli.samples import DATA, Sample, sample
from workers.cli.session import World
from workers.cli.signing import chosen_key, key_options, signing_keys
from workers.handlers.fields import clean

SCHEMES: Final = ("http", "https")
ANSWER_CHARS: Final = 300
ANSWER_BYTES: Final = 4096
SENDER_PATIENCE: Final = 30.0
"""Seconds that Synap waits for an answer."""

HEAD: Final = ("TYPE", "STATUS", "MS", "ANSWER", "EVENT ID")


class Reply(NamedTuple):
    """What the URL answered to one sample."""

    sample: Sample
    status: int
    answer: str
    ms: float


@click.command()
@click.argument("url")
@click.option("--type", "types", type=click.Choice(list(DATA)), multiple=True, help="Only this.")
@click.option("--key", "label", help="Sign with the key of this label.  [default: the first]")
@key_options
@selection.json_option
@click.pass_obj
def send(
    world: World,
    url: str,
    *,
    types: tuple[str, ...],
    label: str | None,
    secret_file: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Send signed samples to URL, print the answers.

    One of each event type, as Synap would send it; or those of --type. Samples are events like
    any other: a service that takes them alerts as its routes say.
    """
    shown = _checked(url)
    key = chosen_key(signing_keys(world, secret_file, endpoint), label)
    replies = _send_all(url, shown, types or tuple(DATA), key, now=world.clock())
    if as_json:
        output.document({"url": shown, "sent": [_shape(reply) for reply in replies]})
    else:
        output.table(HEAD, [_cells(reply) for reply in replies])
    if not all(200 <= reply.status < 300 for reply in replies):  # noqa: PLR2004 - what Synap counts
        raise click.exceptions.Exit(ExitCode.NEGATIVE)


def _checked(url: str) -> str:
    """Return a URL as it may be shown.

    Raises:
        Misuse: it is no HTTP URL.
    """
    try:
        parsed = httpx2.URL(url)
        if parsed.scheme in SCHEMES and parsed.host:
            return mask_url(url)
    except (httpx2.InvalidURL, ValueError):
        pass
    raise Misuse("that is no URL to send to: write http://host:port/webhooks/synap")


def _send_all(
    url: str, shown: str, types: Sequence[str], key: SigningKey, *, now: float
) -> list[Reply]:
    try:
        with httpx2.Client(timeout=SENDER_PATIENCE, follow_redirects=False) as client:
            return [_send(client, url, sample(name, now=now), key) for name in types]
    except httpx2.HTTPError as error:
        what = clean(str(error)) or type(error).__name__
        hint = "check that the service listens there"
        raise Unreachable(f"{shown} gave no answer: {what}; {hint}") from error


def _send(client: httpx2.Client, url: str, sent: Sample, key: SigningKey) -> Reply:
    headers = {
        "content-type": "application/json",
        signature.HEADER.decode(): signature.sign(sent.body, key),
    }
    began = time.perf_counter()
    with client.stream("POST", url, content=sent.body, headers=headers) as response:
        text = next(response.iter_bytes(ANSWER_BYTES), b"").decode(errors="replace")
    ms = (time.perf_counter() - began) * 1000
    return Reply(sent, response.status_code, clean(text, ANSWER_CHARS), ms)


def _shape(reply: Reply) -> dict[str, Any]:
    return {
        "type": reply.sample.type,
        "event_id": reply.sample.event_id,
        "status": reply.status,
        "answer": reply.answer,
        "ms": round(reply.ms, 1),
    }


def _cells(reply: Reply) -> tuple[str, ...]:
    return (
        reply.sample.type,
        str(reply.status),
        f"{reply.ms:.1f}",
        reply.answer,
        reply.sample.event_id,
    )
