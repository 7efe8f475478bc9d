"""One value holds all that is recorded of a close, and is read with as few requests as can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import LedgerError
from sinks.instants import stamp
from sinks.ledger.held import Held, LateRemoval, Release
from sinks.ledger.intent import Deletion, Intent
from sinks.ledger.ledger import Ledger
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.record import CloseRecord, LatestDrop, RecordedRevision
from sinks.ledger.revision import Revision
from streams.storage.folder import FolderStore

INSTANT = datetime(2026, 3, 27, 6, tzinfo=UTC)
FOLDER = f"ledger/exports/sent/{stamp(INSTANT)}"
INTENT = Intent("sent", INSTANT, INSTANT, None, {}, {}, (), {})
HELD = Held(("2 rows, at least 3 are expected",), 2, 90, "a" * 64, {}, {}, "now")
RELEASE = Release("a holiday", "now", ())


def deletion(profile_id: int, appended_at: int = 1) -> Deletion:
    return Deletion(profile_id, appended_at, appended_at)


def outcome(sha256: str = "a" * 64) -> CloseOutcome:
    return CloseOutcome(INTENT.drop_id, "sent.csv", 2, 90, sha256, {}, ())


def revision(number: int) -> Revision:
    return Revision(number, "a reason", INTENT.without((deletion(number),)))


class Requests(FolderStore):
    """A store that notes what it is asked."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked_for: list[str] = []

    def read(self, name: str) -> bytes:
        self.asked_for.append(name.rpartition("/")[2])
        return super().read(name)

    def names(self, folder: str) -> Iterator[str]:
        self.asked_for.append(f"{folder}/*")
        return super().names(folder)


@pytest.fixture
def store(tmp_path: Path) -> Requests:
    return Requests(tmp_path)


@pytest.fixture
def ledger(store: Requests) -> Ledger:
    return Ledger(store)


def begun(ledger: Ledger) -> CloseRecord:
    """The record of a close that was just begun."""
    ledger.record_intent(INTENT)
    record = ledger.record_of("sent", INSTANT)
    assert record is not None
    return record


def test_a_close_that_was_not_begun_has_no_record_and_one_listing_says_so(
    ledger: Ledger, store: Requests
) -> None:
    assert ledger.record_of("sent", INSTANT) is None
    assert store.asked_for == [f"{FOLDER}/*"]


def test_a_record_has_all_that_was_recorded(ledger: Ledger) -> None:
    record = begun(ledger)
    ledger.record_held(record, HELD)
    ledger.record_release(record, RELEASE)
    ledger.record_removal(record, LateRemoval((deletion(1),)))
    ledger.record_outcome(INTENT, outcome())
    ledger.record_revision(revision(1))
    ledger.record_revision_outcome(revision(1), outcome("b" * 64))
    ledger.record_revision(revision(2))

    assert ledger.record_of("sent", INSTANT) == CloseRecord(
        INTENT,
        outcome(),
        HELD,
        RELEASE,
        (LateRemoval((deletion(1),)),),
        (RecordedRevision(revision(1), outcome("b" * 64)), RecordedRevision(revision(2))),
    )


def test_entries_that_are_not_there_are_not_asked_for(ledger: Ledger, store: Requests) -> None:
    begun(ledger)
    store.asked_for.clear()

    ledger.record_of("sent", INSTANT)

    assert store.asked_for == [f"{FOLDER}/*", "intent.json"]


def test_what_is_known_is_not_read_again(ledger: Ledger, store: Requests) -> None:
    record = begun(ledger)
    ledger.record_held(record, HELD)
    record = ledger.again(record)
    ledger.record_release(record, RELEASE)
    store.asked_for.clear()

    assert ledger.again(record).release == RELEASE

    assert store.asked_for == [f"{FOLDER}/*", "release.json"]


def test_a_listing_that_misses_an_earlier_removal_hides_none(
    tmp_path: Path, ledger: Ledger
) -> None:
    """Names that are created while a folder is listed may be among the names, or not."""

    class Missing(FolderStore):
        def names(self, folder: str) -> Iterator[str]:
            return (name for name in super().names(folder) if "deletions-1" not in name)

    record = begun(ledger)
    for profile_id in (1, 2):
        ledger.record_removal(record, LateRemoval((deletion(profile_id),)))

    found = Ledger(Missing(tmp_path)).record_of("sent", INSTANT)

    assert found is not None
    assert [removal.deletions for removal in found.removals] == [(deletion(1),), (deletion(2),)]


def test_what_was_recorded_first_stays(ledger: Ledger) -> None:
    record = begun(ledger)
    ledger.record_held(record, HELD)
    ledger.record_held(record, Held((), 9, 9, "b" * 64, {}, {}, "later"))
    first = ledger.record_release(record, RELEASE)

    assert ledger.record_release(record, Release("another", "later", ())) == first
    assert ledger.again(record).held == HELD


