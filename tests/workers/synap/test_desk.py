"""Whose key is used for which instance; the `synap` section."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from receiver.errors import SettingsError
from receiver.settings import load
from tests.sandbox import Fault
from tests.sandbox.sandbox import INSTANCE
from tests.workers.synap.conftest import Serve
from tests.workers.synap.rig import Rig
from workers.cli.check_config import example_text
from workers.configuration import configuration
from workers.document import parse
from workers.section import DocumentError, Secret
from workers.settings import WorkerSettings
from workers.synap.api_section import ApiConfig, read
from workers.synap.desk import keys
from workers.synap.errors import NotConfiguredError, TimedOutError
from workers.synap.guard_section import GuardConfig
from workers.synap.pace import Allowance
from workers.synap.records import Question
from workers.synap.transport import Policy


def test_an_instances_own_key_goes_first(tmp_path: Path) -> None:
    """A key belongs to an instance: its own, else that of every other, else the common one."""
    file = tmp_path / "key"
    own = {"inst_a": Secret(SecretStr("a")), "inst_b": Secret(file=file)}
    settings = load(WorkerSettings, {"SYNAP_API_KEY": "common"})
    key_of = keys(settings, lambda: GuardConfig(keys=own))

    assert (key_of("inst_a"), key_of("inst_c")) == ("a", "common")
    with pytest.raises(NotConfiguredError, match="the API key cannot be read"):
        key_of("inst_b")
    file.write_text("later\n")
    assert key_of("inst_b") == "later"
    every = {"*": Secret(SecretStr("every"))}
    assert keys(settings, lambda: GuardConfig(keys=every))("inst_c") == "every"


def section(text: str) -> ApiConfig:
    """Read a `synap` section."""
    root = parse(text, file="hooks.yml", base=Path("/nowhere"))
    inner = root.section("synap")
    assert inner
    found = read(inner)
    root.findings.raise_if_any()
    return found


def test_the_section_whole() -> None:
    """Attempts, pauses, time-outs and the plan's rate are read."""
    found = section(
        """
synap: {calls_per_minute: 600, attempts: 5, backoff_base: 500ms, backoff_cap: 5s,
        connect_timeout: 10s, read_timeout: 1m, write_timeout: 20s}
"""
    )

    assert found == ApiConfig(
        policy=Policy(
            attempts=5, backoff_base=0.5, backoff_cap=5.0, connect=10.0, read=60.0, write=20.0
        ),
        allowance=Allowance(600),
    )


def test_the_documented_defaults() -> None:
    """Three attempts, 1 to 10 s between them, 5, 30 and 10 s for each; the Free plan's rate."""
    assert section("synap: {}") == ApiConfig(
        policy=Policy(attempts=3, backoff_base=1, backoff_cap=10, connect=5, read=30, write=10),
        allowance=Allowance(60),
    )


@pytest.mark.parametrize("text", ["read_timeout: 0s", "attempts: 0", "calls_per_minute: 0"])
def test_what_cannot_be_meant(text: str) -> None:
    """No time, no attempt and no call are refused."""
    with pytest.raises(DocumentError, match=r"hooks\.yml:1: "):
        section(f"synap: {{{text}}}")


def test_the_example_says_what_holds_anyway(tmp_path: Path) -> None:
    """The example's sections `guard` and `synap` are the defaults, written out."""
    file = tmp_path / "hooks.yaml"
    file.write_text(example_text().replace("/run/secrets/", f"{tmp_path}/"))
    found = configuration(load(WorkerSettings, {"SYNAP_CONFIG": str(file)}))

    assert found.guard == GuardConfig()
    assert found.api == ApiConfig()


def test_an_event_without_a_configuration(services: Serve) -> None:
    """Where the event names no version, the active one is what it speaks of."""
    service = services()
    config_id = service.active({})

    service.deliver(service.sandbox.event("config.applied", {}))

    told = service.latest("SynapConfigApplied")
    assert told.labels["config_id"] == config_id


def test_what_failed_is_not_asked_again(services: Serve) -> None:
    """One request that fails for a reason that holds for all is the last; one not there is not."""
    service = services()
    inspect = service.app.processor._synap.inspect
    asked = Question(INSTANCE, "maca_cfg_1", "maca_cfg_0", "", 0.0)

    lost = inspect(asked, deadline=service.now() + 5)
    assert [line.partition(":")[0] for line in lost.missed] == [
        "the configuration",
        "the configuration before it",
    ]
    assert len(service.sandbox.calls) == 3
    service.sandbox.faults.standing(Fault(401, b"{}"))
    dead = inspect(asked, deadline=service.now() + 5)
    assert len(dead.missed) == 1
    assert len(service.sandbox.calls) == 4
    late = inspect(asked, deadline=service.now() - 1)
    assert "no time is left for a call" in late.missed[0]
    assert len(service.sandbox.calls) == 4


def test_a_key_that_cannot_be_read_is_said(services: Serve) -> None:
    """A key's file that is not there is told in the alert, instead of no key at all."""
    config = f"guard: {{instances: [{{id: {INSTANCE}, api_key_file: gone}}]}}"
    service = services(config)

    service.active({})

    told = service.latest("SynapConfigApplied").notes["description"]
    assert "Could not be looked up: the configuration: the API key cannot be read: " in told
    assert service.sandbox.calls == []


def test_a_url_that_is_none_is_refused_at_start() -> None:
    """The settings name the variable and the default."""
    with pytest.raises(SettingsError, match=r"SYNAP_API_URL is no URL.*https://api\.synap"):
        load(WorkerSettings, {"SYNAP_API_URL": "api.synap.maximem.ai"})


def test_a_url_without_a_host_is_not_called(rig: Rig) -> None:
    """What the settings cannot see is said at the first call."""
    rig.url = "http://"

    with pytest.raises(NotConfiguredError, match="SYNAP_API_URL"):
        rig.client().active(INSTANCE)


def test_a_connection_that_breaks_is_in_doubt(rig: Rig) -> None:
    """An answer that breaks off counts as none: the request may have been taken."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        rig.url = f"http://127.0.0.1:{server.getsockname()[1]}"
        rig.policy = Policy(attempts=1)

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.close()

        closing = threading.Thread(target=hang_up)
        closing.start()

        with pytest.raises(TimedOutError, match="the connection to Synap broke"):
            rig.client().active(INSTANCE)
        closing.join()
