"""A close reads what its window and the state beside it need, and comes to the same whatever base
the state starts from (DESIGN, *Closing a window*).

The installation is the benchmark's, small: no Kafka.
"""

import csv
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.installation import CLOSE, START, settings
from benchmarks.profile_data import BASE, ProfileScale, prepare, topic_of_profiles
from schemas.events import Kind
from sinks.instants import milliseconds
from sinks.ledger.intent import Intent
from sinks.setup import Sinks
from streams.storage.choice import Choice

# Ibis 12 asks DuckDB for a query's columns by a method that DuckDB has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

_REMEMBERED = timedelta(hours=48)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation of 1,000 profiles, 200 changes and 300 subscription updates a day."""
    folder = tmp_path_factory.mktemp("site") / "small"
    prepare(folder, ProfileScale(1_000, changes=200, facts=300))
    return folder


@pytest.fixture
def sinks(root: Path) -> Iterator[Sinks]:
    """Its parts, nothing closed yet and no base made."""
    yield Sinks.of(settings(root))
    for folder in ("ledger/exports", "transferbox", "bases"):
        shutil.rmtree(root / "var" / folder, ignore_errors=True)


def test_of_changes_only_the_window_and_what_repeats_are_told_from_is_read(sinks: Sinks) -> None:
    sinks.closer.close(sinks.exports[0], CLOSE, lambda lags: None)

    read = _choices(sinks, Kind.SUBSCRIPTION_UPDATE)
    partitions = sinks.streams.partitions
    since = milliseconds(START - _REMEMBERED)
    stored = {path: path.partition for one in read for path in partitions.coverage(one.partition)}
    told_from = {
        path for path in stored if (partitions.record(path).appended or (0, 0))[1] >= since
    }

    assert {tile.record for one in read for tile in one.tiling.tiles} == told_from
    assert 0 < len(told_from) < len(stored)


def test_a_drop_is_the_same_whatever_base_its_state_starts_from(sinks: Sinks, root: Path) -> None:
    from_nothing = sinks.closer.close(sinks.exports[0], CLOSE, lambda lags: None)
    shutil.rmtree(root / "var" / "ledger" / "exports")
    shutil.rmtree(root / "var" / "transferbox")
    profiles = topic_of_profiles(sinks.settings.kafka.topic_prefix)
    cut = sinks.cuts.recorded(profiles.name, BASE)
    assert cut is not None
    selection, intentions = sinks.rebase.selection, sinks.rebase.intentions
    base = selection.remake(profiles, cut, None, intentions.prove(cut, None))

    on_a_base = sinks.closer.close(sinks.exports[0], CLOSE, lambda lags: None)

    assert _intent(sinks).bases == {profiles.name: base.name}
    assert (on_a_base.rows, on_a_base.sha256) == (from_nothing.rows, from_nothing.sha256)


def test_profile_columns_are_those_that_were_told_last(sinks: Sinks, root: Path) -> None:
    sinks.closer.close(sinks.exports[0], CLOSE, lambda lags: None)

    balances = _balances(root)
    (file,) = (root / "var" / "transferbox").rglob("*.csv")
    with file.open(encoding="utf-8", newline="") as opened:
        lines = [(int(line["profileId"]), line) for line in csv.DictReader(opened)]
    shown = [(number, line["profile-balance"]) for number, line in lines if line["customerId"]]

    assert len(shown) > len(lines) * 3 / 4
    assert shown == [(number, balances[number]) for number, _ in shown]


def _intent(sinks: Sinks) -> Intent:
    intent = sinks.ledger.intent(sinks.exports[0].name, CLOSE)
    assert intent is not None
    return intent


def _choices(sinks: Sinks, kind: Kind) -> list[Choice]:
    prefix = sinks.settings.kafka.topic_prefix
    topics = {topic.name for topic in [sinks.exports[0].topic(prefix)] if topic.kind is kind}
    return [choice for choice in _intent(sinks).choices if choice.partition.topic in topics]


def _balances(root: Path) -> dict[int, str]:
    """The balance that each profile's last event carries."""
    events = []
    for file in (root / "var" / "streams").glob("*profile.*/**/*.parquet"):
        columns = ["_partition", "_offset", "profileId", "attributes"]
        events += pq.read_table(file, columns=columns).to_pylist()
    in_order = sorted(events, key=lambda event: (event["_partition"], event["_offset"]))
    return {
        event["profileId"]: str(event["attributes"]["balance"])
        for event in in_order
        if event["attributes"]
    }
