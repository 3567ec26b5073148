"""No secret, signature or payload stands anywhere it should not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from redis import Redis

from tests.build import make_event, signed
from tests.processes import wait_for
from tests.sink import Sink
from tests.system.plant import SHORT, Plant

SIGNING = "whsec_canary_signing_0123456789abcdef"
ROUTING = "canaryroutingkey0123456789abcdef"
API = "synap_canaryapikey0123456789abcdef0123456789abcdef0123456789abcd"
PAYLOAD = "canary-payload-0123456789"

ROUTES = """\
alerting:
  route: {{receiver: on-call, group_by: [alertname], group_wait: 0s}}
  receivers:
    - name: on-call
      pagerduty_configs: [{{url: {sink}/pagerduty}}]
"""

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def site(tmp_path: Path, sink: Sink) -> Iterator[Plant]:
    """Yield a plant that pages, with a canary for each secret."""
    sink.answer(202, b'{"status": "success"}')
    config = tmp_path / "routes.yaml"
    config.write_text(ROUTES.format(sink=sink.url))
    plant = Plant(
        tmp_path,
        **SHORT,
        SYNAP_WEBHOOK_SECRET=SIGNING,
        SYNAP_CONFIG=str(config),
        PAGERDUTY_ROUTING_KEY=ROUTING,
        SYNAP_API_KEY=API,
        SYNAP_LOG_LEVEL="debug",
    )
    yield plant
    plant.close()


def test_canaries_are_found_nowhere(site: Plant, sink: Sink) -> None:
    """Logs hold no secret, no signature and no payload; Redis holds no secret, no signature."""
    body, headers = signed(
        make_event(event_id="evt_1", data={"note": PAYLOAD, "error_message": f"bad key {API}"}),
        secret=SIGNING,
    )
    site.receiver()
    site.start("workers")

    with httpx2.Client() as client:
        accepted = client.post(site.url, content=body, headers=headers)
        forged = client.post(site.url, content=body + b" ", headers=headers)
    site.wait_settled(["evt_1"], seconds=30)
    page = wait_for(lambda: sink.seen and sink.seen[0], what="the page")

    logs = b"".join(path.read_bytes() for path in site.folder.glob("*.log"))
    with site.server.client() as redis:
        held = dump(redis)
    signature = headers["x-synap-signature"].encode()
    assert (accepted.status_code, forged.status_code) == (202, 401)
    for secret in (SIGNING.encode(), ROUTING.encode(), signature, signature[7:]):
        assert secret not in logs
        assert secret not in held
    assert API.encode() not in logs
    assert PAYLOAD.encode() not in logs
    assert API.encode() not in page.body
    assert page.json["routing_key"] == ROUTING


def dump(redis: Redis) -> bytes:
    """Return every key with its value, as text."""
    parts: list[bytes] = []
    for key in redis.scan_iter():
        kind = redis.type(key)
        if kind == b"string":
            parts += [key, redis.get(key) or b""]
        elif kind == b"hash":
            parts += [key, *(part for pair in redis.hgetall(key).items() for part in pair)]
        elif kind == b"list":
            parts += [key, *redis.lrange(key, 0, -1)]
        elif kind == b"set":
            parts += [key, *redis.smembers(key)]
        elif kind == b"zset":
            parts += [key, *redis.zrange(key, 0, -1)]
        else:
            parts += [key, repr(redis.xrange(key)).encode()]
    return b"\n".join(parts)
