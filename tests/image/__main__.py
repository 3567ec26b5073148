"""Build the image and show that it runs as a hardened platform runs it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from tests.build import SECRET
from tests.image.engine import BASE, Engine, missing
from tests.servers import ROOT, free_port, start_redis

IMAGE: Final = "localhost/synap-hooks:image-test"
LARGEST: Final = 1.6
LACKING: Final = 77
"""The exit status where this machine cannot run containers, as build tools say that they skip."""

EXTRAS: Final = {"kubernetes": "kubernetes", "vault": "hvac"}
"""Extras to build with, and the module that each of them brings."""

PATIENCE: Final = 60.0
NO_RIGHTS: Final = "CapEff:\t0000000000000000"


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def until_ready(port: int) -> None:
    """Wait until an admin port says that its process is ready.

    Raises:
        RuntimeError: it did not in time; with what was said last.
    """
    end, said = time.monotonic() + PATIENCE, ""
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except urllib.error.HTTPError as error:
            said = error.read().decode()
        except OSError as error:
            said = str(error)
        time.sleep(0.3)
    raise RuntimeError(f"port {port} was never ready: {said}")


def send(engine: Engine, public: int) -> str:
    """Send a signed event by the command line within the receiver; return its id."""
    url = f"http://127.0.0.1:{public}/webhooks/synap"
    said = engine.within(
        "receiver", "synap-hooks", "send", url, "--type", "synap-hooks.test", "--json"
    )
    (sent,) = json.loads(said)["sent"]
    assert sent["status"] == 202, sent
    return str(sent["event_id"])


def until_done(engine: Engine, event: str) -> None:
    """Wait until the workers have settled an event."""
    end, said = time.monotonic() + PATIENCE, ""
    while time.monotonic() < end:
        said = engine.within("workers", "synap-hooks", "events", "show", event, "--json")
        if said and json.loads(said)["event"]["state"] == "done":
            return
        time.sleep(0.3)
    raise RuntimeError(f"{event} was never done: {said}")


def look_inside(engine: Engine) -> None:
    """Show that the process has no rights, that nothing is writable and no tool is left."""
    said = engine.within("receiver", "sh", "-c", "id -u; grep CapEff /proc/1/status")
    assert said.split("\n")[:2] == ["10001", NO_RIGHTS], said
    owners = engine.within("receiver", "find", "/app", "!", "-user", "root")
    writable = engine.within("receiver", "find", "/app", "!", "-type", "l", "-perm", "/022")
    tools = engine.within("receiver", "sh", "-c", "ls /app/bin; command -v gcc cc uv")
    assert (owners, writable) == ("", "")
    assert not {"pip", "uv", "gcc", "cc"} & {Path(line).name for line in tools.split()}


def run(engine: Engine, folder: Path) -> None:
    """Run a receiver and workers from the image against a Redis; an event goes all the way."""
    keys = folder / "keys" / "default"
    keys.mkdir(parents=True)
    (keys / "2026-11").write_text(SECRET)
    for path in (folder, keys.parent, keys):
        path.chmod(0o755)
    redis = start_redis(tcp=True)
    public, admin, workers = free_port(), free_port(), free_port()
    env = {"SYNAP_REDIS_URL": f"redis://127.0.0.1:{redis.port}/0"}
    edge = env | {
        "SYNAP_PORT": str(public),
        "SYNAP_ADMIN_PORT": str(admin),
        "SYNAP_WEBHOOK_SECRET_DIR": "/keys",
        "SYNAP_SHUTDOWN_DELAY": "1",
    }
    running = [
        engine.start(IMAGE, "receiver", env=edge, mount=keys.parent),
        engine.start(
            IMAGE, "workers", "workers", env=env | {"SYNAP_WORKERS_ADMIN_PORT": str(workers)}
        ),
    ]
    try:
        until_ready(admin)
        until_ready(workers)
        until_done(engine, send(engine, public))
        look_inside(engine)
        for name in ("receiver", "workers"):
            engine.signal(name, "TERM")
        assert [process.wait(PATIENCE) for process in running] == [0, 0]
    finally:
        for name in ("receiver", "workers"):
            engine.signal(name, "KILL")
        redis.close()


def build_with_extras(engine: Engine) -> None:
    """Build with extras, and show that what they bring is there."""
    engine.build(ROOT, f"{IMAGE}-extras", EXTRAS=",".join(EXTRAS))
    engine.run(f"{IMAGE}-extras", "-c", f"import {', '.join(EXTRAS.values())}", entrypoint="python")


def prepared() -> Engine | None:
    """Return an engine with a base image that runs, or None after saying what is missing."""
    lacking = missing()
    if lacking or os.geteuid() != 0:
        say(f"image-test needs root and {', '.join(lacking) or 'nothing else'}: on Debian,")
        say("  apt install buildah podman runc mmdebstrap")
        return None
    store = ROOT / ".image"
    store.mkdir(exist_ok=True)
    engine = Engine(store)
    say(f"base: {BASE}, out of Debian's packages")
    try:
        engine.make_base()
        engine.run(BASE, "-c", "pass", entrypoint="python")
    except RuntimeError as error:
        say(f"image-test: this machine makes or runs no containers: {error}")
        return None
    return engine


def main() -> int:
    """Build, look and run; return the exit status."""
    engine = prepared()
    if engine is None:
        return LACKING
    say("build")
    engine.build(ROOT, IMAGE)
    share = engine.size(IMAGE) / engine.size(BASE)
    assert share <= LARGEST, f"{share:.2f} x the base"
    say(f"run: {share:.2f} x the base (at most {LARGEST})")
    with tempfile.TemporaryDirectory(prefix="keys-") as folder:
        run(engine, Path(folder))
    say("read-only, UID 10001, no capabilities; a signed event was done; exit 0 on SIGTERM")
    say(f"build with extras: {', '.join(EXTRAS)}")
    build_with_extras(engine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
