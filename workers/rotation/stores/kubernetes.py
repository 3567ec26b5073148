"""Store `kubernetes`: one field of a Secret.

    FIELD            what pods get
    FIELD_NEXT       the pending slot
    FIELD_PREVIOUS   the old value, until the rotation is cleaned up

All three move in one patch that carries the `resourceVersion` which was judged, so that nothing of
anybody is overwritten. A Secret that something else writes (External Secrets, Sealed Secrets, any
owner) is refused: the value would be put back. So is an immutable one: it cannot be changed, only
replaced under another name, in every template that names it. Templates belong to what deploys them,
which would put the old name back, perhaps when the old key is dead; and a Role cannot say by name
what may be created.

Least privilege: get and patch on that one Secret, by its name.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from workers.rotation.cluster import MERGE, Api, Cluster, decoded, read_cluster
from workers.rotation.errors import PermanentError, PortError, Reason, RefusedError
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Pair, Side, Slot
from workers.rotation.stores import judging
from workers.section import Section

FIELD: Final = "SYNAP_API_KEY"
NEXT: Final = "_NEXT"
PREVIOUS: Final = "_PREVIOUS"
OWNERS: Final[Mapping[str, str]] = {
    "reconcile.external-secrets.io/": "External Secrets",
    "external-secrets.io/": "External Secrets",
    "sealedsecrets.bitnami.com/": "Sealed Secrets",
}
"""Prefixes of labels and annotations that tell who writes a Secret."""

IMMUTABLE: Final = (
    "the Secret is immutable: make it mutable, or keep the key in another store and let your "
    "deployment make the Secret (rollout command or webhook)"
)
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGERS: Final = frozenset({"external-secrets", "sealed-secrets", "sealed-secrets-controller"})


class KubernetesSecret:
    """Keeps a credential as one field of a Secret."""

    def __init__(self, cluster: Cluster, secret: str, field: str) -> None:
        self._cluster = cluster
        self._secret = secret
        self._current = field
        self._pending = field + NEXT
        self._previous = field + PREVIOUS
        self._path = f"/api/v1/namespaces/{cluster.namespace}/secrets/{secret}"

    @property
    def name(self) -> str:
        """Return the kind, the Secret and its field."""
        return f"kubernetes:{self._cluster.namespace}/{self._secret}#{self._current}"

    def check(self) -> None:
        """See that nothing else writes the Secret, and that it can be changed."""
        self._writable()

    def read_current(self) -> Slot | None:
        """Return what pods get."""
        return self._slot(self._get(), self._current)

    def read_pending(self) -> Slot | None:
        """Return the field beside it."""
        return self._slot(self._get(), self._pending)

    def read_previous(self, pair: Pair) -> Slot | None:
        """Return the old value, from the field or from the one that keeps it."""
        return self._old(self._get(), pair)

    def put_pending(self, value: Secret, pair: Pair, token: str) -> None:
        """Set the field beside it."""
        del token
        secret = self._writable()
        current, pending = self._slot(secret, self._current), self._slot(secret, self._pending)
        if judging.must_put(self.name, current, pending, pair):
            self._patch(secret, {self._pending: value.reveal()})

    def promote(self, pair: Pair, token: str) -> None:
        """Set the field, keep the old value and remove the pending one, all in one write."""
        del token
        secret = self._writable()
        current, pending = self._slot(secret, self._current), self._slot(secret, self._pending)
        if judging.must_promote(self.name, current, pair):
            new = judging.waiting(self.name, pending, pair)
            assert current is not None
            fields = {
                self._current: new.value.reveal(),
                self._previous: current.value.reveal(),
                self._pending: None,
            }
            self._swap(secret, fields, pair, Side.NEW)
        elif judging.waits(pending, pair):
            self._patch(secret, {self._pending: None})

    def roll_back(self, pair: Pair, token: str) -> None:
        """Set the field to the old value."""
        del token
        secret = self._writable()
        if judging.must_roll_back(self.name, self._slot(secret, self._current), pair):
            old = judging.kept(self.name, self._old(secret, pair))
            self._swap(secret, {self._current: old.value.reveal()}, pair, Side.OLD)

    def drop_pending(self, pair: Pair, token: str) -> None:
        """Remove the field beside it, if it holds the new value."""
        del token
        self._forget(self._get(), pair, previous=False)

    def clean_up(self, pair: Pair, token: str) -> None:
        """Remove the pending and the previous field, unless they hold what is not ours."""
        del token
        self._forget(self._get(), pair, previous=True)

    @cached_property
    def _api(self) -> Api:
        return self._cluster.connect(self.name)

    def _get(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._api.get(self._path)
        except PermanentError as error:
            if error.reason == Reason.NOT_FOUND:
                return None
            raise
        return found

    def _writable(self) -> dict[str, Any] | None:
        """Return the Secret, unless writing to it is not ours.

        Raises:
            RefusedError: something else writes it, or nothing can.
        """
        secret = self._get()
        if secret is None:
            return None
        owner = owner_of(secret)
        if owner:
            raise RefusedError(Reason.MANAGED_ELSEWHERE, f"{self.name}: {owner} writes it")
        if secret.get("immutable"):
            raise RefusedError(Reason.IMMUTABLE, f"{self.name}: {IMMUTABLE}")
        return secret

    def _slot(self, secret: Mapping[str, Any] | None, field: str) -> Slot | None:
        return None if secret is None else decoded(secret, field, self.name)

    def _old(self, secret: Mapping[str, Any] | None, pair: Pair) -> Slot | None:
        fields = (self._current, self._previous)
        return judging.old_of((self._slot(secret, field) for field in fields), pair)

    def _forget(self, secret: Mapping[str, Any] | None, pair: Pair, *, previous: bool) -> None:
        gone = []
        if judging.waits(self._slot(secret, self._pending), pair):
            gone.append(self._pending)
        if previous and judging.old_of([self._slot(secret, self._previous)], pair):
            gone.append(self._previous)
        if secret and gone:
            self._patch(secret, dict.fromkeys(gone))

    def _swap(
        self,
        secret: Mapping[str, Any] | None,
        fields: Mapping[str, str | None],
        pair: Pair,
        wanted: Side,
    ) -> None:
        """Write if the Secret is still as it was judged; else judge what it is now."""
        try:
            self._patch(secret, fields)
        except PortError as error:
            if error.reason != Reason.CONFLICT:
                raise
            judging.lost(self.name, self._slot(self._get(), self._current), pair, wanted)

    def _patch(self, secret: Mapping[str, Any] | None, fields: Mapping[str, str | None]) -> None:
        assert secret is not None
        data = {
            name: None if text is None else base64.b64encode(text.encode()).decode()
            for name, text in fields.items()
        }
        version = secret["metadata"]["resourceVersion"]
        self._api.patch(self._path, {"metadata": {"resourceVersion": version}, "data": data}, MERGE)


def owner_of(secret: Mapping[str, Any]) -> str:
    """Return who writes a Secret, by its owners, labels and annotations; empty if nobody does."""
    metadata = secret.get("metadata") or {}
    owners = metadata.get("ownerReferences") or ()
    if owners:
        return ", ".join(f"{owner.get('kind')} {owner.get('name')}" for owner in owners)
    labels = metadata.get("labels") or {}
    for mark in (*labels, *(metadata.get("annotations") or ())):
        for prefix, owner in OWNERS.items():
            if mark.startswith(prefix):
                return owner
    manager = str(labels.get(MANAGED_BY, ""))
    return manager if manager.lower() in MANAGERS else ""


def read(section: Section) -> KubernetesSecret:
    """Read the entry of type `kubernetes`."""
    secret = section.text("secret")
    if not secret:
        section.problem('field "secret" is missing: the name of the Secret')
    return KubernetesSecret(read_cluster(section), secret, section.text("field", FIELD))
