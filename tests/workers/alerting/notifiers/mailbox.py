"""A real SMTP server with mailboxes, for the tests of `email`."""

from __future__ import annotations

import asyncio
import email
import socket
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.workers.alerting.notifiers.conformance import CANARY


class Post:
    """What a server's mailboxes do; aiosmtpd calls these by their names."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], bytes]] = []
        self.replies: dict[str, str] = {}
        self.data_reply = "250 OK"
        self.hangs_at = ""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        """Take a recipient or answer what the test set for it."""
        if self.hangs_at == "RCPT":
            await asyncio.sleep(1)
        reply = self.replies.get(address, "250 OK")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a letter."""
        if self.hangs_at == "DATA":
            await asyncio.sleep(1)
        if self.data_reply.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.letters.append((list(envelope.rcpt_tos), envelope.content))
        return self.data_reply

    def read(self, place: int = -1) -> EmailMessage:
        """Return a letter that arrived."""
        found = email.message_from_bytes(self.letters[place][1], policy=default)
        assert isinstance(found, EmailMessage)
        return found


def let_in(_: SMTP, __: Session, ___: Envelope, ____: str, given: Any) -> AuthResult:
    """Let in who has the password."""
    assert isinstance(given, LoginPassword)
    return AuthResult(success=given.password == CANARY.encode(), handled=False)


def free_port() -> int:
    """Return a port on which nobody listens; aiosmtpd wants to know it beforehand."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
        return found


def run(running: Controller) -> Iterator[Controller]:
    """Yield a server while it runs."""
    running.start()
    yield running
    running.stop()


def encrypted(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """Return what a server shows who it is with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context
