"""Target `email`: against a real SMTP server that demands STARTTLS and a password."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from tests.build import NOW, make_alert
from tests.workers.alerting.notifiers.conformance import (
    CANARY,
    call,
    gone,
    notification,
    target,
)
from tests.workers.alerting.notifiers.mailbox import Post, encrypted, free_port, let_in, run
from workers.alerting.notification import Notification
from workers.alerting.notifiers.email import Email
from workers.outbound import Outbound, Permanent, Reason, Retry, Sent, Verdict
from workers.section import DocumentError

DOMAIN = "hooks.example"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the server's own certificate and key."""
    made = tmp_path_factory.mktemp("tls")
    cert, key = made / "cert.pem", made / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    out = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names, *out], check=True, capture_output=True)
    return cert, key


@pytest.fixture
def post() -> Post:
    """Return the mailboxes."""
    return Post()


@pytest.fixture
def server(post: Post, certificate: tuple[Path, Path]) -> Iterator[Controller]:
    """Yield a server that demands STARTTLS and a password."""
    running = Controller(
        post,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=encrypted(certificate),
        require_starttls=True,
        auth_required=True,
        authenticator=let_in,
    )
    yield from run(running)


@pytest.fixture
def plain(post: Post) -> Iterator[Controller]:
    """Yield a server that offers no encryption."""
    yield from run(Controller(post, hostname="127.0.0.1", port=free_port()))


@pytest.fixture
def tell(
    server: Controller, certificate: tuple[Path, Path], outbound: Outbound
) -> Callable[..., Verdict]:
    """Return how to tell the server; what is remembered is passed by hand."""

    def told(message: Notification, memory: dict[str, str] | None = None, **more: str) -> Verdict:
        fields = {
            "to": "a@x.example, Bea <b@x.example>",
            "from": f"Hooks <hooks@{DOMAIN}>",
            "smarthost": f"127.0.0.1:{server.port}",
            "auth_username": "u",
            "auth_password": CANARY,
            "ca_file": str(certificate[0]),
            **more,
        }
        text = "\n".join(f"{name}: '{said}'" for name, said in fields.items())
        return target("email", text).notify(message, call(outbound, memory))

    return told


def test_a_letter_arrives(post: Post, tell: Callable[..., Verdict]) -> None:
    """It is encrypted on its way, addressed to all, and has text and HTML."""
    verdict = tell(notification())

    assert isinstance(verdict, Sent)
    letter = post.read()
    assert post.letters[0][0] == ["a@x.example", "b@x.example"]
    assert (letter["subject"], letter["message-id"]) == ("FIRING: A document failed", verdict.note)
    assert letter["from"] == f"Hooks <hooks@{DOMAIN}>"
    assert [part.get_content_type() for part in letter.iter_parts()] == [
        "text/plain",
        "text/html",
    ]


def test_a_group_is_a_thread(post: Post, tell: Callable[..., Verdict]) -> None:
    """All letters refer to one id; each state has its own; an end closes the thread."""
    first = tell(notification(flush=1))
    assert isinstance(first, Sent)
    later = notification(make_alert("A", ends_at=NOW), flush=2, at=NOW + 86_400)
    second = tell(later, dict(first.memory or {}))

    letters = [post.read(0), post.read(1)]
    ids = [letter["message-id"] for letter in letters]
    assert re.fullmatch(rf"<alert-d{{16}}-2027-01-15@{DOMAIN}>", letters[0]["references"])
    assert {letter["references"] for letter in letters} == {letters[0]["in-reply-to"]}
    assert len(set(ids)) == 2
    assert second == Sent(ids[1], {})


def test_a_repeated_attempt_is_the_same_letter(post: Post, tell: Callable[..., Verdict]) -> None:
    """A mailbox can tell a repeat by its id."""
    tell(notification())
    tell(notification())

    assert post.letters[0] == post.letters[1]


