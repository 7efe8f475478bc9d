"""A lease in the store: of all that ask one has it, until it expires."""

import datetime as dt
import threading
from pathlib import Path

import pytest
import structlog
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


IN_2999 = '"expires_at": "2999-01-01T00:00:00+00:00"'


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\0\0\0",
        "[]",
        "{}",
        f'{{"fence": 7, "holder": "x", {IN_2999}, "released": false}}',
        f'{{"fence": 7, "holder": "x", {IN_2999}, "released": false, "seconds": 1e300}}',
        f'{{"fence": 7, "holder": "x", {IN_2999}, "released": false, "seconds": NaN}}',
        f'{{"fence": 7, "holder": "x", {IN_2999}, "released": false, "seconds": "60"}}',
        '{"fence": 7, "holder": "x", "expires_at": "2999-01-01", "released": false}',
        f'{{"fence": 1e300, "holder": "x", {IN_2999}, "released": false, "seconds": 60}}',
        f'{{"fence": 7, "holder": "x", {IN_2999}, "format": 3}}',
    ],
)
def test_no_entry_blocks_the_lease_for_ever(tmp_path: Path, clock: Clock, content: str) -> None:
    store, taker = FolderStore(tmp_path), lease(FolderStore(tmp_path), "b", clock)
    lease(store, "a", clock).take()
    planted = tmp_path / "leases/schedule/000000000007.json"
    planted.write_text(content)
    clock.at = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=3)

    with structlog.testing.capture_logs() as logs:
        grant = taker.take()
        others = [lease(store, "c", clock).take() for _ in range(2)]
        renewed = [taker.take() for _ in range(4)]

    assert grant is not None
    assert grant.number == 8
    assert others == [None, None]
    assert None not in renewed
    assert not planted.exists()
    assert [entry["entry"] for entry in logs] == ["leases/schedule/000000000007.json"]


def test_an_entry_that_cannot_be_read_keeps_the_lease_for_two_minutes(
    tmp_path: Path, clock: Clock
) -> None:
    """Its holder may be of a later release, and alive."""
    store = FolderStore(tmp_path)
    store.write("leases/schedule/000000000007.json", lambda file: file.write(b'{"format": 3}'))
    clock.at = dt.datetime.now(dt.UTC)

    clock.passes(110)
    assert lease(store, "b", clock).take() is None
    clock.passes(11)
    assert lease(store, "b", clock).take() is not None


def test_a_grant_that_was_edited_is_not_believed(tmp_path: Path, clock: Clock) -> None:
    store = FolderStore(tmp_path)
    lease(store, "a", clock).take()
    entry = tmp_path / "leases/schedule/000000000001.json"
    entry.write_text(entry.read_text().replace('"a"', '"b"'))

    found = latest_grant(store, "schedule")

    assert found is not None
    assert "was changed after it was written" in found.trouble


@pytest.mark.parametrize(
    "stray",
    [
        ".nfs0000000000c0ffee00000001",
        "000000000009.json~",
        ".000000000009.json.swp",
        "000000000009.json/inside",
        "9.json",
        "999999999999.json",
        "other/000000000009.json",
    ],
)
def test_other_files_among_the_grants_do_not_stop_the_lease(
    tmp_path: Path, clock: Clock, stray: str
) -> None:
    store, planted = FolderStore(tmp_path), tmp_path / "leases/schedule" / stray
    lease(store, "a", clock).take()
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.touch()

    clock.passes(61)
    grant = lease(store, "b", clock).take()

    assert grant is not None
    assert grant.number == 2


def test_a_link_to_nothing_among_the_grants_does_not_stop_the_lease(
    tmp_path: Path, clock: Clock
) -> None:
    store = FolderStore(tmp_path)
    lease(store, "a", clock).take()
    (tmp_path / "leases/schedule/000000000002.json").symlink_to("nothing")

    clock.passes(61)
    grant = lease(store, "b", clock).take()

    assert grant is not None
    assert grant.number == 3


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
