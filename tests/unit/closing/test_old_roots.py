"""What an older release has stored, today's code opens, goes on with and makes again (SPEC §3, §7).

The roots are made by those releases' code: tests/fixtures/README.md.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest

from sinks.commands.lines import history_lines
from sinks.instants import stamp
from sinks.ledger.intent import Intent
from sinks.repair.redrop import Redropper
from sinks.rules.outcome import Outcome
from sinks.service.history import history_entry
from sinks.service.status import status_of
from sinks.tracing.finding import Days
from sinks.tracing.trace import TraceScope, trace_event, trace_profile
from tests.fixtures.generate_root import (
    ANN,
    CARL,
    CLOSES,
    GUS,
    HAL,
    in_transferbox,
    night_after,
)
from tests.shop.offline import OfflineShop, at
from tests.shop.old_roots import MENDED_RULES, OldRoot, TakenLetters, taken_out_of
from tests.shop.planted import finds

MANIFEST = ".manifest.json"
EXPORTED_LATER = "waiting for its campaign"
REPEATED = UUID(int=0xABCDEF)


@pytest.fixture(scope="module", params=sorted(MENDED_RULES))
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OldRoot:
    """A root as its release left it; nothing may change it."""
    return taken_out_of(request.param, tmp_path_factory.mktemp("old"))


@pytest.fixture
def shop(old: OldRoot, tmp_path: Path) -> OfflineShop:
    """Its own copy."""
    return old.copied(tmp_path / "shop")


@pytest.fixture(scope="module")
def after(old: OldRoot, tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """The installation a night later, closed by today's code."""
    shop = old.copied(tmp_path_factory.mktemp("after"))
    night_after(shop)
    return shop


def closed(shop: OfflineShop) -> Iterator[Intent]:
    """What decided each drop that was delivered, an export's oldest first."""
    ledger = shop.sinks.ledger
    for export in ledger.exports():
        for instant in ledger.closes(export):
            intent = ledger.intent(export, instant)
            if intent is not None and ledger.outcome(export, instant) is not None:
                yield intent


def manifests(files: Mapping[str, bytes]) -> Iterator[dict[str, Any]]:
    yield from (json.loads(text) for name, text in files.items() if name.endswith(MANIFEST))


def differing(then: Mapping[str, bytes], now: Mapping[str, bytes]) -> set[str]:
    """Files that are missing or have other bytes; of manifests, what was told then must be told
    with the same words: a later release may tell more.
    """
    found = set(then) ^ set(now)
    for name in set(then) & set(now):
        if name.endswith(MANIFEST):
            told, before = json.loads(now[name]), json.loads(then[name])
            same = all(told.get(field) == value for field, value in before.items())
        else:
            same = now[name] == then[name]
        found |= set() if same else {name}
    return found


def more_late_rows(then: dict[str, bytes], now: Mapping[str, bytes]) -> Iterator[str]:
    """Name the manifests that count facts that waited as late rows, as the older release didn't,
    and let them be as they are now.
    """
    for name in sorted(name for name in set(then) & set(now) if name.endswith(MANIFEST)):
        before, told = json.loads(then[name]), json.loads(now[name])
        late = told["late_rows"]
        if before["late_rows"] != late:
            assert all(late.get(day, 0) >= rows for day, rows in before["late_rows"].items())
            then[name] = json.dumps({**before, "late_rows": late}).encode()
            yield name


