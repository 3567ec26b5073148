"""What is compared with: `python -m tests.bench.apps <name> <port>`, on the receiver's uvicorn.

empty     answers 202 and does nothing else: what Starlette and uvicorn cost alone
same      the same with the receiver's answer as its body, which an empty 202 does not have
enqueue   what one would write first: verify, then `Queue.enqueue(unique=True)` per request
threaded  the same with the blocking call in Starlette's thread pool
"""

from __future__ import annotations

import os
import sys
from typing import Any

import redis
import uvicorn
from rq import Queue
from rq.serializers import JSONSerializer
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver import event, signature
from receiver.errors import SignatureError
from tests.bench.jobs import noop

PATH = "/webhooks/synap"


async def empty(_: Request) -> Response:
    """Answer at once."""
    return Response(status_code=202)


async def same(_: Request) -> Response:
    """Answer at once, with the bytes that the receiver answers."""
    return JSONResponse({"status": "accepted"}, 202)


def enqueueing(queue: Queue, keys: list[signature.SigningKey], *, threaded: bool) -> Any:
    """Return an endpoint that verifies, reads the id and enqueues one unique job."""

    def enqueue(body: bytes) -> None:
        key = event.parse(body, endpoint="default", received_at=0.0).key
        queue.enqueue(noop, key, job_id=key, unique=True, result_ttl=0, description=key)

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        header = request.headers.get("x-synap-signature", "").encode()
        try:
            signature.verify(body, header, keys)
        except SignatureError:
            return JSONResponse({"error": "unauthorized"}, 401)
        if threaded:
            await run_in_threadpool(enqueue, body)
        else:
            enqueue(body)
        return JSONResponse({"status": "accepted"}, 202)

    return endpoint


def build(name: str) -> Starlette:
    """Return the application of that name."""
    if name in {"empty", "same"}:
        plain = empty if name == "empty" else same
        return Starlette(routes=[Route(PATH, plain, methods=["POST"])])
    client = redis.Redis.from_url(os.environ["SYNAP_REDIS_URL"])
    queue = Queue("bench", connection=client, serializer=JSONSerializer)
    keys = [signature.SigningKey("bench", os.environ["SYNAP_WEBHOOK_SECRET"].encode())]
    endpoint = enqueueing(queue, keys, threaded=name == "threaded")
    return Starlette(routes=[Route(PATH, endpoint, methods=["POST"])])


if __name__ == "__main__":
    uvicorn.run(
        build(sys.argv[1]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
