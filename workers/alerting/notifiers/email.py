"""Target `email`: SMTP, encrypted unless that is switched off.

Port 465 is TLS from the start; on any other port the server must offer STARTTLS. A group's messages
are one thread, and each state has its own Message-Id, the same in every attempt at it. What one
recipient's server refuses does not keep the message from the others.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import ClassVar, Final

from workers.alerting.notification import Call, Notification
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.letter import Letter, compose
from workers.alerting.notifiers.smtp import EncryptedSession, Session
from workers.alerting.notifiers.steps import Progress
from workers.outbound import Limits, Permanent, Reason, Retry, Sent, Verdict
from workers.section import Secret, SecretUnreadableError, Section

IMPLICIT_TLS: Final = 465
SUBMISSION: Final = 587
HELLO: Final = "localhost"
MAX_PORT: Final = 65_535

_TOO_LARGE: Final = 552
_AUTH: Final = frozenset({530, 534, 535, 538})
_PERMANENT: Final = 500


class NoTlsError(smtplib.SMTPException):
    """The server offers no STARTTLS, and without it nothing is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """Sends through one server, to each recipient once."""

    to: tuple[str, ...]
    sender: str
    host: str
    port: int = SUBMISSION
    hello: str = HELLO
    username: str = ""
    password: Secret | None = None
    require_tls: bool = True
    implicit_tls: bool = False
    ca_file: Path | None = None
    send_resolved: bool = False

    durable: ClassVar[bool] = True
    idempotent: ClassVar[bool] = False
    stateful: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False

    @property
    def account(self) -> str:
        """What shares a rate: the server and who sends."""
        return f"{self.host}:{self.port} {self.sender}"

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Send the message to those who did not get it yet."""
        progress = Progress(call)
        left = [one for one in self.to if not progress.has(one)]
        letter = compose(notification, self.sender, self.to, call.memory)
        sent = _Sending()
        try:
            with self._session(call.outbound.limits) as session:
                verdict = self._send(session, left, letter, progress, sent)
        except SecretUnreadableError as error:
            return progress.wait(Retry(Reason.OTHER, str(error)))
        except (smtplib.SMTPException, OSError) as error:
            failed = _verdict(error, handed=sent.handed)
            if isinstance(failed, Retry):
                return progress.wait(failed)
            progress.refuse(failed)
            return progress.end()
        if isinstance(verdict, Sent) and notification.status == "resolved":
            return Sent(verdict.note, {})  # what fires again is another thread
        return verdict

    def _send(
        self,
        session: smtplib.SMTP,
        left: list[str],
        letter: Letter,
        progress: Progress,
        sent: _Sending,
    ) -> Verdict:
        """Hand the letter over; who is put off by the server is told in another attempt."""
        _check(session.mail(parseaddr(self.sender)[1]))
        taken, waits = [], None
        for recipient in left:
            verdict = _refusal(session.rcpt(parseaddr(recipient)[1]))
            if verdict is None:
                taken.append(recipient)
            elif isinstance(verdict, Retry):
                waits = waits or verdict
            else:
                progress.refuse(verdict)
        if taken:
            sent.handed = True
            _check(session.data(letter.text))
            sent.handed = False
        for recipient in taken:
            progress.take(recipient, letter.memory)
        return progress.wait(waits) if waits else progress.end(letter.id)

    @contextmanager
    def _session(self, limits: Limits) -> Iterator[smtplib.SMTP]:
        """Yield a session that is encrypted and logged in; its end is not waited for."""
        context = ssl.create_default_context(cafile=self.ca_file)
        session: Session
        if self.implicit_tls:
            session = EncryptedSession(self.host, self.port, self.hello, limits, context=context)
        else:
            session = Session(self.host, self.port, self.hello, limits)
        try:
            session.ehlo_or_helo_if_needed()
            if self.require_tls and not self.implicit_tls:
                if not session.has_extn("starttls"):
                    raise NoTlsError
                session.starttls(context=context)
                session.ehlo()
            if self.password is not None:
                _log_in(session, self.username, self.password.reveal())
            yield session
            session.putcmd("quit")
        finally:
            session.close()


class _Sending:
    """Whether the message was handed over and not answered for: then it may have arrived."""

    handed: bool = False


def _log_in(session: smtplib.SMTP, username: str, password: str) -> None:
    """Try the first way that is offered: some servers hang up on a second one."""
    offered = session.esmtp_features.get("auth", "").upper().split()
    session.user, session.password = username, password
    if "PLAIN" in offered:
        session.auth("PLAIN", session.auth_plain)
    elif "LOGIN" in offered:
        session.auth("LOGIN", session.auth_login)
    else:
        raise smtplib.SMTPNotSupportedError


def _check(reply: tuple[int, bytes]) -> None:
    """Raise what smtplib would, for a reply that is no success."""
    code, said = reply
    if not 200 <= code < 400:  # noqa: PLR2004 - where SMTP's refusals begin
        raise smtplib.SMTPResponseException(code, said)


def _refusal(reply: tuple[int, bytes]) -> Retry | Permanent | None:
    try:
        _check(reply)
    except smtplib.SMTPResponseException as error:
        return _verdict(error, handed=False)
    return None


def _verdict(error: Exception, *, handed: bool) -> Retry | Permanent:
    """Say what a failure means; a server's words may hold anything and stay out."""
    if isinstance(error, NoTlsError):
        return Permanent(Reason.AUTH_ERROR, "the server offers no STARTTLS")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Permanent(Reason.AUTH_ERROR, "the server offers no AUTH that fits")
    if isinstance(error, smtplib.SMTPResponseException):
        return _reply_verdict(error.smtp_code, handed=handed)
    # smtplib hides a time-out behind an error of its own.
    timed = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
    reason = Reason.DEADLINE if timed else Reason.OTHER
    return Retry(reason, type(error).__name__, ambiguous=handed)


