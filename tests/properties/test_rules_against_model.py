"""Drops are what the naive model reads from the same records (SPEC §3), whatever happened and
whatever bases stand.

Model (`tests/model`) and rules share no code: where they differ, one of them misread SPEC. All
export types that are declared are drawn, with their event types, columns and source filters.
"""

from __future__ import annotations

import io
import os
import random
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from schemas.events import Kind
from schemas.tables import Catalog
from schemas.topics import Topic
from sinks.exports.types import EXPORT_TYPES, columns_on_offer
from sinks.rendering.layout import Layout, RenderedColumn
from sinks.rendering.render import render
from sinks.rules.columns import Column, Subject
from tests.cases.closes import NAMESPACE, Closer, CutAt, Record
from tests.engines import small_engine
from tests.model import Close, Cut, Drop, Export, History, Recorded, drops_of
from tests.model.outcomes import DEAD_LETTER, OUTCOMES
from tests.model.types import ROW, TYPES
from tests.properties.histories import (
    CLOSES,
    SHOPS,
    Teller,
    can_happen,
    catalog_of,
    deletions_since,
    model_of,
)

EXPORTS = [(name, event) for name, one in EXPORT_TYPES.items() for event in one.increments]
FILTERS = [(), ("EXTERNAL",), ("INTERNAL",), ("API", "FORM"), ("INTERNAL", "ETL")]


def test_there_are_exports_to_draw() -> None:
    assert len(EXPORTS) >= 9


@pytest.mark.parametrize("shop", SHOPS)
@pytest.mark.parametrize(("export_type", "event"), EXPORTS)
def test_the_columns_on_offer_are_those_of_the_model(
    export_type: str, event: str, shop: str
) -> None:
    asked = asked_of(export_type, event, shop)
    offer = offered(asked, catalog_of(SHOPS[shop]))
    assert [one.name for one in offer if one.chosen] == list(asked.own_columns)
    assert {one.name for one in offer} == set(asked.columns_on_offer)
    assert [one.header for one in offer if one.chosen] == asked.header


def asked_of(export_type: str, event: str, shop: str, **more: Any) -> Export:
    """The export as the model reads it; of a custom table, of the shop's of that kind."""
    database, tables = model_of(SHOPS[shop])
    declared = EXPORT_TYPES[export_type].table
    table = None if declared is None else tables[declared]
    return Export(export_type, event, database, table=table, **more)


def offered(asked: Export, catalog: Catalog) -> Sequence[Column]:
    declared = EXPORT_TYPES[asked.type]
    table = None if asked.table is None else catalog.tables["shop", asked.table.name]
    subject = Subject(catalog.databases["shop"], table)
    return columns_on_offer(declared, declared.increments[asked.event_type], subject)


def drawn(chance: random.Random, export_type: str, event: str, shop: str) -> Export:
    """An export with columns, headers and sources by chance; now and then those of its type."""
    increment = EXPORT_TYPES[export_type].increments[event]
    sources = chance.choice(FILTERS) if increment.source_filter else ()
    asked = asked_of(export_type, event, shop)
    names = [one.name for one in offered(asked, catalog_of(SHOPS[shop]))]
    columns = chance.sample(names, chance.randint(1, len(names)))
    chosen = chance.choice([(), tuple(columns), tuple(columns)])
    headers = {one: f"column {number}" for number, one in enumerate(chosen)}
    days = chance.choice([400, 400, 3])
    more = {"columns": chosen, "headers": headers, "firsts_days": days, "sources": sources}
    return asked_of(export_type, event, shop, **more)


def teller_of(asked: Export, shop: str, seed: int, size: int) -> Teller:
    """Tells most of what the export is about."""
    table = asked.table.name if asked.table else None
    return Teller(seed, size, kind_of(asked), SHOPS[shop], asked.inputs, table)


def kind_of(asked: Export) -> Kind:
    return Kind(asked.kind)


def closer_of(asked: Export, shop: str) -> Closer:
    return Closer(
        catalog_of(SHOPS[shop]),
        asked.type,
        asked.event_type,
        firsts_days=asked.firsts_days,
        of_table=asked.table.name if asked.table else None,
        sources=frozenset(asked.wanted_sources) or None,
    )


def published(record: Recorded) -> Recorded:
    """The record with its event's id as the product's has it."""
    event_id = str(uuid.uuid5(NAMESPACE, record.body["eventId"]))
    return replace(record, event={**record.body, "eventId": event_id})


def recorded(record: Recorded) -> Record:
    topic = Topic.parse(record.topic)
    return Record(topic, record.partition, record.offset, record.appended_at, record.body)


def at(cut: Cut) -> CutAt:
    offsets = {(Topic.parse(name), number): end for (name, number), end in cut.offsets.items()}
    return CutAt(cut.instant, offsets)


