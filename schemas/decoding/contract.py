"""The contract of events: rules beyond their Avro schema (SPEC §1 to §3, §6, §8), checked for a
whole batch at once.

`schemas/events.py` and `schemas/statuses.py` declare the rules; a `Contract` has those of one topic
of one catalog. An event with a field that its event type must not carry is refused. A field that
merely belongs to another event type is emptied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.decoding.columnar import BoolArray, Flags, IntArray
from schemas.definitions.definitions import choices
from schemas.derive import arrow_schema
from schemas.events import (
    CAMPAIGN_CHANNELS_OF_KIND,
    HEADER_FIELDS,
    KINDS,
    CampaignState,
    EventType,
    Kind,
)
from schemas.statuses import STATUS_RULES, StatusRule
from schemas.tables import Catalog, SegmentationDefinition, SegmentationKind
from schemas.topics import Topic

__all__ = ["Contract", "closed_lists"]

_Finding = tuple[BoolArray, str]
"""(mask of the batch's rows that break a rule, the reason)."""

_Check = Callable[["_Batch"], Iterator[_Finding]]


@dataclass(frozen=True, slots=True)
class _Batch:
    """A decoded batch with the position of each row's event type in its enum."""

    batch: pa.RecordBatch
    types: IntArray

    def of_types(self, wanted: BoolArray) -> BoolArray:
        """A mask of the rows with the wanted event types; wanted: a flag for each of the kind."""
        mask: BoolArray = wanted[self.types]
        return mask


class Contract:
    """The rules of one topic."""

    def __init__(self, topic: Topic, catalog: Catalog) -> None:
        columns = set(arrow_schema(topic, catalog).names)
        event_types = KINDS[topic.kind].event_types
        self._checks = [*_checks(topic, catalog, columns)]
        self._ignored = _ignored(topic.kind, columns, event_types)

    def check(self, batch: pa.RecordBatch, rows: IntArray, flags: Flags) -> pa.RecordBatch:
        """Refuse the rows that break a rule, in `flags`. Return the batch, with fields emptied that
        a row's event type doesn't carry; refused rows stay in it.

        batch: decoded columns; rows: for each row of the batch, its index in `flags`.
        """
        types = batch.column("eventType").indices.to_numpy(zero_copy_only=False)
        seen = _Batch(batch, types)
        for check in self._checks:
            for broken, reason in check(seen):
                if broken.any():
                    flags.refuse(rows[broken], reason)
        return self._without_ignored(seen)

    def _without_ignored(self, seen: _Batch) -> pa.RecordBatch:
        batch = seen.batch
        for name, wanted in self._ignored.items():
            column = batch.column(name)
            if column.null_count == len(column):
                continue
            used = seen.of_types(~wanted)
            if not (used | _nulls(column)).all():
                index = pa.array(np.arange(len(column), dtype=np.int32), mask=~used)
                batch = batch.set_column(
                    batch.schema.get_field_index(name), batch.schema.field(name), column.take(index)
                )
        return batch


def _nulls(column: pa.Array) -> BoolArray:
    if not column.null_count:
        return np.zeros(len(column), np.bool_)
    mask: BoolArray = column.is_null().to_numpy(zero_copy_only=False)
    return mask


def _true(mask: pa.Array) -> BoolArray:
    """A mask in which null is false."""
    if mask.null_count:
        mask = pc.fill_null(mask, False)
    plain: BoolArray = mask.to_numpy(zero_copy_only=False)
    return plain


def _ignored(
    kind: Kind, columns: set[str], event_types: tuple[EventType, ...]
) -> Mapping[str, BoolArray]:
    """For each payload column, a mask of the event types that don't carry it."""
    payloads = KINDS[kind].payloads
    found = {}
    for name in sorted(columns - set(HEADER_FIELDS)):
        without = np.array([name not in payloads[t].fields for t in event_types])
        if without.any():
            found[name] = without
    return found


def _checks(topic: Topic, catalog: Catalog, columns: set[str]) -> Iterator[_Check]:
    """All rules of a topic. Those that refuse most rows come first; a row is refused for the first
    rule that it breaks.
    """
    if topic.database is not None:
        yield _is_always("database", topic.database)
    if topic.table is not None:
        yield _is_always("table", topic.table)
    yield from _presence(topic.kind, columns)
    for rule in STATUS_RULES:
        if rule.kind is topic.kind:
            yield _status(rule)
    match topic.kind:
        case Kind.PROFILE:
            database = catalog.databases[str(topic.database)]
            yield _declared_items("subscriptions", database.subscriptions)
            for segmentation in database.segmentations:
                if segmentation.kind is SegmentationKind.EXCLUSIVE:
                    yield _declared_segment(segmentation)
        case Kind.SUBSCRIPTION_UPDATE:
            yield _declared("subscription", catalog.databases[str(topic.database)].subscriptions)
        case Kind.SEGMENT_TRANSITION:
            yield _transition(catalog.databases[str(topic.database)].segmentations)
        case Kind.CAMPAIGN:
            yield from (_campaign_combination, _finished_moment)
        case (
            Kind.MARKETING_CONSENT
            | Kind.EMAIL_ACTIVITY
            | Kind.SMS_ACTIVITY
            | Kind.FILE_ACTIVITY
            | Kind.ROW
        ):
            pass  # these have no rules of their own
        case _:
            assert_never(topic.kind)


def closed_lists(topic: Topic, catalog: Catalog) -> Mapping[str, str]:
    """Hints of refusals: for the reason of a value outside a closed list, the list's values.

    The reasons themselves don't have the list, as every dead letter stores its reason.
    """
    found = {
        _not_listed(rule): "choose from "
        + "; ".join(
            f"{category}: {', '.join(statuses) if statuses is not None else 'any'}"
            for category, statuses in rule.statuses.items()
        )
        for rule in STATUS_RULES
        if rule.kind is topic.kind
    }
    if topic.database is None or topic.kind is Kind.ROW:
        return found
    database = catalog.databases[topic.database]
    match topic.kind:
        case Kind.PROFILE:
            found[_holds_undeclared("subscriptions")] = choices("", database.subscriptions)
            for segmentation in database.segmentations:
                found[_no_segment(segmentation)] = choices("", segmentation.segments)
        case Kind.SUBSCRIPTION_UPDATE:
            found[_undeclared("subscription")] = choices("", database.subscriptions)
        case Kind.SEGMENT_TRANSITION:
            found[_undeclared("segment")] = choices("", (s.name for s in database.segmentations))
            for segmentation in database.segmentations:
                for side in _SIDES:
                    values = segmentation.segments or _SIMPLE_VALUES
                    found[_no_value(side, segmentation.name)] = choices("", values)
        case (
            Kind.MARKETING_CONSENT
            | Kind.EMAIL_ACTIVITY
            | Kind.SMS_ACTIVITY
            | Kind.FILE_ACTIVITY
            | Kind.CAMPAIGN
        ):
            pass
        case _:
            assert_never(topic.kind)
    return found


def _not_listed(rule: StatusRule) -> str:
    names = f"{rule.category_field}, {rule.status_field}"
    return f"fields '{names}': not in the closed list of {rule.event_type}"


def _undeclared(name: str) -> str:
    return f"field '{name}': isn't declared"


def _holds_undeclared(name: str) -> str:
    return f"field '{name}': holds one that isn't declared"


def _no_segment(segmentation: SegmentationDefinition) -> str:
    return f"field 'segments.{segmentation.name}': isn't one of its segments"


def _no_value(side: str, segmentation: str) -> str:
    return f"field '{side}': isn't a value of segmentation '{segmentation}'"


def _is_always(name: str, expected: str) -> _Check:
    reason = f"field '{name}': isn't '{expected}', whose topic this is"

    def check(seen: _Batch) -> Iterator[_Finding]:
        yield ~_true(pc.equal(seen.batch.column(name), expected)), reason

    return check


def _presence(kind: Kind, columns: set[str]) -> Iterator[_Check]:
    spec = KINDS[kind]
    for event_type, payload in spec.payloads.items():
        of_type = np.array([candidate is event_type for candidate in spec.event_types])
        for name in payload.required:
            if name in columns:
                yield _required(name, event_type, of_type)
        for name in payload.forbidden:
            yield _forbidden(name, event_type, of_type)


def _required(name: str, event_type: EventType, of_type: BoolArray) -> _Check:
    reason = f"field '{name}': is missing in {event_type}"

    def check(seen: _Batch) -> Iterator[_Finding]:
        column = seen.batch.column(name)
        if column.null_count:
            yield seen.of_types(of_type) & _nulls(column), reason

    return check


def _forbidden(name: str, event_type: EventType, of_type: BoolArray) -> _Check:
    reason = f"field '{name}': must not be in {event_type}"

    def check(seen: _Batch) -> Iterator[_Finding]:
        yield seen.of_types(of_type) & ~_nulls(seen.batch.column(name)), reason

    return check


def _status(rule: StatusRule) -> _Check:
    event_types = KINDS[rule.kind].event_types
    of_type = np.array([candidate is rule.event_type for candidate in event_types])

    def check(seen: _Batch) -> Iterator[_Finding]:
        mask = seen.of_types(of_type)
        index = np.flatnonzero(mask)
        if not index.size:
            return
        taken = pa.array(index)
        category = seen.batch.column(rule.category_field).take(taken)
        status = seen.batch.column(rule.status_field).take(taken)
        right = np.zeros(index.size, np.bool_)
        for name, statuses in rule.statuses.items():
            here = _true(pc.equal(category, name))
            right |= here if statuses is None else here & _among(status, statuses)
        broken = np.zeros(len(mask), np.bool_)
        broken[index[~right]] = True
        yield broken, _not_listed(rule)

    return check


def _among(column: pa.Array, names: Iterable[str]) -> BoolArray:
    return _true(pc.is_in(column, pa.array(list(names), pa.string()))) & ~_nulls(column)


def _declared(name: str, names: tuple[str, ...]) -> _Check:
    def check(seen: _Batch) -> Iterator[_Finding]:
        yield ~_among(seen.batch.column(name), names), _undeclared(name)

    return check


def _declared_items(name: str, names: tuple[str, ...]) -> _Check:
    def check(seen: _Batch) -> Iterator[_Finding]:
        column = seen.batch.column(name)
        wrong = ~_among(column.flatten(), names)
        broken = np.zeros(len(column), np.bool_)
        if wrong.any():
            parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
            broken[parents[wrong]] = True
        yield broken, _holds_undeclared(name)

    return check


def _declared_segment(segmentation: SegmentationDefinition) -> _Check:
    def check(seen: _Batch) -> Iterator[_Finding]:
        value = pc.struct_field(seen.batch.column("segments"), segmentation.name)
        wrong = ~_among(value, segmentation.segments) & ~_nulls(value)
        yield wrong, _no_segment(segmentation)

    return check


_SIMPLE_VALUES = ("true", "false")
_SIDES = ("previousValue", "newValue")


def _transition(segmentations: tuple[SegmentationDefinition, ...]) -> _Check:
    values = {
        segmentation.name: segmentation.segments or _SIMPLE_VALUES for segmentation in segmentations
    }

    def check(seen: _Batch) -> Iterator[_Finding]:
        segment = seen.batch.column("segment")
        yield ~_among(segment, values), _undeclared("segment")
        for name, allowed in values.items():
            here = _true(pc.equal(segment, name))
            if here.any():
                for side in _SIDES:
                    value = seen.batch.column(side)
                    wrong = here & ~_among(value, allowed) & ~_nulls(value)
                    yield wrong, _no_value(side, name)

    return check


def _campaign_combination(seen: _Batch) -> Iterator[_Finding]:
    channel = seen.batch.column("channel").cast(pa.string())
    kind = seen.batch.column("campaignKind").cast(pa.string())
    for campaign_kind, channels in CAMPAIGN_CHANNELS_OF_KIND.items():
        wrong = _true(pc.equal(kind, str(campaign_kind))) & ~_among(channel, channels)
        yield (
            wrong,
            f"a campaign of kind {campaign_kind} exists for {', '.join(sorted(channels))} only",
        )


def _finished_moment(seen: _Batch) -> Iterator[_Finding]:
    finished = _true(
        pc.equal(seen.batch.column("state").cast(pa.string()), str(CampaignState.FINISHED))
    )
    yield (
        finished & _nulls(seen.batch.column("finishedAt")),
        "field 'finishedAt': is missing in a FINISHED campaign",
    )
