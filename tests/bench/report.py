"""What was measured, as JSON and as a table for the README."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.drain import Pair
from tests.bench.edge import Run, slope
from tests.servers import redis_binary


class Row(NamedTuple):
    """One line of the table; `holds` is None where nothing is claimed."""

    what: str
    value: str
    claim: str = ""
    holds: bool | None = None


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    server = subprocess.check_output([redis_binary(), "--version"], text=True)
    parts = {name: version(name) for name in ("uvicorn", "starlette", "redis", "rq")}
    return {
        "cores": str(os.cpu_count()),
        "cpu": cpu,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "redis_server": " ".join(server.split()[:3]),
        **parts,
    }


def middle(runs: Sequence[Run]) -> dict[str, float]:
    """Return the medians of a server's runs."""
    return {
        "requests_per_second": statistics.median(run.load.rate for run in runs),
        "p50_ms": statistics.median(run.load.p50_ms for run in runs),
        "p99_ms": statistics.median(run.load.p99_ms for run in runs),
        "events_per_commit": statistics.median(run.per_commit for run in runs),
        "rss_mb": max(run.rss_mb for run in runs),
    }


def ratio(runs: dict[str, list[Run]], one: str, other: str) -> float:
    """Return the median over the rounds of one server's rate divided by another's."""
    pairs = zip(runs[one], runs[other], strict=True)
    return statistics.median(mine.load.rate / theirs.load.rate for mine, theirs in pairs)


def edge_rows(runs: dict[str, list[Run]]) -> list[Row]:
    """Return the lines about the edge."""
    ours = middle(runs["receiver"])
    naive = max(("enqueue", "threaded"), key=lambda name: middle(runs[name])["requests_per_second"])
    to_empty, to_naive = ratio(runs, "receiver", "empty"), ratio(runs, "receiver", naive)
    to_same = ratio(runs, "receiver", "same")
    rates = {name: middle(kept)["requests_per_second"] for name, kept in runs.items()}
    return [
        Row("an empty Starlette endpoint", f"{rates['empty']:,.0f} requests/s"),
        Row("the same, answering the receiver's JSON", f"{rates['same']:,.0f} requests/s"),
        Row("verify, enqueue one RQ job each", f"{rates['enqueue']:,.0f} requests/s"),
        Row("the same in Starlette's thread pool", f"{rates['threaded']:,.0f} requests/s"),
        Row("the receiver, everything on", f"{rates['receiver']:,.0f} requests/s"),
        Row("… relative to the empty endpoint", f"{to_empty:.2f} x", "≥ 0.8", to_empty >= 0.8),
        Row("… relative to the one with the same answer", f"{to_same:.2f} x"),
        Row("… relative to the faster of these", f"{to_naive:.1f} x", "≥ 6", to_naive >= 6),
        Row("… answered within, p50 / p99", f"{ours['p50_ms']:.1f} / {ours['p99_ms']:.1f} ms"),
        Row("… events per commit", f"{ours['events_per_commit']:.0f}"),
        Row("… resident memory", f"{ours['rss_mb']:.0f} MB", "≤ 90", ours["rss_mb"] <= 90),
    ]


def growth_rows(points: list[tuple[int, float]]) -> list[Row]:
    """Return the line about the accept cost as the ledger grows."""
    rise = slope(points)
    what = f"accept cost at {points[-1][0]:,} records, relative to none"
    return [Row(what, f"{rise:.2f} x", "≤ 1.2", rise <= 1.2)]


def drain_rows(pairs: list[Pair]) -> list[Row]:
    """Return the lines about the workers."""
    ours = statistics.median(pair.ours.rate for pair in pairs)
    rq = statistics.median(pair.rq.rate for pair in pairs)
    faster = statistics.median(pair.ratio for pair in pairs)
    rss = max(pair.ours.rss_mb for pair in pairs)
    return [
        Row("RQ's SimpleWorker, one no-op job per event", f"{rq:,.0f} events/s"),
        Row(f"one worker process, {pairs[0].ours.events:,} events", f"{ours:,.0f} events/s"),
        Row("… relative to one job each", f"{faster:.0f} x", "≥ 20", faster >= 20),
        Row("… resident memory", f"{rss:.0f} MB", "≤ 100", rss <= 100),
    ]


def markdown(rows: list[Row], where: dict[str, str]) -> str:
    """Return the table for the README, with the machine beneath it."""
    lines = ["| what | measured | aim |", "|---|---:|---:|"]
    lines += [f"| {row.what} | {row.value} | {row.claim} |" for row in rows]
    beneath = (
        f"Measured on {where['cores']} cores ({where['cpu']}), Python {where['python']}, "
        f"{where['redis_server']} with `appendfsync always`, uvicorn {where['uvicorn']}, "
        f"Starlette {where['starlette']}, RQ {where['rq']}."
    )
    return "\n".join([*lines, "", beneath, ""])


def as_json(
    runs: dict[str, list[Run]], points: list[tuple[int, float]], pairs: list[Pair]
) -> dict[str, Any]:
    """Return every figure."""
    return {
        "machine": machine(),
        "edge": {name: middle(kept) for name, kept in runs.items()},
        "runs": {
            name: [run.load._asdict() | {"rate": run.load.rate} for run in kept]
            for name, kept in runs.items()
        },
        "growth": [{"records": held, "us_per_event": cost} for held, cost in points],
        "drain": [
            {"ratio": pair.ratio}
            | {name: one._asdict() | {"rate": one.rate} for name, one in pair._asdict().items()}
            for pair in pairs
        ],
    }
