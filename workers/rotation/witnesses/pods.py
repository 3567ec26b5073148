"""Witness `pods`: a page of each pod on which the digits of its key stand.

The digits are the first sixteen (or more) of HMAC-SHA256 in hexadecimal, the key of which is the
text `synap-hooks`, over the API key that the process uses. They may stand anywhere on the page: a
page of metrics will do. Every pod of the selector has to show them, whoever made it, so that jobs
and what no rollout restarts are seen as well; one that does not answer shows nothing.

Least privilege: list on pods in the one namespace, and a way to their port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import closing
from functools import cached_property, partial
from typing import Any, Final

from workers.outbound import Limits, Outbound, OutboundError
from workers.rotation.cluster import Api, Cluster, read_cluster
from workers.rotation.errors import Reason, TransientError
from workers.rotation.ports import Side
from workers.section import Section

PATH: Final = "/metrics"
LIMITS: Final = Limits(connect=2.0, read=3.0, write=2.0, answer_bytes=4 * 1024 * 1024)
AT_ONCE: Final = 16
ALL_SECONDS: Final = 20.0

_ENDED: Final = frozenset({"Succeeded", "Failed"})
_PORTS: Final = range(1, 65_536)


class Pods:
    """Asks every pod of a selector."""

    def __init__(self, cluster: Cluster, *, selector: str, port: int, path: str) -> None:
        self._cluster = cluster
        self._selector = selector
        self._port = port
        self._path = path

    def ask(self, new: str, old: str) -> Mapping[str, Side]:
        """Return what each pod shows that runs."""
        hosts = dict(self._running())
        with closing(Outbound()) as outbound, ThreadPoolExecutor(AT_ONCE) as pool:
            look = partial(self._look, outbound, new, old)
            try:
                return dict(
                    zip(hosts, pool.map(look, hosts.values(), timeout=ALL_SECONDS), strict=True)
                )
            except TooLate:
                pool.shutdown(wait=False, cancel_futures=True)
                said = f"{self._name}: {len(hosts)} pods were not asked in {ALL_SECONDS:.0f} s"
                raise TransientError(Reason.TIMEOUT, said) from None

    @property
    def _name(self) -> str:
        return f"pods:{self._cluster.namespace}"

    @cached_property
    def _api(self) -> Api:
        return self._cluster.connect(self._name)

    def _running(self) -> Iterator[tuple[str, str]]:
        """Yield name and address of each pod that runs; one without an address is only made."""
        path = f"/api/v1/namespaces/{self._cluster.namespace}/pods"
        for pod in self._api.get(path, {"labelSelector": self._selector}).get("items") or ():
            status: Mapping[str, Any] = pod.get("status") or {}
            if status.get("podIP") and status.get("phase") not in _ENDED:
                yield pod["metadata"]["name"], status["podIP"]

    def _look(self, outbound: Outbound, new: str, old: str, host: str) -> Side:
        address = f"[{host}]" if ":" in host else host
        url = f"http://{address}:{self._port}{self._path}"
        try:
            answer = outbound.call("GET", url, limits=LIMITS)
        except OutboundError:
            return Side.THIRD
        return judge(answer.body, new, old) if answer.ok else Side.THIRD


def judge(page: bytes, new: str, old: str) -> Side:
    """Say which key a page shows: one that shows both still uses the old one."""
    if old and old.encode() in page:
        return Side.OLD
    return Side.NEW if new and new.encode() in page else Side.THIRD


def read(section: Section) -> Pods:
    """Read the entry of type `pods`."""
    selector, path = section.text("selector"), section.text("path", PATH)
    port = section.integer("port", 0, least=1)
    if not selector:
        section.problem('field "selector" is missing: the label of the pods that use the key')
    if port not in _PORTS:
        section.problem('field "port" must be the port on which the pods show it')
    if not path.startswith("/"):
        section.problem('field "path" must begin with "/"', "path")
    return Pods(read_cluster(section), selector=selector, port=port, path=path)
