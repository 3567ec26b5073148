"""`make bench`: measure the edge, the growing ledger and the workers, and write it down.

Server on core 0; load and Valkey on core 1. Environment: FULL=1 grows the ledger to 1 000 000
records; ROUNDS and SECONDS set how often and how long each server is measured, DRAINS how often a
backlog is drained.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.bench import alerting, drain, edge, load, report
from tests.servers import ROOT

OUT = ROOT / ".bench"
BACKLOG = 50_000
JOBS = 2_000


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"  {text}", flush=True)


def main() -> int:
    """Measure everything, print it and write it down; return 1 when an aim is missed."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        sys.exit("bench: needs Linux and two cores, one for the server and one for the load")
    os.sched_setaffinity(0, {edge.LOAD_CORE})
    full = os.environ.get("FULL", "") not in ("", "0")
    rounds, seconds = int(os.environ.get("ROUNDS", "5")), int(os.environ.get("SECONDS", "3"))
    drains = int(os.environ.get("DRAINS", "3"))
    if load.WRK is None:
        say("wrk is not on PATH: the load is our own client, which takes more of its core")
    OUT.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=OUT))
    starts = {
        "empty": partial(edge.comparison, "empty"),
        "receiver": edge.receiver,
        **{name: partial(edge.comparison, name) for name in ("same", "enqueue", "threaded")},
    }
    print(f"The edge: {load.CONNECTIONS} connections, {load.BODY_BYTES}-byte bodies")
    runs = edge.in_turn(starts, folder, rounds=rounds, seconds=seconds, say=say)
    print("The edge while the ledger grows")
    points = edge.growth(folder, records=1_000_000 if full else 100_000, say=say)
    print("The workers")
    drained = drain.in_turn(folder, events=BACKLOG, jobs=JOBS, rounds=drains, say=say)
    print("The alerting")
    alerts = alerting.measure(folder, say)
    shutil.rmtree(folder)
    rows = [
        *report.edge_rows(runs),
        *report.growth_rows(points),
        *report.drain_rows(drained),
        *alerting.rows(alerts),
    ]
    table = report.markdown(rows, report.machine())
    (OUT / "result.md").write_text(table)
    figures = report.as_json(runs, points, drained) | {"alerting": alerts._asdict()}
    (OUT / "result.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\n{table}\nWritten to {OUT.name}/result.json and {OUT.name}/result.md")
    missed = [row for row in rows if row.holds is False]
    for row in missed:
        print(f"missed: {row.what}: {row.value}, the aim is {row.claim}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
