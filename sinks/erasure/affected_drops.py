"""Drops that may show people whose deletion was recorded after the drop was made.

Only these are made again; whether their bytes change is seen then. A drop that an earlier pass
looked at is judged by the places of newly gone rows. A drop without such a look may have been made
while a pass ran; it is judged by the ids in its windows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from schemas.events import KINDS
from schemas.topics import Topic
from sinks.engine.event_source import clip
from sinks.erasure.places import Touched
from sinks.erasure.progress import Progress
from sinks.instants import milliseconds
from sinks.ledger.intent import Intent
from sinks.ledger.ledger import Ledger
from sinks.ledger.names import drop_id
from sinks.repair.revise import Reviser
from streams.erasure.personal import owners_of
from streams.erasure.tombstones import Integers, Tombstones
from streams.storage.stream import builtin_name

__all__ = ["may_show"]

_WAITED_CLOSES: Final = 3
"""A fact that waits for its campaign is in a drop at most this many closes after its own window."""


def may_show(
    reviser: Reviser,
    export: str,
    instant: dt.datetime,
    progress: Progress,
    touched: Touched,
) -> bool:
    """Return whether a drop may hold lines of people who are gone and weren't when it was made.

    A drop whose file isn't in the transferbox any more is out of reach, so the result is False.
    """
    latest = reviser.latest(export, instant)
    if latest is None or not latest.outcome.rows or not reviser.is_there(latest):
        return False
    intent = latest.intent
    window = _windows(reviser.ledger, intent)
    if drop_id(export, instant) in progress.settled.names:
        return _holds(window, touched)
    unknown = _unknown(intent, progress.tombstones)
    return bool(len(unknown)) and _names(reviser, intent, window, unknown)


def _windows(ledger: Ledger, intent: Intent) -> Mapping[str, Mapping[int, tuple[int, int]]]:
    """Return the drop's window, widened by windows whose facts may have waited for this drop."""
    widest = {topic: dict(bounds) for topic, bounds in intent.window.items()}
    before = [instant for instant in ledger.closes(intent.export) if instant < intent.instant]
    for instant in before[-_WAITED_CLOSES:]:
        earlier = ledger.intent(intent.export, instant)
        for topic, bounds in earlier.window.items() if earlier else ():
            for partition, (first, _) in bounds.items():
                own = widest.get(topic, {})
                if partition in own:
                    own[partition] = min(first, own[partition][0]), own[partition][1]
    return widest


def _holds(window: Mapping[str, Mapping[int, tuple[int, int]]], touched: Touched) -> bool:
    return any(
        bool(np.any((offsets >= first) & (offsets < end)))
        for topic, bounds in window.items()
        for gone in touched.get(topic, ())
        for partition, offsets in gone.items()
        for first, end in [bounds.get(partition, (0, 0))]
    )


def _unknown(intent: Intent, tombstones: Tombstones) -> Integers:
    """Return the profiles whose deletion was appended after the cut and isn't in the intent."""
    used = {deletion.profile_id: deletion.appended_at for deletion in intent.deletions}
    later = tombstones.only(tombstones.appended_at >= milliseconds(intent.instant))
    known = np.array([used.get(int(profile), -1) for profile in later.profile_ids], np.int64)
    unknown: Integers = later.profile_ids[known < later.appended_at]
    return unknown


def _names(
    reviser: Reviser,
    intent: Intent,
    window: Mapping[str, Mapping[int, tuple[int, int]]],
    profile_ids: Integers,
) -> bool:
    """Whether a record in these windows has one of these profiles."""
    partitions = reviser.closer.maker.selection.partitions
    for name, bounds in window.items():
        topic = Topic.parse(name, reviser.prefix)
        own = [choice for choice in intent.choices if choice.partition.topic == name]
        within = {c.partition: bounds[c.partition.partition] for c in own}
        chosen = [partitions.chosen(c.partition, c.tiling) for c in clip(own, within)]
        for event_type in KINDS[topic.kind].event_types:
            for piece in partitions.slices(builtin_name(topic, event_type), chosen):
                with pq.ParquetFile(piece.path) as file:
                    ids = owners_of(file.read(columns=["profileId"]))
                if np.isin(ids.drop_null().to_numpy(), profile_ids).any():
                    return True
    return False
