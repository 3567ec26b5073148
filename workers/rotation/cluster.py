"""The API of a Kubernetes cluster, for the adapters that need it.

Objects go in and out as the JSON that the API speaks: what an older or a newer server adds to them
passes through untouched. Errors are named by status alone, a body may repeat what was sent.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import urllib3.exceptions as http
from kubernetes.client import ApiClient, ApiException, Configuration
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from workers.rotation.errors import PermanentError, PortError, Reason, TransientError
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Slot
from workers.section import Section

TIMEOUT: Final = (3.0, 8.0)
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"

_REASONS: Final[Mapping[int, Reason]] = {
    401: Reason.DENIED,
    403: Reason.DENIED,
    404: Reason.NOT_FOUND,
    409: Reason.CONFLICT,
    429: Reason.RATE_LIMITED,
}
_PASSING: Final = frozenset({Reason.CONFLICT, Reason.RATE_LIMITED, Reason.SERVER_ERROR})
_SERVER: Final = 500
_OK: Final = range(200, 300)


class Cluster(NamedTuple):
    """How to reach the API: by a kubeconfig that is named, else as the pod that we run in."""

    namespace: str
    kubeconfig: Path | None = None
    context: str = ""

    def connect(self, name: str) -> Api:
        """Return the API; nothing is sent yet.

        Raises:
            PermanentError: there is no configuration to connect with.
        """
        settings = Configuration(retries=0)  # the one who calls decides on repeats
        try:
            self._load(settings)
        except (ConfigException, OSError) as error:
            said = f"{name}: no way into the cluster ({type(error).__name__})"
            raise PermanentError(Reason.DENIED, said) from None
        return Api(ApiClient(settings), name)

    def _load(self, settings: Configuration) -> None:
        if self.kubeconfig is None and not self.context:
            with suppress(ConfigException):  # we are in no pod
                load_incluster_config(client_configuration=settings)
                return
        path = None if self.kubeconfig is None else str(self.kubeconfig)
        load_kube_config(path, self.context or None, settings)


class Api:
    """Calls of one adapter; `name` begins every error."""

    def __init__(self, client: ApiClient, name: str) -> None:
        self._client = client
        self._name = name

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Read an object or a list.

        Raises:
            PortError: it was not read.
        """
        return self._call("GET", path, query=query)

    def patch(self, path: str, change: Mapping[str, Any], kind: str) -> Any:
        """Change an object; the kind of patch is named, or the client would guess.

        Raises:
            TransientError: with `conflict`, it is not as `resourceVersion` says any more.
            PortError: it was not changed.
        """
        return self._call("PATCH", path, body=change, kind=kind)

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        kind: str = "application/json",
    ) -> Any:
        verb, url, headers, sent, _ = self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": kind},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self._client.call_api(verb, url, headers, sent, _request_timeout=TIMEOUT)
            content = answer.read()
        except ApiException as error:
            raise self._trouble(error.status or 0, {}) from None
        except http.HTTPError as error:
            raise self._no_answer(error) from None
        if answer.status not in _OK:
            raise self._trouble(answer.status, answer.getheaders() or {})
        try:
            found = orjson.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict) or "kind" not in found:
            raise TransientError(Reason.SERVER_ERROR, f"{self._name}: no object came")
        return found

    def _trouble(self, status: int, headers: Mapping[str, str]) -> PortError:
        said = f"{self._name}: status {status}"
        reason = _REASONS.get(status)
        if reason is None:
            reason = Reason.SERVER_ERROR if status >= _SERVER else Reason.INVALID
        if reason not in _PASSING:
            return PermanentError(reason, said)
        asked = headers.get("Retry-After", "")
        return TransientError(reason, said, after=float(asked) if asked.isdecimal() else None)

    def _no_answer(self, error: http.HTTPError) -> PortError:
        cause = error.reason if isinstance(error, http.MaxRetryError) else error
        if isinstance(cause, http.ReadTimeoutError):
            return TransientError(Reason.TIMEOUT, f"{self._name}: no answer in time")
        return TransientError(Reason.UNREACHABLE, f"{self._name}: no connection")


def decoded(secret: Mapping[str, Any], field: str, name: str) -> Slot | None:
    """Return one field of a Secret, with the version of the whole; None when it is empty.

    Raises:
        PermanentError: it holds no text; `name` begins the message.
    """
    encoded = (secret.get("data") or {}).get(field)
    if not encoded:
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise PermanentError(Reason.INVALID, f"{name}: {field} is no text") from None
    return Slot(Secret(text), str(secret["metadata"]["resourceVersion"]))


def read_cluster(section: Section) -> Cluster:
    """Read the fields that say which cluster, and which namespace in it."""
    namespace, path = section.text("namespace"), section.text("kubeconfig")
    if not namespace:
        section.problem('field "namespace" is missing')
    kubeconfig = section.findings.base / path if path else None
    return Cluster(namespace, kubeconfig, section.text("context"))
