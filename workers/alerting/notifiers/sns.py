"""Target `sns`: Publish, to a topic (standard or FIFO), an endpoint or a phone.

A FIFO topic drops what has the same deduplication id within five minutes, so the id speaks of
group, state and flush: a resolve is never taken for its trigger, and a repeat is one message.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from workers.alerting.notification import Call, Notification, cut, cut_bytes
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.aws import Account, ask, read_account
from workers.alerting.wording import headline, severity, shown, text
from workers.outbound import Permanent, Retry, Sent, Verdict
from workers.section import Section

MESSAGE_BYTES: Final = 262_144
ATTRIBUTE_BYTES: Final = 4096
"""Room that is left for the attributes: they count towards the message's limit."""
SUBJECT_CHARS: Final = 99
SMS_CHARS: Final = 1600
FIFO: Final = ".fifo"

_PLACES: Final = ("topic_arn", "target_arn", "phone_number")
_REGION: Final = 3
"""Where in an ARN its region stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sns:
    """Publishes to exactly one of a topic, an endpoint or a phone."""

    account_: Account
    topic_arn: str = ""
    target_arn: str = ""
    phone_number: str = ""
    subject: bool = True
    send_resolved: bool = True

    durable: ClassVar[bool] = True
    stateful: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False

    @property
    def idempotent(self) -> bool:
        """Whether a deduplication id makes the same message twice the same as once."""
        return self.topic_arn.endswith(FIFO)

    @property
    def account(self) -> str:
        """What shares a rate: the place."""
        return self.topic_arn or self.target_arn or self.phone_number

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Publish the message once."""
        request = self.request(notification)
        answer = ask(
            lambda: self.account_.client("sns", call.outbound).publish(**request), call.now
        )
        if isinstance(answer, Retry | Permanent):
            return answer
        return Sent(str(answer.get("MessageId", "")))

    def request(self, notification: Notification) -> dict[str, Any]:
        """Return the parameters of the call."""
        head = headline(notification)
        if self.phone_number:
            return {"PhoneNumber": self.phone_number, "Message": cut(head, SMS_CHARS)}
        whole = f"{head}\n\n{text(notification)}"
        request: dict[str, Any] = {
            "Message": cut_bytes(whole, MESSAGE_BYTES - ATTRIBUTE_BYTES),
            "MessageAttributes": attributes(notification),
        }
        request |= (
            {"TopicArn": self.topic_arn} if self.topic_arn else {"TargetArn": self.target_arn}
        )
        if self.subject:
            request["Subject"] = subject(head)
        if self.idempotent:
            said = f"{notification.dedup_key}:{notification.state_id}".encode()
            request["MessageGroupId"] = notification.dedup_key
            request["MessageDeduplicationId"] = hashlib.sha256(said).hexdigest()
        return request


def subject(head: str) -> str:
    """Return a subject as SNS takes it: below 100 printable ASCII characters, in one line."""
    printable = "".join(char if " " <= char <= "~" else "?" for char in " ".join(head.split()))
    if len(printable) <= SUBJECT_CHARS:
        return printable
    return printable[: SUBJECT_CHARS - len("...")] + "..."


def attributes(notification: Notification) -> dict[str, dict[str, str]]:
    """Return what subscriptions may filter by; SNS takes no empty text."""
    said = {
        "status": notification.status,
        "severity": severity(shown(notification)),
        "alertname": notification.common_labels.get("alertname", ""),
        "receiver": notification.receiver,
    }
    return {
        name: {"DataType": "String", "StringValue": cut_bytes(value, 256)}
        for name, value in said.items()
        if value
    }


def read(section: Section, _: Ambient) -> Sns:
    """Read one entry of `sns_configs`."""
    topic, endpoint, phone = (section.text(name) for name in _PLACES)
    if [bool(topic), bool(endpoint), bool(phone)].count(True) != 1:
        section.problem("must provide either a Target ARN, Topic ARN, or Phone Number for SNS")
    parts = (topic or endpoint).split(":")
    for name, arn in (("topic_arn", topic), ("target_arn", endpoint)):
        if arn and (not arn.startswith("arn:") or len(parts) <= _REGION):
            section.problem(f"{name} is no ARN", name)
    return Sns(
        account_=read_account(section, region=parts[_REGION] if len(parts) > _REGION else ""),
        topic_arn=topic,
        target_arn=endpoint,
        phone_number=phone,
        subject=section.flag("subject", default=True),
        send_resolved=section.flag("send_resolved", default=True),
    )
