"""How a `type` of the configuration becomes code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT
from workers.document import parse
from workers.rotation.adapters import Adapter, load
from workers.rotation.issuers import ISSUERS
from workers.rotation.rollouts import ROLLOUTS
from workers.rotation.stores import STORES
from workers.section import DocumentError

TABLES = {"store": STORES, "rollout": ROLLOUTS, "issuer": ISSUERS}
HEAVY = ("boto3", "hvac", "kubernetes", "google.cloud.secretmanager_v1", "azure.keyvault.secrets")

WITHOUT = """
import sys
sys.modules[{package!r}] = None
from pathlib import Path
from workers.document import parse
from workers.rotation.adapters import load
from workers.rotation.{table} import {constant}
section = parse("type: {kind}", file="hooks.yml", base=Path("/"))
assert load({constant}, section, "it") is None
print(*section.findings.problems)
"""


@pytest.mark.parametrize(
    ("table", "kind", "package", "extra"),
    [
        pytest.param("stores", "aws_secrets_manager", "botocore", "aws", id="secrets-manager"),
        pytest.param("stores", "aws_ssm", "botocore", "aws", id="ssm"),
        pytest.param("stores", "vault", "hvac", "vault", id="vault"),
        pytest.param("stores", "kubernetes", "kubernetes", "kubernetes", id="kubernetes-store"),
        pytest.param("stores", "gcp", "google_crc32c", "gcp", id="gcp"),
        pytest.param("stores", "azure", "azure", "azure", id="azure"),
        pytest.param("rollouts", "kubernetes", "kubernetes", "kubernetes", id="rollout"),
    ],
)
def test_a_missing_sdk_is_a_problem_of_its_line(
    table: str, kind: str, package: str, extra: str
) -> None:
    """The configuration is refused when it is read, with the command that mends it."""
    constant = table.upper()
    program = WITHOUT.format(table=table, kind=kind, package=package, constant=constant)

    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert said.startswith(f'hooks.yml:1: it "{kind}" needs the package "{package}')
    assert said.endswith(f"which is not installed: pip install 'synap-hooks[{extra}]'\n")


def test_the_tables_alone_import_no_sdk() -> None:
    """A base installation reads and writes everything but what needs an SDK."""
    program = (
        "import sys\n"
        "from workers.rotation import stores, rollouts, issuers\n"
        "from workers.rotation.stores import file\n"
        "from workers.rotation.rollouts import none, command, webhook\n"
        "from workers.rotation.issuers import http\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert said == "[]\n"


@pytest.mark.parametrize("what", list(TABLES))
def test_an_unknown_type(what: str) -> None:
    """The problem names what there is."""
    section = parse("type: other", file="hooks.yml", base=Path("/"))

    assert load(TABLES[what], section, what) is None
    with pytest.raises(DocumentError, match=f'"other" is no type of {what}: use one of '):
        section.findings.raise_if_any()


def test_a_module_of_ours_that_is_missing_is_no_problem_of_the_file() -> None:
    """A mistake in the table is a mistake of ours."""
    section = parse("type: x", file="hooks.yml", base=Path("/"))

    with pytest.raises(ModuleNotFoundError):
        load({"x": Adapter("workers.rotation.stores.none", "x")}, section, "store")
