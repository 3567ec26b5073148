r"""The names of alerting's keys in Redis, all in one room under the service's prefix.

    {P}:alerting:group:{gid}      hash: slot, key, labels, options (of the route, when created),
                                  created, generation (of the tree), pending (time of a flush that
                                  was taken), lease, fence, poked, flushes, waiting and failed
                                  (deliveries of the last flush), left:{receiver} and
                                  ok:{receiver}, addressed (open deliveries), resolving, told
                                  (version of the log), log_ttl
    {P}:alerting:called           string with expiry: a job for urgent groups is on its way
    {P}:alerting:urgent           list: groups that it takes along
    {P}:alerting:alerts:{gid}     hash: fingerprint -> "starts updated ends timeout\n" + wire form
    {P}:alerting:log:{gid}        hash: target -> what it was last told (`decision.Entry`)
    {P}:alerting:due              sorted set: group id -> time of its next flush
    {P}:alerting:delivery:{id}    hash: group, target, flush, notification, entry (the log after
                                  its success), toll, created, deadline, next_at, slot (its turn
                                  in line), attempts, lease, fence, revision, kept
    {P}:alerting:deliveries       sorted set: delivery id -> time of its next attempt
    {P}:alerting:bucket:{account} string with expiry: time up to which its calls are given away
    {P}:alerting:pause:{account}  string with expiry: time until which it is left alone
    {P}:alerting:source:{spot}    sorted set with expiry: active source of inhibition -> its end
    {P}:alerting:ends             sorted set, trimmed: fingerprint -> when it ended
    {P}:alerting:attempts         stream: one row for every attempt, trimmed
    {P}:alerting:dead             sorted set: failed for good -> time; `dead:{id}:{flush}` hashes
    {P}:alerting:counters         hash: groups_refused
    {P}:alerting:primary          hash: id (of its replication), promoted_at (a failover's time)

Silences, acknowledgements, history and bursts name their keys where they are kept.
A target is `receiver/type/place`, an account a digest of what its calls are counted by. No key,
URL or secret of a target is ever stored.
"""

from __future__ import annotations

import hashlib
from typing import Final

ROOM: Final = "alerting"

SUMMARY: Final = "summary:"
"""How the slot of a target's summary begins; the target's name follows."""


def room(prefix: str) -> str:
    """Return the prefix of every key of alerting."""
    return f"{prefix}:{ROOM}:"


def digest(text: str) -> str:
    """Return 64 hex digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def delivery_id(gid: str, target: str) -> str:
    """Return the id of the one delivery that a group may have open to a target."""
    return digest(f"{gid}/{target}")
