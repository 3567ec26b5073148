"""Calls whose answers are read later: what they leave behind, whatever happens to them."""

from __future__ import annotations

import pytest
from redis import Redis
from redis.exceptions import DataError, ResponseError

from tests.servers import RedisServer
from workers.ledger.ahead import Ahead

PUSH = "redis.call('RPUSH', 'calls', ARGV[1]) return ARGV[1]"


def test_redis_works_while_we_go_on(redis: Redis) -> None:
    """The call happens whether or not its answer was read yet; the answer is its own."""
    script = redis.register_script(PUSH)

    first, second = Ahead(redis, script, ["1"]), Ahead(redis, script, ["2"])
    others = redis.ping()

    assert (second.answer(), first.answer(), others) == (b"2", b"1", True)
    assert sorted(redis.lrange("calls", 0, -1)) == [b"1", b"2"]


def test_a_server_that_forgot_the_script_learns_it_again(redis: Redis) -> None:
    """After `SCRIPT FLUSH` or a failover the call is made once all the same."""
    script = redis.register_script(PUSH)
    redis.script_flush()

    assert Ahead(redis, script, ["1"]).answer() == b"1"
    assert redis.lrange("calls", 0, -1) == [b"1"]


def test_an_abandoned_answer_is_nobody_else_s(redis_server: RedisServer) -> None:
    """What was not read stays on a connection that is closed: later replies are not shifted."""
    with redis_server.client() as client:
        script = client.register_script(PUSH)
        call = Ahead(client, script, ["1"])
        call.abandon()
        call.abandon()

        assert [client.echo(text) for text in ("a", "b")] == [b"a", b"b"]
        assert Ahead(client, script, ["2"]).answer() == b"2"


def test_a_refusal_gives_the_connection_back(redis: Redis) -> None:
    """A script that fails raises where its answer is read, and the client goes on."""
    script = redis.register_script("return redis.call('INCR', KEYS[1] or ARGV[1])")
    redis.rpush("list", "x")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        Ahead(redis, script, ["list"]).answer()

    assert Ahead(redis, script, ["number"]).answer() == 1


def test_what_cannot_be_sent_holds_no_connection(redis_server: RedisServer) -> None:
    """A call that fails before it is on its way leaves every connection free."""
    with redis_server.client() as client:
        script = client.register_script(PUSH)

        with pytest.raises(DataError):
            Ahead(client, script, [object()])

        assert not client.connection_pool._in_use_connections
        assert Ahead(client, script, ["1"]).answer() == b"1"
        assert not client.connection_pool._in_use_connections
