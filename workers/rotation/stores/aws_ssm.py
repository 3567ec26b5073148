"""Store `aws_ssm`: one SecureString of AWS Systems Manager Parameter Store.

The pending slot is a second parameter, `NAME.pending`. Parameter Store has no compare-and-set: a
write returns the number of its version, and one that does not follow the version which was judged
shows that somebody else wrote between. No labels are set: a label on the oldest version would make
the hundredth write fail.

Least privilege: GetParameter, GetParameterHistory, PutParameter on both parameters, DeleteParameter
on the pending one, and Decrypt and Encrypt on their key if that is one of your own.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from botocore.exceptions import ClientError

from workers.rotation.errors import PermanentError, Reason, RefusedError, ThirdWriterError
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Pair, Side, Slot
from workers.rotation.stores import judging
from workers.rotation.stores.amazon import Account, missing, read_account, reading
from workers.section import Section

SUFFIX: Final = ".pending"
TYPE: Final = "SecureString"
PAGE: Final = 50


class AwsSsm:
    """Keeps a credential as a parameter of type SecureString."""

    def __init__(self, parameter: str, account: Account) -> None:
        self._parameter = parameter
        self._account = account

    @property
    def name(self) -> str:
        """Return the kind and the parameter's name."""
        return f"aws_ssm:{self._parameter}"

    def check(self) -> None:
        """Do nothing: whoever may write a parameter owns it."""

    def read_current(self) -> Slot | None:
        """Return the parameter's newest version."""
        with reading(self.name):
            return self._get(self._parameter)

    def read_pending(self) -> Slot | None:
        """Return the pending parameter's newest version."""
        with reading(self.name):
            return self._get(self._parameter + SUFFIX)

    def read_previous(self, pair: Pair) -> Slot | None:
        """Return the newest version that is the old one, as the history keeps it."""
        with reading(self.name):
            return self._old(pair)

    def put_pending(self, value: Secret, pair: Pair, token: str) -> None:
        """Write the pending parameter, under the same key as the current one."""
        del token
        with reading(self.name):
            current, pending = self._get(self._parameter), self._get(self._parameter + SUFFIX)
            if judging.must_put(self.name, current, pending, pair):
                self._put(self._parameter + SUFFIX, value, self._history()[-1])

    def promote(self, pair: Pair, token: str) -> None:
        """Write the pending value as the parameter's next version."""
        del token
        with reading(self.name):
            current = self._get(self._parameter)
            if judging.must_promote(self.name, current, pair):
                pending = judging.waiting(self.name, self._get(self._parameter + SUFFIX), pair)
                self._set(pending.value, pair, Side.NEW)
            self._forget_pending(pair)

    def roll_back(self, pair: Pair, token: str) -> None:
        """Write the old value, as the history keeps it, as the parameter's next version."""
        del token
        with reading(self.name):
            if judging.must_roll_back(self.name, self._get(self._parameter), pair):
                old = judging.kept(self.name, self._old(pair))
                self._set(old.value, pair, Side.OLD)

    def drop_pending(self, pair: Pair, token: str) -> None:
        """Delete the pending parameter, if it holds the new value."""
        del token
        with reading(self.name):
            self._forget_pending(pair)

    def clean_up(self, pair: Pair, token: str) -> None:
        """Delete the pending parameter; the old value keeps its place in the history."""
        self.drop_pending(pair, token)

    @cached_property
    def _client(self) -> Any:
        return self._account.client("ssm")

    def _get(self, parameter: str) -> Slot | None:
        try:
            found = self._client.get_parameter(Name=parameter, WithDecryption=True)["Parameter"]
        except ClientError as error:
            if missing(error):
                return None
            raise
        if found["Type"] != TYPE:
            raise RefusedError(
                Reason.INVALID, f"{self.name}: {parameter} is no {TYPE}: anyone can read it"
            )
        return _slot(found)

    def _old(self, pair: Pair) -> Slot | None:
        return judging.old_of(map(_slot, reversed(self._history())), pair)

    def _history(self) -> list[dict[str, Any]]:
        """Return every version that is kept, oldest first, with its key and tier."""
        pages = self._client.get_paginator("get_parameter_history").paginate(
            Name=self._parameter, WithDecryption=True, PaginationConfig={"PageSize": PAGE}
        )
        versions = [version for page in pages for version in page["Parameters"]]
        if not versions:
            raise PermanentError(Reason.NOT_FOUND, f"{self.name}: it has no history")
        return sorted(versions, key=lambda version: int(version["Version"]))

    def _set(self, value: Secret, pair: Pair, wanted: Side) -> None:
        """Write the next version; the history says under which key, and what it follows."""
        newest = self._history()[-1]
        judging.confirm(
            self.name, _slot(newest), pair, Side.OLD if wanted is Side.NEW else Side.NEW
        )
        written = self._put(self._parameter, value, newest)
        if written != int(newest["Version"]) + 1:
            raise ThirdWriterError(
                f"{self.name}: version {written} was written on top of another writer's"
            )
        judging.confirm(self.name, self._get(self._parameter), pair, wanted)

    def _put(self, parameter: str, value: Secret, like: dict[str, Any]) -> int:
        """Write a version under the key and tier of another; left out, they would be AWS's own."""
        answer = self._client.put_parameter(
            Name=parameter,
            Value=value.reveal(),
            Type=TYPE,
            Overwrite=True,
            **{field: like[field] for field in ("KeyId", "Tier") if like.get(field)},
        )
        return int(answer["Version"])

    def _forget_pending(self, pair: Pair) -> None:
        if judging.waits(self._get(self._parameter + SUFFIX), pair):
            self._client.delete_parameter(Name=self._parameter + SUFFIX)


def _slot(version: dict[str, Any]) -> Slot:
    return Slot(Secret(version["Value"]), str(version["Version"]))


def read(section: Section) -> AwsSsm:
    """Read the entry of type `aws_ssm`."""
    parameter = section.text("parameter")
    if not parameter:
        section.problem('field "parameter" is missing: the name of the parameter')
    return AwsSsm(parameter, read_account(section))