def text_of(asked: Export, lines: Any) -> str:
    columns = zip(asked.chosen_columns, asked.header, strict=True)
    out = io.BytesIO()
    render([lines], Layout([RenderedColumn(*named) for named in columns]), out)
    return out.getvalue().decode()


@dataclass(frozen=True)
class Scene:
    """A history, and an export that closes over it: its first window begins at `start`."""

    asked: Export
    shop: str
    told: Sequence[Recorded]
    start: Cut
    closes: Sequence[Close]

    @property
    def history(self) -> History:
        return History([published(one) for one in self.told])

    def drops(self, **more: Any) -> list[Drop]:
        return drops_of(self.history, self.asked, self.start, self.closes, **more)


@dataclass(frozen=True)
class Plot:
    """What a scene is made from. skipped: the closes before the first window; windows: how many
    there are at most; hours: how long after its cut a drop is written.
    """

    seed: int
    size: int
    export: tuple[str, str]
    shop: str
    skipped: int = 0
    windows: int = CLOSES
    hours: float = 0

    def scene(self) -> Scene:
        shop = self.shop
        if not can_happen(kind_of(asked_of(*self.export, shop)), SHOPS[shop]):
            shop = "usual"
        asked = drawn(random.Random(self.seed), *self.export, shop)
        told, cuts = teller_of(asked, shop, self.seed, self.size).history()
        closes = [Close(cut, {"shop": deletions_since(told, cut, self.hours)}) for cut in cuts]
        skipped = min(self.skipped, len(cuts) - 1)
        start = cuts[skipped - 1] if skipped else Cut(0, {})
        return Scene(asked, shop, told, start, closes[skipped:][: self.windows])


def plots(exports: Sequence[tuple[str, str]]) -> st.SearchStrategy[Plot]:
    return st.builds(
        Plot,
        seed=st.integers(0, 2**32),
        size=st.integers(1, 300),
        export=st.sampled_from(exports),
        shop=st.sampled_from(sorted(SHOPS)),
        skipped=st.sampled_from([0, 0, 1, 2]),
        windows=st.integers(1, CLOSES),
        hours=st.sampled_from([0, 0.5, 24]),
    )


EXAMPLES = int(os.environ.get("RULES_EXAMPLES", "15"))
GENERATE_ONLY = [Phase.generate]
"""A smaller size is another history: shrinking finds nothing simpler."""


def test_histories_tell_of_every_outcome() -> None:
    """But of dead letters, which no window of rows holds."""
    scenes = [Plot(seed, 150, export, "usual").scene() for export in EXPORTS for seed in range(3)]
    came = sum((Counter(drop.balance) for scene in scenes for drop in scene.drops()), Counter())
    assert set(OUTCOMES) - set(came) == {DEAD_LETTER}


@given(
    plot=plots(EXPORTS),
    based=st.lists(st.integers(0, CLOSES), min_size=CLOSES, max_size=CLOSES),
)
@settings(max_examples=EXAMPLES, deadline=None, phases=GENERATE_ONLY)
def test_drops_are_what_the_model_reads(plot: Plot, based: list[int]) -> None:
    scene = plot.scene()
    facts = [recorded(one) for one in scene.told]
    starts = [at(scene.start), *(at(close.cut) for close in scene.closes)]
    closer = closer_of(scene.asked, scene.shop)
    for number, (drop, close) in enumerate(zip(scene.drops(), scene.closes, strict=True)):
        base = starts[based[number]] if based[number] <= number else None
        gone = close.deleted_since["shop"]
        with small_engine() as engine:
            closed = closer.on(engine).close(facts, starts[number], at(close.cut), gone, base)
        assert dict(closed.outcomes) == {fact.position: what for fact, what in drop.outcomes}
        assert text_of(scene.asked, closed.lines) == drop.text()
        assert closed.warnings == sum(drop.warnings.values())


@given(plot=plots([one for one in EXPORTS if TYPES[one[0]].of == ROW]))
@settings(max_examples=1 + EXAMPLES // 5, deadline=None, phases=GENERATE_ONLY)
def test_initial_drops_are_what_the_model_reads(plot: Plot) -> None:
    scene = plot.scene()
    expected, first = scene.drops(initial=True)[0], scene.closes[0]
    facts = [recorded(one) for one in scene.told]
    with small_engine() as engine:
        closer = closer_of(scene.asked, scene.shop).on(engine)
        closed = closer.close_initially(facts, at(first.cut), first.deleted_since["shop"])
    assert text_of(scene.asked, closed.lines) == expected.text()
    counted = {what: number for what, number in closed.balance.items() if number}
    assert counted == {what: number for what, number in expected.balance.items() if number}