# What state it is in


def test_it_waits_for_a_person_from_the_hold_to_the_release() -> None:
    assert CloseRecord(INTENT).waiting is None
    assert CloseRecord(INTENT, held=HELD).waiting == HELD
    assert CloseRecord(INTENT, held=HELD, release=RELEASE).waiting is None


def test_a_released_drop_has_the_bytes_that_were_held() -> None:
    released = CloseRecord(INTENT, held=HELD, release=RELEASE)

    released.refuse_other_bytes(HELD.sha256)
    with pytest.raises(LedgerError, match=f"was held with sha256 {HELD.sha256}, this run made bb"):
        released.refuse_other_bytes("b" * 64)


def test_it_has_others_where_somebody_was_deleted_since() -> None:
    release = Release("a holiday", "now", (deletion(1),))

    CloseRecord(INTENT, held=HELD, release=release).refuse_other_bytes("b" * 64)


def test_the_latest_drop_is_the_last_revision_that_was_finished() -> None:
    finished = [RecordedRevision(revision(n), outcome(f"{n}" * 64)) for n in (1, 2)]
    record = CloseRecord(INTENT, outcome(), revisions=(*finished, RecordedRevision(revision(3))))

    assert CloseRecord(INTENT).latest is None
    assert CloseRecord(INTENT, outcome()).latest == LatestDrop(INTENT, outcome())
    assert record.latest == LatestDrop(revision(2).intent, outcome("2" * 64), revision(2))
    assert [record.outcome_of(n) for n in range(4)] == [
        outcome(),
        outcome("1" * 64),
        outcome("2" * 64),
        None,
    ]


# What decides its bytes

growing = st.lists(st.integers(1, 9), max_size=5).map(
    lambda sizes: [tuple(map(deletion, range(sum(sizes[: n + 1])))) for n in range(len(sizes))]
)
"""What is known of deletions, time after time: each contains the one before."""
sets = st.lists(st.integers(1, 5), max_size=4, unique=True).map(
    lambda ids: tuple(map(deletion, sorted(ids)))
)


def record_with(
    at_first: tuple[Deletion, ...],
    released: tuple[Deletion, ...] | None,
    removed: Sequence[tuple[Deletion, ...]],
) -> CloseRecord:
    return CloseRecord(
        INTENT.without(at_first),
        release=None if released is None else Release("why", "now", released),
        removals=tuple(map(LateRemoval, removed)),
    )


@given(growing, st.integers(0, 5))
def test_the_last_that_was_recorded_decides_wherever_the_release_came(
    known: list[tuple[Deletion, ...]], at: int
) -> None:
    """A drop that is held may have been begun twice before: its release comes after a removal."""
    at_first, *later = [(), *known]
    released = later[min(at, len(later) - 1)] if later else None
    removed = [deletions for deletions in later if deletions is not released]

    assert record_with(at_first, released, removed).decides.deletions == [(), *known][-1]


@given(sets, st.none() | sets, st.lists(sets, max_size=3))
def test_nobody_who_was_taken_out_comes_back(
    at_first: tuple[Deletion, ...],
    released: tuple[Deletion, ...] | None,
    removed: list[tuple[Deletion, ...]],
) -> None:
    """A run that was held up may record what it knew hours ago after another that knows more."""
    decides = record_with(at_first, released, removed).decides

    recorded = {*at_first, *(released or ()), *(one for each in removed for one in each)}
    assert set(decides.deletions) == recorded
    assert len(decides.deletions) == len(recorded)


def test_a_profile_that_was_deleted_again_counts_also_where_there_are_as_many(
    ledger: Ledger,
) -> None:
    """Two deletions of one person are two."""
    record = CloseRecord(
        INTENT.without((deletion(1, 5),)),
        removals=(LateRemoval((deletion(1, 9),)),),
    )

    assert set(record.decides.deletions) == {deletion(1, 5), deletion(1, 9)}


def test_where_nothing_was_taken_out_the_intent_itself_decides() -> None:
    """Also its definition is read once then."""
    record = record_with((deletion(1),), (deletion(1),), [(deletion(1),)])

    assert record.decides is record.intent


def test_a_removal_goes_beside_those_of_other_runs(ledger: Ledger) -> None:
    """Each run counts from what it has read; none overwrites another."""
    record = begun(ledger)
    other = ledger.record_removal(record, LateRemoval((deletion(1), deletion(2))))

    late = ledger.record_removal(record, LateRemoval((deletion(1),)))

    assert late.decides == other.decides
    assert len(late.removals) == 2
