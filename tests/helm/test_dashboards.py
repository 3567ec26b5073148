"""The Grafana dashboards ask for what there is, in PromQL that Prometheus takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.helm.chart import CHART, of_kind, render
from tests.helm.series import INTERNAL, declared, names
from tests.promtool import needs_promtool, promtool

BOARDS: Final = sorted(path.stem for path in (CHART / "dashboards").glob("*.json"))
NOT_OURS: Final = {"container_memory_working_set_bytes", "container_cpu_usage_seconds_total"}
"""The kubelet's."""

RECORDED: Final = {"synap_hooks:refusing_since"}
WIDTH: Final = 24


def board(name: str) -> dict[str, Any]:
    """Return a dashboard."""
    found: dict[str, Any] = json.loads((CHART / "dashboards" / f"{name}.json").read_text())
    return found


def queries(name: str) -> Iterator[str]:
    """Yield every query of a dashboard, as Grafana would send it."""
    for panel in board(name)["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m")


@needs_promtool
@pytest.mark.parametrize("name", BOARDS)
def test_prometheus_takes_every_query(name: str, tmp_path: Path) -> None:
    """Promtool parses each query."""
    rules = [{"record": f"q:{at}", "expr": query} for at, query in enumerate(queries(name))]
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": rules}]}))

    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", str(path))


@pytest.mark.parametrize("name", BOARDS)
def test_queries_ask_for_what_there_is(name: str) -> None:
    """Each series is one that the code declares, with labels that it has, of one release."""
    for query in queries(name):
        for series, labels in names(query):
            if series not in NOT_OURS:
                assert {"namespace", "app_kubernetes_io_instance"} <= labels
            if series in NOT_OURS | RECORDED:
                continue
            assert series in declared(), series
            assert labels - INTERNAL <= declared()[series], query


@pytest.mark.parametrize("name", BOARDS)
def test_panels_are_whole(name: str) -> None:
    """Each panel has a title, a sentence, a unit, a query and a place of its own."""
    panels = board(name)["panels"]
    places: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= WIDTH
        assert not cells & places
        places |= cells
        assert panel["targets"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]

    assert len({panel["title"] for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_chart_ships_every_dashboard() -> None:
    """Each dashboard arrives in a ConfigMap, as it lies here."""
    shipped = {
        key.removeprefix("synap-hooks-").removesuffix(".json"): json.loads(text)
        for found in of_kind(render("monitoring"), "ConfigMap")
        for key, text in found["data"].items()
    }

    assert shipped == {name: board(name) for name in BOARDS}


def test_dashboards_are_two() -> None:
    """One is for on-call and one for capacity; they do not overwrite each other in Grafana."""
    assert BOARDS == ["capacity", "on-call"]
    assert len({board(name)["uid"] for name in BOARDS}) == len(BOARDS)
