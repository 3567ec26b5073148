"""Credential rotation: from `credential.expiring` to the old key revoked.

    notice, noticing   what an event says of a credential, and the rotation that it begins
    config, freeze     the `rotation` section
    schedule           when to begin, and whether there is time left
    state, pace        the machine as a pure, total table, and how patient each state is
    record, book       one rotation, and all of them in Redis by compare-and-set
    steps, work        the work that leads out of each state, and what it is given
    run, moves         one step after the other, each of which may run twice
    orders             what a person may order
    alerts             what on-call has to know
    ports              what the machine needs of stores, issuers, rollouts and the verifier
    fingerprint        a secret that never shows itself, and what may be shown instead

Findings leave as alerts; who hears of them is decided elsewhere.
"""
