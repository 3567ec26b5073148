"""moto's server: the AWS API over HTTP, with its IAM judging every call."""

from __future__ import annotations

import functools
import itertools
import json
import logging
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from workers.aws import Identity, open_session
from workers.outbound import Outbound
from workers.rotation.stores import amazon

POLICIES = Path(__file__).parent / "policies"
REGION = "eu-west-1"
_names = itertools.count()


class Aws:
    """An AWS account of our own; moto judges actions, not yet the resources of a policy."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self._iam = self._client("iam", ("first", "first"))
        self.nobody = self.user(["sts:GetCallerIdentity"])
        self._root = self.user(["*"])
        self._judge("0")

    def user(self, actions: list[str]) -> tuple[str, str]:
        """Return the access key of a new user who may do this."""
        name = f"user-{next(_names)}"
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        self._iam.create_user(UserName=name)
        self._iam.put_user_policy(
            UserName=name,
            PolicyName="all",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
        key = self._iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def least(self, policy: str) -> tuple[str, str]:
        """Return the access key of a user who has the actions of a least-privilege policy."""
        actions: list[str] = []
        for statement in json.loads((POLICIES / policy).read_text())["Statement"]:
            named = statement["Action"]
            actions += [named] if isinstance(named, str) else named
        self._judge("inf")
        try:
            return self.user(actions)
        finally:
            self._judge("0")

    def root(self, service: str) -> Any:
        """Return a client that may do everything: somebody else's."""
        return self._client(service, self._root)

    def close(self) -> None:
        """Stop the server."""
        self._judge("inf")
        self._server.stop()

    def _judge(self, after: str) -> None:
        """Have IAM judge every call that comes after so many."""
        plain = {"content-type": "text/plain"}
        address = f"{self.url}/moto-api/reset-auth"
        request = urllib.request.Request(address, after.encode(), plain)
        urllib.request.urlopen(request).close()

    def _client(self, service: str, keys: tuple[str, str]) -> Any:
        return somebody(keys).client(service, endpoint_url=self.url)


def fresh() -> str:
    """Return a name that no other test has."""
    return f"synap-{next(_names)}"


@functools.cache
def somebody(keys: tuple[str, str]) -> boto3.session.Session:
    """Return a session of the SDK's own: one for all tests, since it is slow to load."""
    return boto3.session.Session(
        aws_access_key_id=keys[0], aws_secret_access_key=keys[1], region_name=REGION
    )


@functools.cache
def ours(keys: tuple[str, str]) -> Any:
    """Return a session as the stores have it."""
    return open_session(Outbound(), Identity(*keys), limits=amazon.LIMITS)


def sign_in(monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str]) -> None:
    """Have the stores' session be this user's."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(amazon, "session", lambda: ours(keys))