def test_headers_cannot_be_injected(post: Post, tell: Callable[..., Verdict]) -> None:
    """A line break in what an event says is a space in a header."""
    tell(notification(make_alert(annotations={"summary": "x\r\nBcc: evil@x.example\r\n\r\nhi"})))

    letter = post.read()
    assert letter["subject"] == "FIRING: x Bcc: evil@x.example hi"
    assert letter["bcc"] is None
    assert post.letters[0][0] == ["a@x.example", "b@x.example"]


def test_html_holds_no_markup_of_events(post: Post, tell: Callable[..., Verdict]) -> None:
    """What an event says is text."""
    notes = {"summary": "<script>", "description": "<img src=x>", "runbook_url": "https://r/?a&b"}
    tell(notification(make_alert(annotations=notes)))

    html = post.read().get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "<script>" not in html
    assert "<img" not in html
    assert '<a href="https://r/?a&amp;b">Runbook</a>' in html


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("451 later", Retry(Reason.SERVER_ERROR, "status 451")),
        ("550 unknown", Permanent(Reason.CLIENT_ERROR, "status 550")),
    ],
)
def test_one_recipient_s_trouble_is_its_own(
    post: Post, tell: Callable[..., Verdict], reply: str, expected: Retry | Permanent
) -> None:
    """Who could be told is told once; another attempt is for the others alone."""
    post.replies["b@x.example"] = reply

    first = tell(notification())
    assert isinstance(first, Retry | Permanent)
    post.replies.clear()
    second = tell(notification(), dict(first.memory or {}))

    assert first._replace(memory=None) == expected
    assert isinstance(second, Sent)
    assert [to for to, _ in post.letters] == [["a@x.example"], ["b@x.example"]]


def test_nobody_takes_it(post: Post, tell: Callable[..., Verdict]) -> None:
    """If each recipient is refused there is nothing to hand over."""
    post.replies |= {"a@x.example": "550 no", "b@x.example": "451 later"}

    assert tell(notification()) == Retry(Reason.SERVER_ERROR, "status 451")
    assert post.letters == []


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("452 full", Retry(Reason.SERVER_ERROR, "status 452")),
        ("552 c4nary is too large", Permanent(Reason.TOO_LARGE, "status 552")),
        ("554 spam", Permanent(Reason.CLIENT_ERROR, "status 554")),
    ],
)
def test_a_refused_letter(
    post: Post, tell: Callable[..., Verdict], reply: str, expected: Verdict
) -> None:
    """4xx is tried again, 5xx is not; the server's words stay out."""
    post.data_reply = reply

    assert tell(notification()) == expected


def test_a_wrong_password(post: Post, tell: Callable[..., Verdict]) -> None:
    """It is refused for good and does not show."""
    verdict = tell(notification(), auth_password=f"{CANARY}-wrong")

    assert verdict == Permanent(Reason.AUTH_ERROR, "status 535")
    assert post.letters == []


def test_a_server_with_another_way_in(
    post: Post, server: Controller, tell: Callable[..., Verdict]
) -> None:
    """Where PLAIN is not offered LOGIN is; where neither is nobody can get in."""
    server.SMTP_kwargs["auth_exclude_mechanism"] = ["PLAIN"]
    first = tell(notification())
    server.SMTP_kwargs["auth_exclude_mechanism"] = ["PLAIN", "LOGIN"]
    second = tell(notification())

    assert isinstance(first, Sent)
    assert second == Permanent(Reason.AUTH_ERROR, "the server offers no AUTH that fits")
    assert len(post.letters) == 1


def test_a_server_that_hangs(post: Post, plain: Controller, impatient: Outbound) -> None:
    """What is handed over and not answered for may have arrived; what was not, did not."""
    text = f"{{to: a@x, from: b@x, require_tls: false, smarthost: '127.0.0.1:{plain.port}'}}"
    made = target("email", text)

    verdicts = []
    for where in ("RCPT", "DATA"):
        post.hangs_at = where
        verdicts.append(made.notify(notification(), call(impatient)))

    assert verdicts == [
        Retry(Reason.DEADLINE, "SMTPServerDisconnected"),
        Retry(Reason.DEADLINE, "SMTPServerDisconnected", ambiguous=True),
    ]


