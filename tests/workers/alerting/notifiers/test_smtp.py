"""SMTP servers that behave badly, as a socket plays them."""

from __future__ import annotations

import itertools
import smtplib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.workers.alerting.notifiers.conformance import call, notification, target
from workers.alerting.notifiers.smtp import SESSION_SECONDS, Session, TalkativeError
from workers.outbound import Limits, Outbound, Reason, Retry

LIMITS = Limits(connect=2, read=2, write=2)

Play = Callable[[socket.socket], None]


@pytest.fixture
def stage() -> Iterator[Callable[[Play], int]]:
    """Yield a function that has a server play its part for one caller, and returns its port."""
    running: list[tuple[socket.socket, threading.Thread]] = []

    def serve(play: Play) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(10)
        thread = threading.Thread(target=_answer, args=(listener, play))
        running.append((listener, thread))
        thread.start()
        port: int = listener.getsockname()[1]
        return port

    yield serve
    for listener, thread in running:
        thread.join()
        listener.close()


def _answer(listener: socket.socket, play: Play) -> None:
    caller, _ = listener.accept()
    with caller, suppress(OSError):
        caller.settimeout(5)
        play(caller)


def drip(caller: socket.socket) -> None:
    """Say a greeting that never ends, a byte at a time."""
    while True:
        caller.sendall(b"2")
        time.sleep(0.01)


def chatter(caller: socket.socket) -> None:
    """Say a greeting of lines without end."""
    while True:
        caller.sendall(b"220-welcome\r\n" * 100)


def drone(caller: socket.socket) -> None:
    """Say a line without end."""
    while True:
        caller.sendall(b"220 " + b"x" * 4000)


def babble(caller: socket.socket) -> None:
    """Greet, and then say what is no reply."""
    caller.sendall(b"220 hello\r\n")
    for _ in range(2):
        caller.recv(4096)
        caller.sendall(b"250 fine\r\n")
    caller.recv(4096)
    caller.sendall(b"what?\r\n")


def test_a_server_that_drips_is_given_up(stage: Callable[[Play], int]) -> None:
    """The whole session has a time, however lively the server seems."""
    clock = itertools.count(0, SESSION_SECONDS / 10)

    with pytest.raises(smtplib.SMTPServerDisconnected) as caught:
        Session("127.0.0.1", stage(drip), "me", LIMITS, clock=lambda: next(clock))

    assert isinstance(caught.value.__context__, TimeoutError)


@pytest.mark.parametrize("play", [chatter, drone])
def test_a_server_that_talks_without_end_is_given_up(
    stage: Callable[[Play], int], play: Play
) -> None:
    """No more is read than anyone should read."""
    with pytest.raises(smtplib.SMTPServerDisconnected) as caught:
        Session("127.0.0.1", stage(play), "me", LIMITS)

    assert isinstance(caught.value.__context__, TalkativeError)


def test_nothing_is_begun_after_the_time(stage: Callable[[Play], int]) -> None:
    """What is to be sent when the time is over is not sent."""
    now = [0.0]
    port = stage(lambda caller: caller.sendall(b"220 hello\r\n") or caller.recv(1))  # type: ignore[func-returns-value]
    session = Session("127.0.0.1", port, "me", LIMITS, clock=lambda: now[0])
    now[0] = SESSION_SECONDS

    with pytest.raises(TimeoutError):
        session.noop()
    session.close()


def test_what_is_no_reply_is_no_success(stage: Callable[[Play], int], outbound: Outbound) -> None:
    """A server that says something else may understand it another time."""
    host = f"127.0.0.1:{stage(babble)}"
    made = target("email", f"{{to: a@x, from: b@x, require_tls: false, smarthost: '{host}'}}")

    verdict = made.notify(notification(), call(outbound))

    assert verdict == Retry(Reason.OTHER, "unreadable answer")
