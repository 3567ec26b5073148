"""Copy `external_secrets`: the Secret that External Secrets Operator fills from a store.

The operator looks at its store when its ExternalSecret changes: the annotation `force-sync` is
changed, as its documentation has it. The Secret itself is only read.

Least privilege: get and patch on that one ExternalSecret, get on that one Secret, by their names.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from workers.rotation.cluster import MERGE, Api, Cluster, decoded, read_cluster
from workers.rotation.errors import PermanentError, Reason, RefusedError
from workers.rotation.ports import Slot
from workers.section import Section

FORCE: Final = "force-sync"
FIELD: Final = "SYNAP_API_KEY"
VERSIONS: Final = ("v1", "v1beta1")

_ONCE: Final = "CreatedOnce"


class ExternalSecret:
    """Has one field of a Secret filled by the operator."""

    def __init__(
        self, cluster: Cluster, external_secret: str, *, secret: str, field: str, version: str
    ) -> None:
        space = f"namespaces/{cluster.namespace}"
        self._cluster = cluster
        self._external_secret = external_secret
        self._field = field
        self._secret_path = f"/api/v1/{space}/secrets/{secret}"
        self._path = (
            f"/apis/external-secrets.io/{version}/{space}/externalsecrets/{external_secret}"
        )

    @property
    def name(self) -> str:
        """Return the kind, the ExternalSecret and the field."""
        place = f"{self._cluster.namespace}/{self._external_secret}"
        return f"external_secrets:{place}#{self._field}"

    def read(self) -> Slot | None:
        """Return what the Secret holds now."""
        try:
            secret = self._api.get(self._secret_path)
        except PermanentError as error:
            if error.reason == Reason.NOT_FOUND:
                return None
            raise
        return decoded(secret, self._field, self.name)

    def ask(self, mark: str) -> None:
        """Change the annotation, unless it is the same mark already."""
        found: dict[str, Any] = self._api.get(self._path)
        if (found.get("spec") or {}).get("refreshPolicy") == _ONCE:
            said = f"{self.name}: its refreshPolicy is {_ONCE}: it never follows the store"
            raise RefusedError(Reason.UNSYNCED, said)
        if (found["metadata"].get("annotations") or {}).get(FORCE) != mark:
            self._api.patch(self._path, {"metadata": {"annotations": {FORCE: mark}}}, MERGE)

    @cached_property
    def _api(self) -> Api:
        return self._cluster.connect(self.name)


def read(section: Section) -> ExternalSecret:
    """Read the entry of type `external_secrets`."""
    name = section.text("external_secret")
    if not name:
        section.problem('field "external_secret" is missing: the name of the ExternalSecret')
    return ExternalSecret(
        read_cluster(section),
        name,
        secret=section.text("secret", name),
        field=section.text("field", FIELD),
        version=section.choice("api_version", "v1", VERSIONS),
    )
