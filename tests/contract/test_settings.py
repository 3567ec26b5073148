"""Settings, README and code say the same."""

from __future__ import annotations

import re

import pytest

from receiver.settings import CommonSettings, ReceiverSettings, load, masked, variables
from tests.build import SECRET
from tests.contract.readme import first_column, section
from tests.servers import ROOT
from workers.settings import WorkerSettings

ROLES = (ReceiverSettings, WorkerSettings)
READ = {name: secret for role in ROLES for name, secret in variables(role).items()}
NEEDED = {"SYNAP_WEBHOOK_SECRET": SECRET}


def test_every_variable_is_documented_and_read() -> None:
    """The README's table names exactly the variables that the code reads, each once."""
    documented = first_column("Settings")

    assert sorted(documented) == sorted(READ)


@pytest.mark.parametrize("role", ROLES)
def test_documented_defaults_are_the_defaults(role: type[CommonSettings]) -> None:
    """Writing down the README's defaults gives the same settings as writing nothing."""
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", section("Settings"), re.MULTILINE)
    written = {name: value for name, value in rows if name != "SYNAP_KEY_PREFIX"}

    assert masked(load(role, NEEDED | written)) == masked(load(role, NEEDED))


@pytest.mark.parametrize("role", ROLES)
def test_each_role_tolerates_the_other(role: type[CommonSettings]) -> None:
    """No role takes a variable of the other for a misspelled one of its own."""
    others = dict.fromkeys(
        [*READ, *(f"{name}_FILE" for name, secret in READ.items() if secret)], ""
    )

    assert load(role, others | NEEDED)


@pytest.mark.parametrize("role", ROLES)
def test_secrets_are_masked(role: type[CommonSettings]) -> None:
    """Neither the printed settings nor their repr show a secret."""
    canary = "canary-0123456789abcdef"
    secrets = {name: canary for name, secret in variables(role).items() if secret}
    url = f"redis://:{canary}@127.0.0.1:6379/0"
    secrets |= {name: url for name in secrets if name.endswith("REDIS_URL")}
    settings = load(role, secrets)

    shown = f"{masked(settings)} {settings!r} {settings}"

    assert canary not in shown


def test_no_other_place_reads_the_environment() -> None:
    """Only the entries of the processes and the command line touch `os.environ`."""
    readers = {
        str(path.relative_to(ROOT))
        for package in ("receiver", "workers")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text())
    }

    assert readers <= {"receiver/__main__.py", "workers/__main__.py", "workers/cli/root.py"}
