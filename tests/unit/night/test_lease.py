"""A lease in the store: of all that ask one has it, until it expires."""

import datetime as dt
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.ledger.lease import Grant, Keeper, Lease, latest_grant, process_name
from streams.storage.folder import FolderStore

START = dt.datetime(2026, 3, 28, 5, tzinfo=dt.UTC)


class Clock:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> dt.datetime:
        return self.at

    def passes(self, seconds: float) -> None:
        self.at += dt.timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lease(store: FolderStore, holder: str, clock: Clock) -> Lease:
    return Lease(store, "schedule", holder=holder, seconds=60, now=clock)


def test_one_of_two_has_it(tmp_path: Path, clock: Clock) -> None:
    store = FolderStore(tmp_path)

    assert lease(store, "a", clock).take() is not None
    assert lease(store, "b", clock).take() is None


def test_of_many_that_ask_at_once_one_has_it(tmp_path: Path, clock: Clock) -> None:
    store, gate = FolderStore(tmp_path), threading.Barrier(8)
    taken: list[Grant] = []

    def ask(name: str) -> None:
        gate.wait()
        grant = lease(store, name, clock).take()
        if grant is not None:
            taken.append(grant)

    threads = [threading.Thread(target=ask, args=(f"process {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == 1


def test_who_renews_it_keeps_it_and_its_fence(tmp_path: Path, clock: Clock) -> None:
    store = FolderStore(tmp_path)
    first, second = lease(store, "a", clock), lease(store, "b", clock)

    fences = []
    for _ in range(5):
        grant = first.take()
        assert grant is not None
        fences.append(grant.fence)
        clock.passes(40)
        assert second.take() is None

    assert fences == [1] * 5


def test_it_is_taken_over_after_its_expiry_with_the_next_fence(
    tmp_path: Path, clock: Clock
) -> None:
    store = FolderStore(tmp_path)
    lease(store, "a", clock).take()

    clock.passes(59.9)
    assert lease(store, "b", clock).take() is None
    clock.passes(0.1)
    grant = lease(store, "b", clock).take()

    assert grant is not None
    assert grant.fence == 2


def test_a_holder_that_wakes_after_its_expiry_has_lost_it(tmp_path: Path, clock: Clock) -> None:
    store = FolderStore(tmp_path)
    frozen, other = lease(store, "a", clock), lease(store, "b", clock)
    frozen.take()
    clock.passes(61)
    other.take()

    assert frozen.take() is None
    current = latest_grant(store, "schedule")
    assert current is not None
    assert current.holder == "b"


def test_a_process_that_was_frozen_between_looking_and_taking_does_not_get_it(
    tmp_path: Path, clock: Clock
) -> None:
    """Its number was cleared away meanwhile, so that it can be created again."""
    store, other = FolderStore(tmp_path), lease(FolderStore(tmp_path), "b", clock)

    class Frozen(FolderStore):
        def create(self, name: str, content: bytes) -> bool:
            for _ in range(9):
                other.take()
            return super().create(name, content)

    assert lease(Frozen(tmp_path), "a", clock).take() is None
    assert lease(store, "c", clock).take() is None


def test_a_grant_of_a_clock_that_was_years_ahead_is_taken_over(
    tmp_path: Path, clock: Clock
) -> None:
    store, ahead = FolderStore(tmp_path), Clock()
    ahead.at += dt.timedelta(days=3653)
    assert lease(store, "a", ahead).take() is not None

    taken = lease(store, "b", clock).take()

    assert taken is not None
    assert taken.fence == 2


@pytest.mark.parametrize("seconds", [1, 59])
def test_a_clock_that_is_a_little_ahead_keeps_its_lease(
    tmp_path: Path, clock: Clock, seconds: int
) -> None:
    store, ahead = FolderStore(tmp_path), Clock()
    ahead.passes(seconds)
    assert lease(store, "a", ahead).take() is not None

    assert lease(store, "b", clock).take() is None


def test_given_up_it_is_free_at_once(tmp_path: Path, clock: Clock) -> None:
    store = FolderStore(tmp_path)
    first = lease(store, "a", clock)
    first.take()
    first.release()

    grant = lease(store, "b", clock).take()

    assert grant is not None
    assert grant.fence == 2


def test_only_its_holder_gives_it_up(tmp_path: Path, clock: Clock) -> None:
    store = FolderStore(tmp_path)
    lease(store, "a", clock).take()

    lease(store, "b", clock).release()

    assert lease(store, "c", clock).take() is None


def test_old_grants_are_cleared_away(tmp_path: Path, clock: Clock) -> None:
    store = FolderStore(tmp_path)
    for _ in range(50):
        lease(store, "a", clock).take()

    assert len(list(store.names("leases"))) <= 3


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 90), st.booleans()), max_size=30))
def test_two_never_have_it_at_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bool]]
) -> None:
    store, clock = FolderStore(tmp_path_factory.mktemp("lease")), Clock()
    leases = {name: lease(store, name, clock) for name in "abc"}
    held: dict[str, Grant] = {}
    fences: list[tuple[int, str]] = []
    for name, seconds, gives_up in steps:
        clock.passes(seconds)
        if gives_up:
            leases[name].release()
            held.pop(name, None)
        elif (grant := leases[name].take()) is not None:
            held[name] = grant
            fences.append((grant.fence, name))
        assert sum(not grant.is_free(clock.at) for grant in held.values()) <= 1

    assert fences == sorted(fences, key=lambda one: one[0])
    assert len({fence for fence, _ in fences}) == len(set(fences))  # a tenure is one holder's


def test_a_keeper_renews_in_the_background_and_gives_up_at_its_end(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    mine = Lease(store, "schedule", holder=process_name(), seconds=0.3)
    other = Lease(store, "schedule", holder=process_name(), seconds=0.3)

    with Keeper(mine) as keeper:
        assert keeper.held
        threading.Event().wait(1)
        assert keeper.held
        assert other.take() is None

    assert other.take() is not None


def test_a_keeper_that_cannot_renew_no_longer_has_it(tmp_path: Path) -> None:
    class Full(FolderStore):
        full = False

        def create(self, name: str, content: bytes) -> bool:
            if self.full:
                raise OSError("no space left")
            return super().create(name, content)

    store = Full(tmp_path)
    with Keeper(Lease(store, "schedule", holder="a", seconds=0.3)) as keeper:
        assert keeper.held
        store.full = True
        threading.Event().wait(0.5)
        assert not keeper.held
        store.full = False
        threading.Event().wait(0.3)
        assert keeper.held
