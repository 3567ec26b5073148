"""The rule of the house: who may import whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grimp
import pytest
from importlinter.api import read_configuration

from tests.servers import ROOT

PUBLISHED = {"errors", "event", "signature", "settings", "broker", "logs", "metrics"}
PUBLISHED_TYPES = {"values"}
"""`receiver.values` holds the types of settings: part of `settings`, split for its size."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Return who imports whom in both packages."""
    return grimp.build_graph("receiver", "workers", cache_dir=None)


def test_contracts_hold() -> None:
    """Every contract of pyproject.toml is kept."""
    # As a process of its own: in this one it would set up logging for everybody.
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_staircases_are_whole() -> None:
    """Both staircases name every module, so that a new one must find its step."""
    contracts = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]

    stairs = {contract["containers"][0]: contract for contract in contracts if "layers" in contract}

    assert {name: found["exhaustive"] for name, found in stairs.items()} == {
        "receiver": "True",
        "workers": "True",
    }


def test_workers_stand_on_what_is_published(graph: grimp.ImportGraph) -> None:
    """Workers import no module of the receiver but the published ones."""
    used = {
        imported.split(".")[1]
        for module in graph.modules
        if module.startswith("workers")
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.startswith("receiver.")
    }

    assert used - PUBLISHED - PUBLISHED_TYPES == set()


def test_receiver_imports_nothing_of_workers(graph: grimp.ImportGraph) -> None:
    """The process that talks to strangers holds no code that uses a target's credential."""
    assert graph.find_descendants("workers")
    assert not any(
        imported.startswith("workers")
        for module in graph.modules
        if module.startswith("receiver")
        for imported in graph.find_modules_directly_imported_by(module)
    )


def test_only_the_edge_knows_the_web_server() -> None:
    """Starlette and uvicorn are imported by `receiver.web` and its entry alone."""
    graph = grimp.build_graph("receiver", "workers", include_external_packages=True, cache_dir=None)

    users = {
        ".".join(user.split(".")[:2])
        for server in ("starlette", "uvicorn")
        for user in graph.find_modules_that_directly_import(server)
    }

    assert users == {"receiver.__main__", "receiver.web"}