def without(drops: Mapping[str, str], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files without those of some drops."""
    left = set()
    for name, content in files.items():
        if name.endswith(MANIFEST) and json.loads(content)["drop"] in drops:
            left |= {name, name.removesuffix(MANIFEST)}
    return {name: content for name, content in files.items() if name not in left}


def test_every_drop_is_made_again_with_the_bytes_that_were_recorded(
    old: OldRoot, shop: OfflineShop
) -> None:
    revised = {
        intent.drop_id
        for intent in closed(shop)
        if intent.drop_id not in old.mended
        and shop.sinks.reviser.revise(intent.export, intent.instant, "as today's code makes it")
    }

    assert revised == set()


@pytest.mark.parametrize("export", ["begun", "held", "letters", "offers"])
def test_what_a_receiver_has_lost_is_delivered_again(
    old: OldRoot, shop: OfflineShop, export: str
) -> None:
    """Also the revision of a drop from which people were erased."""
    before = in_transferbox(shop)
    shutil.rmtree(shop.transferbox / export)

    for intent in closed(shop):
        if intent.export == export and intent.drop_id not in old.mended:
            Redropper(shop.sinks.reviser).redrop(export, intent.instant)

    assert (
        differing(without(old.mended, before), without(old.mended, in_transferbox(shop))) == set()
    )


def test_what_a_mended_rule_changes_is_redropped_as_a_revision_that_names_it(
    old: OldRoot, shop: OfflineShop
) -> None:
    told = {}
    for intent in [intent for intent in closed(shop) if intent.drop_id in old.mended]:
        done = Redropper(shop.sinks.reviser).redrop(intent.export, intent.instant)
        revision = shop.sinks.ledger.revision(intent.export, intent.instant, done.revision)
        told[intent.drop_id] = revision.reason if revision and done.revision else ""

    assert [drop for drop, reason in told.items() if old.mended[drop] not in reason] == []


def test_what_is_in_the_transferbox_was_delivered(old: OldRoot) -> None:
    there = in_transferbox(old.shop)

    assert len(there) >= 70
    assert differing(there, {name: old.delivered[name] for name in there}) == set()


def test_the_next_night_delivers_what_the_older_release_would_have(
    old: OldRoot, after: OfflineShop
) -> None:
    """What was begun and what was held come too."""
    before = in_transferbox(old.shop)
    new = {name: file for name, file in in_transferbox(after).items() if name not in before}

    decided = {"held_20260328_0600.csv", "begun_20260330_0600.zip"}
    assert decided <= set(old.following)
    following, there = without(old.mended, old.following), without(old.mended, new)
    counted_anew = set(more_late_rows(following, there))
    assert counted_anew.isdisjoint(f"{name}{MANIFEST}" for name in decided)
    assert differing(following, there) == set()


def test_windows_go_on_where_the_older_release_ended_them(after: OfflineShop) -> None:
    for export in after.sinks.ledger.exports():
        intents = [intent for intent in closed(after) if intent.export == export]
        assert intents[-1].instant == at(6, 31)
        for earlier, later in pairwise(intents):
            assert later.previous_drop == earlier.drop_id
            assert later.window_start == earlier.instant
            for topic, partitions in later.window.items():
                starts = {number: first for number, (first, _) in partitions.items()}
                ends = {number: end for number, (_, end) in earlier.window[topic].items()}
                assert starts == ends


@pytest.mark.parametrize(("export", "event_type"), [("sent", "SENT"), ("clicks", "CLICKED")])
def test_each_fact_has_one_outcome_over_the_closes_of_both_releases(
    after: OfflineShop, export: str, event_type: str
) -> None:
    folder = after.root / "streams" / f"shop.email-activity.{event_type}"
    facts = len(pq.read_table(folder, columns=["_offset"], partitioning=None))
    outcomes: Counter[str] = Counter()
    for intent in closed(after):
        outcome = after.sinks.ledger.outcome(export, intent.instant)
        if intent.export == export and outcome is not None:
            outcomes.update(outcome.balance)

    letters = outcomes.pop("dead letter")
    assert letters == 3
    assert sum(outcomes.values()) - outcomes[EXPORTED_LATER] == facts


@pytest.mark.parametrize("export", ["clicks", "offers", "openings", "text-clicks"])
def test_no_fact_is_in_two_drops(after: OfflineShop, export: str) -> None:
    latest = [
        (after.transferbox / export).rglob(outcome.file)
        for intent in closed(after)
        if intent.export == export
        and (found := after.sinks.reviser.latest(export, intent.instant)) is not None
        and (outcome := found.outcome).file is not None
    ]
    facts = Counter(
        UUID(line["eventId"])
        for files in latest
        for file in files
        for line in csv.DictReader(file.read_text().splitlines())
    )

    assert len(facts) >= 4
    twice = {fact for fact, times in facts.items() if times > 1}
    assert twice == ({REPEATED} if export == "offers" else set())  # after 48 hours it's a new fact


def test_the_held_drop_is_released(after: OfflineShop) -> None:
    ledger = after.sinks.ledger
    records = {instant: ledger.record_of("held", instant) for instant in ledger.closes("held")}

    released = records[CLOSES[1]]
    assert released is not None
    assert released.held is not None
    assert released.outcome is not None
    held, outcome = released.held, released.outcome
    assert (outcome.rows, outcome.balance) == (held.rows, held.balance)
    assert not any(record and record.waiting for record in records.values())


def test_status_and_history_tell_of_it(shop: OfflineShop) -> None:
    status = status_of(shop.sinks.installation, at(8, 30))
    told = [
        line
        for export in shop.sinks.ledger.exports()
        for instant in shop.sinks.ledger.closes(export)
        for line in history_lines(history_entry(shop.sinks.ledger, export, instant))
    ]

    due = {one.export: one.due for one in status.exports if one.due}
    assert {name: len(instants) for name, instants in due.items()} == {"begun": 1, "held": 3}
    assert sum(one.end - one.covered for one in status.partitions) > 10  # not stored yet
    assert "  held: 9 rows, at most 8 are expected" in told
    assert any(f"begun  {stamp(CLOSES[3])}" in line for line in told)
    assert sum("r1" in line for line in told) >= 8


def test_it_is_swept_and_people_in_it_are_erased(shop: OfflineShop) -> None:
    swept = shop.sinks.sweeper.sweep()
    shop.store_all()
    report = shop.sinks.eraser.run()

    assert swept.closes == [f"begun@{stamp(CLOSES[3])}"]
    assert (swept.left, report.left) == ([], [])
    assert report.deletions >= 1
    assert {revised.revision for revised in report.drops} == {1, 2}
    assert finds(shop.root, f"P{GUS}-") == set()
    assert finds(shop.root, f"P{CARL}-") != set()


def test_events_of_it_are_traced_to_their_drops(shop: OfflineShop) -> None:
    sinks = shop.sinks
    trace = trace_profile(sinks, HAL, "shop", TraceScope(exports=("profiles",)))
    assert [[verdict.outcome for verdict in one.verdicts] for one in trace.events] == [
        ["exported"],
        ["filtered"],
    ]
    trace = trace_profile(sinks, ANN, "shop", TraceScope(exports=("sent",)))
    outcomes = Counter(verdict.outcome for one in trace.events for verdict in one.verdicts)
    assert outcomes["unknown campaign"] == 2

    events = trace_event(sinks, REPEATED, Days()).events
    verdicts = [[(verdict.export, verdict.outcome) for verdict in one.verdicts] for one in events]
    assert verdicts == [[("offers", "exported")], [("offers", "duplicate")]]


def test_its_log_is_stored_as_the_same_rows(old: OldRoot, tmp_path: Path) -> None:
    for name in ("tables", "exports", "streams.d", "deltadrop.yaml"):
        own = old.shop.folder / name
        (shutil.copytree if own.is_dir() else shutil.copyfile)(own, tmp_path / name)
    letters = TakenLetters()
    fresh = OfflineShop(
        tmp_path, old.shop.log, definitions={}, dead_letters=letters, schemas=old.shop.schemas
    )
    for place, end in old.shop.stored.items():
        topic, _, number = place.partition("/")
        fresh.batch(topic, 0, end, number=int(number or 0))

    def rows(shop: OfflineShop) -> dict[str, set[Any]]:
        columns = ["eventId", "_partition", "_offset", "_appended_at"]
        return {
            folder.name: {
                tuple(row.values())
                for row in pq.read_table(folder, columns=columns, partitioning=None).to_pylist()
            }
            for folder in (shop.root / "streams").iterdir()
        }

    assert rows(fresh) == rows(old.shop)
    assert len(letters.taken) == 3


def test_it_has_every_outcome_that_a_later_release_could_get_wrong(old: OldRoot) -> None:
    told = [*manifests(old.delivered), *manifests(old.following)]
    met = {name for one in told for name, rows in one["balance"]["outcomes"].items() if rows}

    assert met == {outcome.label for outcome in Outcome}
    assert any(one["late_rows"] for one in told)
