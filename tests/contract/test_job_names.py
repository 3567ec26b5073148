"""What crosses Redis by name exists on the other side."""

from __future__ import annotations

import inspect
import re
from importlib import import_module

import pytest

from tests.servers import ROOT
from workers import jobs
from workers.metrics import JOB_FUNCTIONS

NAMED = sorted(
    {
        name
        for package in ("receiver", "workers")
        for path in (ROOT / package).rglob("*.py")
        for name in re.findall(r'"(workers\.jobs\.\w+)"', path.read_text())
    }
)


@pytest.mark.parametrize("name", NAMED)
def test_name_resolves(name: str) -> None:
    """Each job name that is written to Redis is a function that takes one list."""
    module, _, function = name.rpartition(".")

    parameters = inspect.signature(getattr(import_module(module), function)).parameters

    assert len(parameters) == 1


def test_every_job_is_counted() -> None:
    """Each job function has its metric series, and each series its function."""
    functions = {
        name
        for name, found in vars(jobs).items()
        if inspect.isfunction(found) and found.__module__ == jobs.__name__
    }

    assert functions == set(JOB_FUNCTIONS)
    assert {name.rpartition(".")[2] for name in NAMED} == functions
