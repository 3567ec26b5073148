"""The ledger: every state transition of an event after its acceptance.

Each transition is one Lua script, so that what must happen together happens or does not.

    inflight ──claim, start──> inflight ──settle──> done | dead | inflight (waits for next_at)
    dead ──replay──> inflight        dead ──discard──> discarded
    quarantined ──release──> inflight        quarantined ──discard──> gone
"""