def _reply_verdict(code: int, *, handed: bool) -> Retry | Permanent:
    if code < 0:  # smtplib's word for what is no reply
        return Retry(Reason.OTHER, "unreadable answer", ambiguous=handed)
    detail = f"status {code}"
    if code < _PERMANENT:
        return Retry(Reason.SERVER_ERROR, detail)
    if code in _AUTH:
        return Permanent(Reason.AUTH_ERROR, detail)
    return Permanent(Reason.TOO_LARGE if code == _TOO_LARGE else Reason.CLIENT_ERROR, detail)


def read(section: Section, _: Ambient) -> Email:
    """Read one entry of `email_configs`."""
    to = tuple(one.strip() for one in section.text("to").split(",") if one.strip())
    sender = section.text("from")
    if not to:
        section.problem("missing to address in email config")
    if not sender:
        section.problem("missing from address in email config")
    for field, addresses in (("to", to), ("from", (sender,) if sender else ())):
        for address in addresses:
            if "@" not in parseaddr(address)[1] or not address.isprintable():
                section.problem(f'"{address}" is no e-mail address', field)
    host, _colon, port = section.text("smarthost").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        section.problem("smarthost must be host:port, such as smtp.example.org:587", "smarthost")
        host, port = "", str(SUBMISSION)
    username, password = section.text("auth_username"), section.secret("auth_password")
    if bool(username) != (password is not None):
        section.problem("auth_username and auth_password must be configured together")
    require_tls = section.flag("require_tls", default=True)
    implicit = section.flag("force_implicit_tls", default=int(port) == IMPLICIT_TLS)
    if password is not None and not (require_tls or implicit):
        section.problem(
            "a password is never sent unencrypted: leave out require_tls", "require_tls"
        )
    ca_file = section.text("ca_file")
    return Email(
        to=to,
        sender=sender,
        host=host.strip("[]"),
        port=int(port),
        hello=section.text("hello", HELLO),
        username=username,
        password=password,
        require_tls=require_tls,
        implicit_tls=implicit,
        ca_file=section.findings.base / ca_file if ca_file else None,
        send_resolved=section.flag("send_resolved", default=False),
    )
