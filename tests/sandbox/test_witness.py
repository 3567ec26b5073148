"""The sender's own SDK as an outside witness: it takes the sandbox for Synap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.sandbox.sandbox import CLIENT, INSTANCE

sdk = pytest.importorskip("maximem_synap", reason="the SDK maximem-synap is not installed")


def configured(sandbox: Sandbox, folder: Path, key: str) -> Any:
    """Return the SDK, told to speak to the sandbox."""
    config = sdk.SDKConfig(
        api_base_url=sandbox.url, cache_backend=None, storage_path=str(folder), log_level="ERROR"
    )
    return sdk.MaximemSynapSDK(api_key=key, config=config)


async def test_the_sdk_learns_who_it_is(sandbox: Sandbox, tmp_path: Path) -> None:
    """With a live key the SDK's initialize() learns client and instance from whoami."""
    key = sandbox.issue_key()
    synap = configured(sandbox, tmp_path, key)

    await synap.initialize()

    assert (synap.instance_id, synap._client_id) == (INSTANCE, CLIENT)
    assert sandbox.uses(key) == 1
    await synap.shutdown()


async def test_the_sdk_takes_a_revoked_key_for_one(sandbox: Sandbox, tmp_path: Path) -> None:
    """Asked with a revoked key, the SDK's transport raises its own authentication error."""
    key = sandbox.issue_key()
    synap = configured(sandbox, tmp_path, key)
    await synap.initialize()
    sandbox.revoke_key(key)
    context = await synap._credential_manager.get_auth_context()

    with pytest.raises(sdk.AuthenticationError) as refused:
        await synap._http_transport.get("/api/v1/auth/whoami", auth_context=context)

    assert refused.value.correlation_id == sandbox.calls[-1].correlation_id
    await synap.shutdown()
