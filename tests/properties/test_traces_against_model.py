"""Each event's outcome has a reason that names one rule of SPEC, and the record it speaks of: what
`trace` says of drawn histories is what the naive model reads (SPEC §3, §7).

Real closes of an installation without servers, over several windows: with repeats, deletions and
new lives. `TRACES_EXAMPLES` sets how many histories; each takes some seconds of processor time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest
import yaml
from hypothesis import given, settings

from producers.encode import EventEncoder
from producers.jsonl import read_event
from producers.leaves import JSON_LEAVES
from schemas.registry.registry import wire_header
from schemas.topics import DEFAULT_PREFIX, Topic
from sinks.instants import milliseconds
from sinks.tracing.finding import StoredEvent
from sinks.tracing.verdict import Verdict, Verdicts
from streams.moments import moment_of
from streams.storage.layout import TopicPartition
from tests.model import Close, Cut, Export, History, Recorded, drops_of
from tests.model.outcomes import DUPLICATE, EXPORTED, FILTERED, ROW_GONE, SUPERSEDED
from tests.model.reasons import Reason, reasons
from tests.model.types import ROW, TYPES
from tests.properties.histories import SHOPS, catalog_of
from tests.properties.test_rules_against_model import (
    EXPORTS,
    GENERATE_ONLY,
    Plot,
    Scene,
    plots,
    published,
)
from tests.shop.offline import TOPIC_ID, OfflineShop
from tests.shop.offline import Record as Sent
from tests.shop.old_roots import TakenLetters

EXAMPLES = int(os.environ.get("TRACES_EXAMPLES", "3"))
IDS = ("profileId", "interactionId", "campaignId", "id")
WINDOWS = 3


def definitions(asked: Export, shop: str) -> dict[str, str]:
    """The files of an installation with one export."""
    database, *tables = SHOPS[shop]
    export: dict[str, Any] = {
        "export": "drawn",
        "suffix": "_yyyyMMdd_HHmmss",
        "entity": "crm",
        "database": "shop",
        "type": asked.type,
        "event": asked.event_type,
        "schedule": {"at": "06:00", "time_zone": "UTC"},
    }
    export |= {"table": asked.table.name} if asked.table else {}
    export |= {"sources": list(asked.sources)} if asked.sources else {}
    documents = {"exports/drawn.yaml": export, "tables/shop.yaml": database}
    documents |= {f"tables/{table['table']}.yaml": table for table in tables}
    days = {"firsts_days": asked.firsts_days}
    documents["deltadrop.yaml"] = {"root": "data", "close": days}
    return {name: yaml.safe_dump(document) for name, document in documents.items()}


def told_to_kafka(scene: Scene, shop: OfflineShop) -> list[Recorded]:
    """Publish a history; what breaks its contract is sent as bytes that nobody can read. Returns it
    as it stands in the topics, dead letters without their event.
    """
    encoder = EventEncoder(catalog_of(SHOPS[scene.shop]), DEFAULT_PREFIX, JSON_LEAVES)
    found: list[Recorded] = []
    for one in map(published, scene.told):
        body = {name: value for name, value in one.body.items() if value is not None}
        if body["eventType"] != "DOWNLOADED":
            body.pop("generatedAt", None)
        encoded = encoder.encode(read_event(json.dumps(body).encode()))
        refused = encoder.check([encoded])
        records = shop.log.partition(one.topic, one.partition)
        value = b"junk" if refused else wire_header(1) + encoded.datum
        event = None if refused else one.event
        found.append(replace(one, offset=len(records), event=event))
        records.append(Sent(one.appended_at, encoded.key, value))
    return found


def cut_at(told: Sequence[Recorded], instant: int) -> Cut:
    ends: dict[tuple[str, int], int] = {}
    for one in told:
        if one.appended_at < instant:
            ends[one.topic, one.partition] = one.offset + 1
    return Cut(instant, ends)


def stored(one: Recorded) -> StoredEvent:
    return StoredEvent(
        Topic.parse(one.topic),
        TopicPartition(one.topic, TOPIC_ID, one.partition),
        one.offset,
        UUID(one.body["eventId"]),
        one.type,
        one.body["source"],
        moment_of(one.occurred_at),
        moment_of(one.appended_at),
        {name: one.body[name] for name in IDS if one.body.get(name) is not None},
        (),
    )


def traced(shop: OfflineShop, events: Sequence[Recorded]) -> dict[tuple[int, int], Verdict]:
    sinks = shop.sinks
    verdicts = Verdicts(sinks.exports, sinks.reviser, sinks.closer.maker.selection)
    found = verdicts.of([stored(one) for one in events])
    return {place[1:]: verdict for place, some in found.items() for verdict in some}


def closed(scene: Scene, shop: OfflineShop, based: bool) -> tuple[History, Cut, list[Close]]:
    """Close a scene's windows, each when what came before it is stored, and no more. based: the
    later ones start from a base at the first.
    """
    told = told_to_kafka(scene, shop)
    everything = {name: list(records) for name, records in shop.log.records.items()}
    closes = []
    by_second = {close.cut.instant // 1000: close.cut.instant for close in scene.closes}
    for instant in by_second.values():  # their files are named by the second
        for name, records in everything.items():
            shop.log.records[name] = [one for one in records if one.appended_at < instant]
        shop.store_all()
        shop.close("drawn", moment_of(instant))
        if based and not closes:
            topics = shop.sinks.streams.topics.values()
            shop.sinks.rebase.remake_where_due(topics, moment_of(instant))
        closes.append(Close(cut_at(told, instant)))
    first = shop.sinks.ledger.intent("drawn", moment_of(closes[0].cut.instant))
    assert first is not None
    return History(told), cut_at(told, milliseconds(first.window_start)), closes


def is_told(verdict: Verdict, outcome: str, reason: Reason, base: Cut | None) -> bool:
    """Whether a verdict is that of the model, by the same rule and the same record: one that stands
    before a base isn't known any more.
    """
    by = reason.by
    place = None if by is None else f"{by.topic}/{by.partition}, offset {by.offset}"
    if by is not None and verdict.by is None and base is not None and base.is_after(by):
        place = None if "stands before the base of" in str(verdict.why) else place
    told = verdict.outcome, verdict.rule, verdict.by
    return told == (outcome, f"SPEC §3, {reason.rule}", place) and reason.word in str(verdict.why)


def check(plot: Plot, folder: Path) -> dict[str, set[str]]:
    """Trace every event of a plot; the rules that were named, by outcome."""
    scene = plot.scene()
    files = definitions(scene.asked, scene.shop)
    shop = OfflineShop(folder, definitions=files, dead_letters=TakenLetters())
    for name in shop.sinks.streams.topics:
        shop.log.partitions[name] = 2
    based = plot.seed % 2 == 0
    history, start, closes = closed(scene, shop, based)
    drops = drops_of(history, scene.asked, start, closes)
    found = reasons(history, scene.asked, start, closes, drops)
    judged = [one for one in history.records(scene.asked.topic) if one.position in found]
    verdicts = traced(shop, judged)
    named: dict[str, set[str]] = {}
    for position, (number, outcome, reason) in found.items():
        verdict = verdicts[position]
        base = closes[0].cut if based and number else None
        assert is_told(verdict, outcome, reason, base), (verdict, outcome, reason)
        assert verdict.close == moment_of(closes[number].cut.instant)
        named.setdefault(outcome, set()).add(reason.rule)
    return named


@given(plot=plots(EXPORTS).map(lambda one: replace(one, size=20 + one.size % 80, windows=WINDOWS)))
@settings(max_examples=EXAMPLES, deadline=None, phases=GENERATE_ONLY)
def test_a_trace_names_the_rule_and_the_record_that_the_model_finds(plot: Plot) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr("sinks.closing.rebase._WORTH_A_BASE", 1)
        check(plot, Path(folder))


ROWS = [(name, event) for name, event in EXPORTS if TYPES[name].of == ROW]


@given(plot=plots([one for one in ROWS if one[1] == "CREATION_OR_UPDATE"]))
@settings(max_examples=3 * EXAMPLES, deadline=None, phases=GENERATE_ONLY)
def test_every_event_of_a_row_comes_or_has_a_reason_by_the_text(plot: Plot) -> None:
    """In the model alone, which `trace` and drops are held against: what is filtered is a deletion,
    or an update at the moment of a creation in the same window.
    """
    scene = plot.scene()
    drops = scene.drops()
    found = reasons(scene.history, scene.asked, scene.start, scene.closes, drops)
    events = {one.position: one for one in scene.history.records(scene.asked.topic)}
    for position, (_, outcome, reason) in found.items():
        assert outcome in {EXPORTED, FILTERED, SUPERSEDED, DUPLICATE, ROW_GONE}
        if outcome == FILTERED and events[position].type != "DELETED":
            assert reason.by is not None
            assert reason.by.occurred_at == events[position].occurred_at