def test_a_stranger_s_certificate(post: Post, server: Controller, outbound: Outbound) -> None:
    """A server that cannot prove who it is gets neither password nor letter."""
    made = target("email", f"{{to: a@x, from: b@x, smarthost: '127.0.0.1:{server.port}'}}")

    verdict = made.notify(notification(), call(outbound))

    assert verdict == Retry(Reason.OTHER, "SSLCertVerificationError")
    assert post.letters == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", Permanent(Reason.AUTH_ERROR, "the server offers no STARTTLS")),
        (", require_tls: false", None),
    ],
)
def test_nothing_is_sent_unencrypted_unasked(
    post: Post, plain: Controller, outbound: Outbound, more: str, expected: Verdict | None
) -> None:
    """Without STARTTLS the letter stays, unless that is what the configuration says."""
    text = f"{{to: a@x.example, from: b@x.example, smarthost: '127.0.0.1:{plain.port}'{more}}}"

    verdict = target("email", text).notify(notification(), call(outbound))

    assert len(post.letters) == (0 if expected else 1)
    assert expected is None or verdict == expected


def test_tls_from_the_start(post: Post, certificate: tuple[Path, Path], outbound: Outbound) -> None:
    """Port 465, or any that is said to be like it, is encrypted before the first word."""
    context = encrypted(certificate)
    running = Controller(post, hostname="127.0.0.1", port=free_port(), ssl_context=context)
    ca = f"force_implicit_tls: true, ca_file: {certificate[0]}"
    with contextmanager(run)(running):
        text = f"{{to: a@x, from: b@x, smarthost: '127.0.0.1:{running.port}', {ca}}}"
        verdict = target("email", text).notify(notification(), call(outbound))

    assert isinstance(verdict, Sent)
    made = target("email", "{to: a@x, from: b@x, smarthost: 'h:465'}")
    assert isinstance(made, Email)
    assert made.implicit_tls


def test_no_connection(outbound: Outbound) -> None:
    """A server that is not there took nothing, without doubt."""
    made = target("email", "{to: a@x, from: b@x, smarthost: '127.0.0.1:1'}")

    assert made.notify(notification(), call(outbound)) == Retry(
        Reason.OTHER, "ConnectionRefusedError"
    )


def test_a_password_that_cannot_be_read_is_tried_again(
    server: Controller, outbound: Outbound, certificate: tuple[Path, Path]
) -> None:
    """A secret that is not there yet may come."""
    made = Email(
        to=("a@x",),
        sender="b@x",
        host="127.0.0.1",
        port=server.port,
        username="u",
        password=gone(),
        ca_file=certificate[0],
    )

    assert isinstance(made.notify(notification(), call(outbound)), Retry)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{from: a@x, smarthost: 'h:1'}", "missing to address", id="to"),
        pytest.param("{to: a@x, smarthost: 'h:1'}", "missing from address", id="from"),
        pytest.param("{to: x, from: a@x, smarthost: 'h:1'}", "no e-mail address", id="address"),
        pytest.param(
            '{to: "a@x\\nBcc: b@x", from: a@x, smarthost: "h:1"}', "no e-mail", id="inject"
        ),
        pytest.param("{to: a@x, from: a@x}", "smarthost must be host:port", id="host"),
        pytest.param(
            "{to: a@x, from: a@x, smarthost: 'h:1', auth_username: u}", "together", id="half"
        ),
        pytest.param(
            "{to: a@x, from: a@x, smarthost: 'h:1', auth_username: u, auth_password: p,"
            " require_tls: false}",
            "never sent unencrypted",
            id="unencrypted",
        ),
    ],
)
def test_what_a_configuration_may_not_say(text: str, message: str) -> None:
    """Mistakes are found when the configuration is read."""
    with pytest.raises(DocumentError, match=message):
        target("email", text)


def test_no_secret_shows() -> None:
    """The printed form holds no password."""
    text = f"{{to: a@x, from: a@x, smarthost: 'h:1', auth_username: u, auth_password: {CANARY}}}"
    made = target("email", text)

    assert CANARY not in repr(made) + made.account
