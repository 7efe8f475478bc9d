"""Places of personal data, and how an erase pass empties them: partitions, bases, waiting facts.

Everything is judged as closes judge it (SPEC §3, *People who are gone*). So a close that runs at
the same time makes the same bytes, whichever version of a file it reads.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import numpy as np
import pyarrow as pa

from schemas.events import Kind
from schemas.tables import Catalog
from schemas.topics import Topic
from sinks.closing.bases import Base, Bases, BaseTable
from sinks.erasure.progress import Progress
from sinks.instants import milliseconds
from sinks.ledger.ledger import Ledger
from sinks.state.lives import VALUE_MOMENTS
from streams.erasure.files import BatchErasure, Erased, GoneRows, erase_in_file
from streams.erasure.personal import PersonalData, facts_of, judged_columns, numbers, owners_of
from streams.erasure.tombstones import DeletionFacts, Integers, Mask, Tombstones
from streams.recovery.unreadable import why_broken
from streams.storage.parquet import parquet_file, parquet_schema
from streams.storage.partitions import Partitions
from streams.storage.store import Store

__all__ = ["Places", "Touched"]

Touched = dict[str, list[GoneRows]]
"""By topic: the places of rows that were found to be of people who are gone."""

_OF_RULES: Final = frozenset({"isFirstClick"})
"""Columns of waiting facts that are neither columns of events nor begin with an underscore."""
_NEVER: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one database's data, in one pass.

    touched: the places of newly gone rows, filled by `partitions`. left: messages on files that
    can't be looked through.
    """

    profiles: Topic
    catalog: Catalog
    files: Partitions
    stored_bases: Bases
    ledger: Ledger
    progress: Progress
    touched: Touched = field(default_factory=lambda: defaultdict(list))
    left: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        """The store of all these places."""
        return self.files.store

    def partitions(self) -> dict[str, Erased]:
        """Erase in the streams' files, including those of streams and tables no longer defined."""
        erased: dict[str, Erased] = defaultdict(Erased)
        batches = self.files.files_of_batches()
        for batch, (name, topic_id) in sorted(self.files.topics_of_batches().items()):
            topic = self._own(name)
            tombstones = self.progress.to_apply(batch) if topic else Tombstones.none()
            if topic and tombstones:
                work = BatchErasure(
                    self.files,
                    topic,
                    PersonalData(topic, self.catalog),
                    self.progress.silent_until,
                    self.progress.settled.number,
                )
                files = batches.get(batch, ())
                with self._passing_over_broken(map(str, files)):
                    done, gone, last = work.erase(files, topic_id, tombstones)
                    erased[name] += done
                    if gone:
                        self.touched[name].append(gone)
                    self.progress.applied(batch, last)
        return dict(erased)

    @contextmanager
    def _passing_over_broken(self, names: Iterable[str]) -> Iterator[None]:
        """Continue after an error of files that can't be read, and add a message to `left`."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            some = list(names)
            found = zip(some, map(why_broken, self.store.local(some)), strict=True)
            broken = [f"{name}: {why}" for name, why in found if why]
            problem = "; ".join(broken) or str(error)
            self.left.append(f"may hold data of people who are gone: {problem}")

    def bases(self) -> Erased:
        """Erase in the bases of profiles and of rows that belong to them."""
        erased = Erased()
        for table in self.stored_bases.tables():
            topic = self._own(table.topic)
            if topic and self.stored_bases.is_usable(table):
                tombstones = self.progress.to_apply(str(table))
                if tombstones:
                    with self._passing_over_broken([str(table)]):
                        erased += self._base(table, topic, tombstones)
        return erased

    def waiting(self) -> Erased:
        """Erase in the facts that waited for their campaign after a close."""
        erased = Erased()
        for export, instant, name in self.ledger.waiting_files():
            if name in self.progress.settled.names and not self.progress.to_apply(name):
                continue
            intent = self.ledger.intent(export, instant)
            topic = self._own(next(iter(intent.window))) if intent else None
            if topic:
                tombstones = self.progress.to_apply(name)
                if tombstones:
                    with self._passing_over_broken([name]):
                        erased += self._waiting(name, topic, tombstones)
        return erased

    def _own(self, name: str) -> Topic | None:
        """Return the topic of this name if it belongs to this database; None otherwise."""
        try:
            topic = Topic.parse(name, self.profiles.prefix)
        except ValueError:
            return None
        return topic if topic.database == self.profiles.database else None

    def _base(self, table: BaseTable, topic: Topic, tombstones: Tombstones) -> Erased:
        name = str(table)
        base = self.stored_bases.base(table.topic, table.base)
        last = milliseconds(base.cut.instant) - 1
        if topic.kind is Kind.PROFILE:
            gone = _ended_since(self.store, name, base, tombstones)
        elif topic.kind is Kind.ROW:
            gone, last = _of_the_gone(self.store, name, tombstones, self.progress.silent_until)
        else:  # interactions and links: only ids and page addresses
            gone = np.zeros(0, np.bool_)
        erased = self._erase(name, topic, gone)
        self.progress.applied(name, last)
        return erased

    def _waiting(self, name: str, topic: Topic, tombstones: Tombstones) -> Erased:
        with parquet_file(self.store, name) as file:
            rows = file.read(columns=judged_columns(topic.kind))
        # All are from the topic's own rows, so its id doesn't matter.
        facts = facts_of(rows, topic.kind, UUID(int=0))
        gone = tombstones.gone(facts, self.progress.silent_until)
        erased = self._erase(name, topic, gone)
        self.progress.applied(name, int(facts.appended_at.max(initial=0)))
        return erased

    def _erase(self, name: str, topic: Topic, gone: Mask) -> Erased:
        return erase_in_file(
            self.store, name, PersonalData(topic, self.catalog), gone, _ours(self.store, name)
        )


def _ours(store: Store, name: str) -> Iterator[str]:
    """Return the columns of a base or of waiting facts that rules have added."""
    names = parquet_schema(store, name).names
    return (column for column in names if column.startswith("_") or column in _OF_RULES)


def _ended_since(store: Store, name: str, base: Base, tombstones: Tombstones) -> Mask:
    """Return which profiles of a base have lost their life since its cut.

    Their deletion was recorded after the cut, and no other life had begun before it.
    """
    with parquet_file(store, name) as file:
        ids = file.read(columns=["profileId"])["profileId"].to_numpy()
    index, has = tombstones.found(ids)
    ended = _recorded_since(
        base, tombstones, tombstones.partition, tombstones.offset, tombstones.appended_at
    )
    ended &= ~tombstones.goes_on | _recorded_since(
        base,
        tombstones,
        tombstones.life_partition,
        tombstones.life_offset,
        tombstones.life_appended_at,
    )
    gone: Mask = has & ended[index]
    return gone


def _recorded_since(
    base: Base,
    tombstones: Tombstones,
    partition: Integers,
    offset: Integers,
    appended_at: Integers,
) -> Mask:
    """Return which events were recorded after a base's cut; each is given with its tombstone's
    topic.
    """
    ends = np.array([*base.cut.offsets, 0], np.int64)  # newer partitions begin after the cut
    place = np.minimum(partition, len(ends) - 1)
    same = np.array([topic_id == base.cut.topic_id for topic_id in (*tombstones.topic_ids, None)])
    by_clock = appended_at >= milliseconds(base.cut.instant)
    since: Mask = np.where(same[tombstones.topic], offset >= ends[place], by_clock)
    return since


def _of_the_gone(
    store: Store, name: str, tombstones: Tombstones, silent_until: int | None
) -> tuple[Mask, int]:
    """Return the rows of a base about people who are gone, and the base's latest append time."""
    with parquet_file(store, name) as file:
        rows = file.read(columns=["profileId", *VALUE_MOMENTS])
    appended_at, occurred_at = (numbers(rows[moment].fill_null(_NEVER)) for moment in VALUE_MOMENTS)
    owners = owners_of(rows)
    nobodys, ids = owners.is_null().to_numpy(), owners.fill_null(0).to_numpy()
    gone = tombstones.gone(DeletionFacts(ids, appended_at, occurred_at, nobodys), silent_until)
    return gone, int(appended_at.max(initial=0))
