"""What the suite stands on does what it says."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
import redis as redis_py
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.servers import RedisServer, Served, start_redis, wait_for
from tests.sink import Answer, Sink


async def _hello(_: Request) -> Response:
    return PlainTextResponse("hello")


def test_redis_is_ours_and_empty(redis: redis_py.Redis, redis_server: RedisServer) -> None:
    """Each test gets an empty server that is a child of this process."""
    assert redis_server.process is not None

    pid = redis.info("server")["process_id"]

    assert (pid, redis.dbsize()) == (redis_server.process.pid, 0)


def test_redis_survives_kill() -> None:
    """A server that was killed comes back on the same socket with everything it had."""
    server = start_redis(tcp=True)
    with server.client() as client:
        client.set("kept", "1")

    server.restart()

    with redis_py.Redis.from_url(server.url) as client:
        kept = client.get("kept")
    server.close()
    assert kept == b"1"
    assert not server.folder.exists()


def test_redis_fills_its_disk() -> None:
    """What does not fit on a full disk is an error to the server, until there is room again."""
    server = start_redis(appendfsync="everysec")
    with server.client() as client:

        def wait_for_status(status: str) -> None:
            wait_for(lambda: client.info()["aof_last_write_status"] == status, what=status)

        server.fill_disk(room=100)
        client.set("too much", "x" * 10_000)
        wait_for_status("err")
        with pytest.raises(redis_py.ResponseError, match="Errors writing to the AOF file"):
            client.set("refused", "1")
        server.free_disk()
        wait_for_status("ok")
        client.set("accepted", "1")
        kept = set(client.keys())

    server.close()
    assert kept == {b"too much", b"accepted"}


def test_foreign_server_is_never_flushed(redis_server: RedisServer) -> None:
    """A server that is not the child of its handle keeps its data."""
    stranger = RedisServer(binary=None, appendfsync="no", tcp=False, config=())
    stranger.socket = redis_server.socket

    with pytest.raises(RuntimeError, match="refused to flush"):
        stranger.flush()

    stranger.close()


def test_serve_answers(serve: Callable[..., Served]) -> None:
    """An application is reachable over a real socket."""
    served = serve(Starlette(routes=[Route("/", _hello)]))

    with urllib.request.urlopen(served.url) as answer:
        assert (answer.status, answer.read()) == (200, b"hello")


def test_sink_records_and_answers(sink: Sink) -> None:
    """The sink keeps what it saw; queued answers come before those of a path."""
    sink.answer(201, b"made", path="/b")
    sink.answer_next(Answer(status=429, headers={"retry-after": "7"}))

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{sink.url}/a", data=b'{"n": 1}')
    with urllib.request.urlopen(f"{sink.url}/b") as made:
        status = made.status

    refused.value.close()
    assert (refused.value.code, refused.value.headers["retry-after"], status) == (429, "7", 201)
    assert [(seen.method, seen.path) for seen in sink.seen] == [("POST", "/a"), ("GET", "/b")]
    assert sink.seen[0].json == {"n": 1}


def test_strangers_are_out_of_reach() -> None:
    """A connection to another machine fails before a packet is sent."""
    with pytest.raises(urllib.error.URLError, match="tried to reach"):
        urllib.request.urlopen("http://192.0.2.1/", timeout=1)
