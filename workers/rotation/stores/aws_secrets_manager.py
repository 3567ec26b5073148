"""Store `aws_secrets_manager`: one secret of AWS Secrets Manager, moved by its staging labels.

The pending slot is the version labelled AWSPENDING; promotion moves AWSCURRENT to it, and AWS
moves AWSPREVIOUS behind. AWSPENDING is taken off then: left in place, it would block the secret's
own rotation for ever. A secret that AWS rotates itself is refused.

Least privilege: GetSecretValue, DescribeSecret, PutSecretValue and UpdateSecretVersionStage on the
one secret, and Decrypt and GenerateDataKey on its key if that is one of your own.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from botocore.exceptions import ClientError

from workers.rotation.errors import PermanentError, Reason, RefusedError, ThirdWriterError
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Pair, Side, Slot
from workers.rotation.stores import judging
from workers.rotation.stores.amazon import Account, code_of, missing, read_account, reading
from workers.section import Section

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
PREVIOUS: Final = "AWSPREVIOUS"


class AwsSecretsManager:
    """Keeps a credential as the whole text of a secret."""

    def __init__(self, secret_id: str, account: Account) -> None:
        self._secret_id = secret_id
        self._account = account

    @property
    def name(self) -> str:
        """Return the kind and the secret's name or ARN."""
        return f"aws_secrets_manager:{self._secret_id}"

    def check(self) -> None:
        """See that neither AWS nor another service rotates the secret."""
        with reading(self.name):
            self._refuse_managed()

    def read_current(self) -> Slot | None:
        """Return the version labelled AWSCURRENT."""
        with reading(self.name):
            return self._labelled(CURRENT)

    def read_pending(self) -> Slot | None:
        """Return the version labelled AWSPENDING."""
        with reading(self.name):
            return self._labelled(PENDING)

    def read_previous(self, pair: Pair) -> Slot | None:
        """Return the version labelled AWSCURRENT or AWSPREVIOUS that is the old one."""
        with reading(self.name):
            return self._old(pair)

    def put_pending(self, value: Secret, pair: Pair, token: str) -> None:
        """Add a version labelled AWSPENDING; the token is its id."""
        with reading(self.name):
            self._refuse_managed()
            current, pending = self._labelled(CURRENT), self._labelled(PENDING)
            if not judging.must_put(self.name, current, pending, pair):
                return
            self._put(value, pair, token)

    def promote(self, pair: Pair, token: str) -> None:
        """Move AWSCURRENT from the old version to the new one, then take AWSPENDING off."""
        del token
        with reading(self.name):
            self._refuse_managed()
            current = self._labelled(CURRENT)
            if judging.must_promote(self.name, current, pair):
                pending = judging.waiting(self.name, self._labelled(PENDING), pair)
                assert current is not None
                self._move(current, pending, pair, Side.NEW)
            self._take_pending_off(pair)

    def roll_back(self, pair: Pair, token: str) -> None:
        """Move AWSCURRENT back to the version labelled AWSPREVIOUS, if that is the old one."""
        del token
        with reading(self.name):
            self._refuse_managed()
            current = self._labelled(CURRENT)
            if judging.must_roll_back(self.name, current, pair):
                old = judging.kept(self.name, self._old(pair))
                assert current is not None
                self._move(current, old, pair, Side.OLD)

    def drop_pending(self, pair: Pair, token: str) -> None:
        """Take AWSPENDING off the new version; AWS deletes versions without a label."""
        del token
        with reading(self.name):
            self._take_pending_off(pair)

    def clean_up(self, pair: Pair, token: str) -> None:
        """Take AWSPENDING off; the old version keeps its place in the secret's history."""
        self.drop_pending(pair, token)

    @cached_property
    def _client(self) -> Any:
        return self._account.client("secretsmanager")

    def _old(self, pair: Pair) -> Slot | None:
        return judging.old_of((self._labelled(stage) for stage in (CURRENT, PREVIOUS)), pair)

    def _labelled(self, stage: str) -> Slot | None:
        return self._get(VersionStage=stage)

    def _get(self, **which: str) -> Slot | None:
        try:
            found = self._client.get_secret_value(SecretId=self._secret_id, **which)
        except ClientError as error:
            if missing(error):
                return None
            raise
        text = found.get("SecretString")
        if text is None:
            raise PermanentError(Reason.INVALID, f"{self.name}: its value is binary, no text")
        return Slot(Secret(text), found["VersionId"])

    def _put(self, value: Secret, pair: Pair, token: str) -> None:
        """Write the version; one with this token that holds anything else is not ours."""
        taken = ThirdWriterError(f"{self.name}: version {token} holds another value")
        before = self._get(VersionId=token)
        if before is not None and pair.judge(before.value) is not Side.NEW:
            raise taken
        try:
            answer = self._client.put_secret_value(
                SecretId=self._secret_id,
                ClientRequestToken=token,
                SecretString=value.reveal(),
                VersionStages=[PENDING],
            )
        except ClientError as error:
            if code_of(error) == "ResourceExistsException":
                raise taken from None
            raise
        if PENDING not in answer.get("VersionStages", ()):  # it was there, its label taken off
            self._stage(PENDING, MoveToVersionId=token)

    def _move(self, current: Slot, target: Slot, pair: Pair, wanted: Side) -> None:
        """Compare and set: AWS refuses if AWSCURRENT is not where it was read."""
        try:
            self._stage(
                CURRENT, MoveToVersionId=target.version, RemoveFromVersionId=current.version
            )
        except ClientError as error:
            if code_of(error) not in ("InvalidParameterException", "InvalidRequestException"):
                raise
            judging.lost(self.name, self._labelled(CURRENT), pair, wanted)

    def _take_pending_off(self, pair: Pair) -> None:
        pending = self._labelled(PENDING)
        if pending is not None and judging.waits(pending, pair):
            self._stage(PENDING, RemoveFromVersionId=pending.version)

    def _stage(self, stage: str, **versions: str) -> None:
        self._client.update_secret_version_stage(
            SecretId=self._secret_id, VersionStage=stage, **versions
        )

    def _refuse_managed(self) -> None:
        about = self._client.describe_secret(SecretId=self._secret_id)
        if about.get("RotationEnabled"):
            raise RefusedError(
                Reason.MANAGED_ELSEWHERE, f"{self.name}: AWS rotates it; cancel that rotation first"
            )
        if about.get("OwningService"):
            raise RefusedError(
                Reason.MANAGED_ELSEWHERE, f"{self.name}: {about['OwningService']} owns it"
            )


def read(section: Section) -> AwsSecretsManager:
    """Read the entry of type `aws_secrets_manager`."""
    secret_id = section.text("secret_id")
    if not secret_id:
        section.problem('field "secret_id" is missing: the name or the ARN of the secret')
    return AwsSecretsManager(secret_id, read_account(section))
