"""Synap's API, and the guard of what it configures.

    errors, requests, answers   what goes wrong, what is sent, what comes back
    transport, reply, pace      one call with its retries, within its time and the plan's rate
    client                      every documented endpoint
    schema, difference          the fields of a configuration; two of them compared, in words
    guard, checks, rules        what must not be active, and why; `own_rules` as data
    inspector                   a configuration looked up and judged
    violations                  what follows: which alerts end, how to go back
    records, runs, failures     what is remembered, as values; `book` keeps it in Redis
    lookup                      everything that handlers ask, in one hand
    guard_section, api_section  the sections `guard` and `synap` of the YAML file
    desk                        all of it composed

Findings are values; handing them to alerting is up to `handlers` and `wiring`.
"""
