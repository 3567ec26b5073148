"""What every store must do, whatever it is called."""

from __future__ import annotations

import logging
from typing import ClassVar

import pytest

from tests.workers.rotation.stores.steps import (
    NEW,
    NEWER,
    OLD,
    THIRD,
    Place,
    Step,
    check,
    clean,
    complaint,
    drop,
    holds,
    pair,
    promote,
    put,
    roll_back,
    secrets,
    text,
    token,
)
from workers.rotation import stores
from workers.rotation.errors import (
    PermanentError,
    Reason,
    ThirdWriterError,
    TransientError,
)


class Conformance:
    """Inherit, and give the fixture `place`, whose current value is OLD."""

    silent: ClassVar[Reason] = Reason.UNREACHABLE
    """How the store says that nothing answers."""

    served_by: ClassVar[tuple[str, ...]] = ("tests",)
    """Loggers of the other side, where that runs in the suite's own process."""

    def test_the_way_forward(self, place: Place) -> None:
        """The new value waits unseen, becomes current, and nothing is left waiting."""
        store = place.store()
        seen = [holds(store)]
        for step in (put, promote, clean):
            step(store)
            seen.append(holds(store))

        assert seen == [(OLD, None), (OLD, NEW), (NEW, None), (NEW, None)]

    def test_a_place_of_ours_may_be_written_to(self, place: Place) -> None:
        """To see that before a key is made changes nothing."""
        check(place.store())

        assert holds(place.store()) == (OLD, None)

    def test_each_step_may_run_twice_in_two_processes(self, place: Place) -> None:
        """A repeat with the same token succeeds and writes nothing."""
        for step in (put, promote, clean):
            step(place.store())
            before = place.store().read_current(), place.store().read_pending()
            step(place.store())

            assert (place.store().read_current(), place.store().read_pending()) == before

    def test_the_way_back(self, place: Place) -> None:
        """The old value comes back, however often it is asked for."""
        store = place.store()
        put(store)
        promote(store)

        kept = store.read_previous(pair())
        roll_back(store)
        before = store.read_current()
        roll_back(place.store())

        assert (text(kept), text(before)) == (OLD, OLD)
        assert store.read_current() == before

    def test_nothing_to_roll_back(self, place: Place) -> None:
        """Rolling back what was not promoted changes nothing."""
        store = place.store()
        put(store)
        before = store.read_current()

        roll_back(store)

        assert store.read_current() == before

    def test_the_old_value_is_found_wherever_it_is(self, place: Place) -> None:
        """Before the promotion it is current itself; of another pair there is none."""
        store = place.store()
        put(store)

        assert store.read_previous(pair()) == store.read_current()
        assert store.read_previous(pair(THIRD, NEWER)) is None

    def test_giving_up(self, place: Place) -> None:
        """A dropped key is gone from the pending slot, and can be put again."""
        store = place.store()
        put(store)

        drop(store)
        drop(store)
        dropped = holds(store)
        put(store)

        assert dropped == (OLD, None)
        assert holds(store) == (OLD, NEW)

    def test_one_rotation_after_another(self, place: Place) -> None:
        """What one rotation leaves does not hinder the next."""
        store = place.store()
        for new, old in ((NEW, OLD), (NEWER, NEW)):
            put(store, new, old)
            promote(store, new, old)
            store.clean_up(pair(old, new), token(f"clean {new}"))

        assert holds(store) == (NEWER, None)

    def test_put_when_current_already(self, place: Place) -> None:
        """A key that somebody put in place by hand is no third writer."""
        place.set_current(NEW)

        put(place.store())
        promote(place.store())

        assert holds(place.store()) == (NEW, None)

    @pytest.mark.parametrize("step", [put, promote, roll_back])
    def test_no_third_value_is_overwritten(self, place: Place, step: Step) -> None:
        """A current value that is neither old nor new stays, whatever is asked."""
        put(place.store())
        place.set_current(THIRD)

        with pytest.raises(ThirdWriterError) as caught:
            step(place.store())

        assert caught.value.reason == Reason.THIRD_WRITER
        assert holds(place.store()) == (THIRD, NEW)

    def test_another_key_that_waits_is_not_overwritten(self, place: Place) -> None:
        """A pending value of another rotation stays, and cannot be promoted."""
        place.set_pending(THIRD)

        with pytest.raises(ThirdWriterError):
            put(place.store())
        with pytest.raises(PermanentError) as caught:
            promote(place.store())
        drop(place.store())
        clean(place.store())

        assert caught.value.reason == Reason.KEY_LOST
        assert holds(place.store()) == (OLD, THIRD)

    def test_the_old_value_may_lie_pending(self, place: Place) -> None:
        """A pending slot with the old value is free."""
        place.set_pending(OLD)

        put(place.store())

        assert holds(place.store()) == (OLD, NEW)

    def test_nothing_waits(self, place: Place) -> None:
        """Promoting without a pending key is refused by name."""
        with pytest.raises(PermanentError) as caught:
            promote(place.store())

        assert caught.value.reason == Reason.KEY_LOST

    def test_an_empty_place(self, place: Place) -> None:
        """A place that holds nothing is read as such, and nothing is begun in it."""
        store = place.empty()

        assert holds(store) == (None, None)
        for step in (put, promote, roll_back):
            with pytest.raises(PermanentError) as caught:
                step(store)
            assert caught.value.reason == Reason.NOT_FOUND

    def test_denied(self, place: Place) -> None:
        """A missing permission is permanent, and named."""
        store = place.denied()
        for call in (store.read_current, lambda: put(store), lambda: promote(store)):
            with pytest.raises(PermanentError) as caught:
                call()
            assert caught.value.reason == Reason.DENIED

    def test_unreachable(self, place: Place) -> None:
        """A store that does not answer may do so later."""
        store = place.unreachable()
        for call in (store.read_current, lambda: put(store), lambda: promote(store)):
            with pytest.raises(TransientError) as caught:
                call()
            assert caught.value.reason == self.silent

    def test_no_secret_shows(self, place: Place, caplog: pytest.LogCaptureFixture) -> None:
        """Neither logs, printed forms nor tracebacks hold a key, at whatever level."""
        logging.getLogger().setLevel(logging.NOTSET)
        written: list[str] = []
        with caplog.at_level(logging.DEBUG):
            store = place.store()
            for step in (put, promote, roll_back, drop, clean, promote):
                written += complaint(step, store)
            place.set_current(THIRD)
            for step in (put, promote, roll_back):
                written += complaint(step, store)
            for other in (place.denied(), place.unreachable(), place.empty()):
                written += complaint(put, other)
        logging.getLogger().setLevel(logging.WARNING)

        logged = [
            f"{record.name} {record.getMessage()} {record.exc_text}"
            for record in caplog.records
            if not record.name.startswith(self.served_by)
        ]
        told = "\n".join([*written, *logged, repr(store), str(store), store.name])
        assert len(written) >= 6
        assert [line[:99] for line in logged if any(map(line.__contains__, secrets()))] == []
        assert not any(form in told for form in secrets())

    def test_the_name_tells_where(self, place: Place) -> None:
        """The name is fit for an alert: kind and place."""
        assert place.store().name.partition(":")[0] in stores.STORES
