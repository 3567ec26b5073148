"""What the pod of `helm test` runs, run against a whole service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.build import SECRET
from tests.helm.chart import named, pod_spec, render
from tests.system.plant import SHORT, Plant


def test_the_pod_of_helm_test_sees_its_event_done(tmp_path: Path) -> None:
    """Its own script sends a signed event to the receiver, and ends when workers have done it."""
    [container] = pod_spec(named(render("minimal"), "Pod", "-test"))["containers"]
    plant = Plant(tmp_path, **SHORT)
    plant.receiver()
    plant.start("workers")
    keys = tmp_path / "keys" / "default"
    keys.mkdir(parents=True)
    (keys / "2026-11").write_text(SECRET)

    ran = subprocess.run(
        [*container["command"], *container["args"]],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SYNAP_REDIS_URL": plant.server.url,
            "SYNAP_WEBHOOK_SECRET_DIR": str(keys.parent),
            "TARGET": f"127.0.0.1:{plant.port}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    plant.close()

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].endswith(" is done")
