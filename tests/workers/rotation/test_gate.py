"""The gate before the revocation, and what else is critical at that moment."""

from __future__ import annotations

import pytest

from tests.build import make_alert
from tests.workers.rotation.house import House
from tests.workers.rotation.people import drive
from tests.workers.rotation.world import OLD
from workers.rotation.errors import Reason
from workers.rotation.record import Rotation
from workers.rotation.state import State


def look(house: House, state: State, **given: object) -> Rotation:
    """Carry a rotation to a state and take the next look."""
    rotation_id = house.by_issuer().start(**given)
    assert drive(house, rotation_id, until=state).state is state
    house.incidents.append(make_alert("SynapIngestionFailed", severity="critical"))
    house.wait_for(house.rotation(rotation_id).due_at)
    house.machine.advance(rotation_id)
    return house.rotation(rotation_id)


@pytest.mark.parametrize("state", [State.REVOKE_GATE, State.REVOKING])
def test_an_incident_keeps_the_gate_shut(house: House, state: State) -> None:
    """While something else is on fire no key is taken away; afterwards it is."""
    found = look(house, state)

    assert (found.state, found.reason) == (State.REVOKE_GATE, Reason.INCIDENT)
    assert found.detail == "SynapIngestionFailed is critical for this instance"
    assert house.world.read()["keys"][OLD]["alive"]
    house.incidents.clear()
    assert drive(house, found.id).state is State.DONE


def test_what_the_revocation_ends_does_not_keep_it_shut(house: House) -> None:
    """The alert of the credential that expires would else fire for ever."""
    house.incidents += [
        make_alert(
            "SynapCredentialExpiring", severity="critical", event_type="credential.expiring"
        ),
        make_alert("SynapRotationRevokeOverdue", severity="critical", event_type="rotation"),
    ]

    assert drive(house, house.by_issuer().start()).state is State.DONE


def test_haste_minds_no_incident(house: House) -> None:
    """A leak may well be what the incident is about."""
    house.incidents.append(make_alert("SynapIngestionFailed", severity="critical"))

    assert drive(house, house.by_issuer().start(urgent=True)).state is State.DONE
