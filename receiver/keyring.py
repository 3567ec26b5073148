"""The signing keys in use: labelled, per endpoint, replaced while running.

Key files are read again every few seconds. A read that fails leaves the last good keys in use,
so that a half-written file never refuses a delivery that Synap signed rightly.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator, Mapping
from typing import Final

import structlog

from receiver import keyfiles, signature
from receiver.errors import Refusal, SettingsError, SignatureError
from receiver.keyfiles import KeySource, Secrets
from receiver.metrics import Metrics
from receiver.signature import SigningKey

INTERVAL: Final = 2.0

_log = structlog.get_logger("receiver.keyring")


class Keyring:
    """Verifies deliveries against the keys of the endpoint that they came to."""

    def __init__(self, source: KeySource, metrics: Metrics, *, interval: float = INTERVAL) -> None:
        """Read the keys once.

        Raises:
            SettingsError: there is no usable set of keys.
        """
        self._source = source
        self._metrics = metrics
        self._interval = interval
        self._complaint: list[str] = []
        self._secrets: Secrets = {}
        self._keys: dict[str, tuple[SigningKey, ...]] = {}
        self._decoys: tuple[SigningKey, ...] = ()
        self._use(keyfiles.read(source))

    @property
    def labels(self) -> Mapping[str, list[str]]:
        """The labels of the keys in use, by endpoint."""
        return {name: [key.label for key in keys] for name, keys in self._keys.items()}

    def verify(self, endpoint: str, body: bytes, header: bytes | None) -> SigningKey:
        """Return the key of `endpoint` that signed `body`.

        An unknown endpoint costs the same work as a known one, so that names cannot be guessed
        by the clock.

        Raises:
            SignatureError: the signature does not hold, or there is no such endpoint.
        """
        keys = self._keys.get(endpoint)
        if keys is not None:
            return signature.verify(body, header, keys)
        with contextlib.suppress(SignatureError):
            signature.verify(body, header, self._decoys)
        raise SignatureError(Refusal.UNKNOWN_ENDPOINT)

    async def reload(self) -> bool:
        """Read the files again and say whether the keys changed; a failure changes nothing."""
        try:
            read = await asyncio.to_thread(keyfiles.read, self._source)
        except SettingsError as error:
            self._refused(error.problems)
            return False
        return self._took(read)

    async def watch(self) -> None:
        """Reload for as long as the task lives; inline keys never change."""
        if self._source.directory is None:
            return
        while True:
            await asyncio.sleep(self._interval)
            await self.reload()

    def _took(self, read: Secrets) -> bool:
        self._complaint = []
        if read == self._secrets:
            return False
        before = set(_names(self._secrets))
        self._use(read)
        after = set(_names(read))
        _log.info(
            "keyring.reloaded",
            added=sorted(after - before),
            removed=sorted(before - after),
            keys=len(after),
        )
        return True

    def _refused(self, problems: list[str]) -> None:
        self._metrics.key_reload_failures.inc()
        if problems != self._complaint:
            _log.error("keyring.reload_failed", problems=problems)
        self._complaint = problems

    def _use(self, read: Secrets) -> None:
        self._secrets = read
        self._keys = {
            name: tuple(SigningKey(label, secret) for label, secret in keys.items())
            for name, keys in read.items()
        }
        count = max(len(keys) for keys in self._keys.values())
        self._decoys = tuple(SigningKey("decoy", secrets.token_bytes(32)) for _ in range(count))
        self._metrics.set_keys(self.labels)


def _names(read: Secrets) -> Iterator[str]:
    for endpoint, keys in read.items():
        yield from (f"{endpoint}/{label}" for label in keys)
