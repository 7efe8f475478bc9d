"""Why a record has its outcome: one rule by its name in SPEC §3, and the record it speaks of.

Read from SPEC's sentences and from the whole history; it takes the outcome from the model's drops.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.model.campaigns import campaigns_at
from tests.model.closes import Close
from tests.model.drop import Drop
from tests.model.drops_of_activities import is_filtered
from tests.model.exports import Export
from tests.model.firsts import earliest, remember
from tests.model.history import DAY, Cut, History, Recorded, as_appended, by_entity, entity_of
from tests.model.outcomes import DEAD_LETTER
from tests.model.rows import Row, row_of
from tests.model.types import CHANGE, TYPES


@dataclass(frozen=True)
class Reason:
    """rule: as SPEC §3 names it; by: the record that it speaks of, None where it is of none; word:
    what a reader must be told beside it.
    """

    rule: str
    by: Recorded | None = None
    word: str = ""


@dataclass(frozen=True)
class Judged:
    """One close of an export: the history, where its window begins, and the drop."""

    history: History
    export: Export
    start: Cut
    close: Close
    drop: Drop

    def reason(self, record: Recorded, outcome: str) -> Reason:
        match outcome:
            case "duplicate":
                return Reason("Facts: repeat", self._carried_before(record))
            case "filtered":
                return self._filtered(record)
            case "not first":
                return Reason("Activities: First means first recorded", self._first(record))
            case "waiting for its campaign" | "unknown campaign":
                word = f"campaign {record.body['campaignId']} has no event"
                return Reason("Activities: Unknown campaigns", word=word)
            case "inactive campaign":
                return self._inactive(record)
            case "row gone":
                return self._gone(record)
            case "already downloaded":
                return Reason("Activities: READY", self._download(record))
            case "superseded":
                return self._superseded(record)
            case "exported":
                return Reason(self._exported())
        raise AssertionError(outcome)

    @property
    def _facts(self) -> list[Recorded]:
        """What counts of the export's topic, up to the cut."""
        return self.history.facts(self.export.topic, self.close.cut)

    def _carried_before(self, record: Recorded) -> Recorded:
        same = [
            one
            for one in self.history.records(self.export.topic)
            if one.event is not None and one.body["eventId"] == record.body["eventId"]
        ]
        in_order = [one for _, one in as_appended(same)]
        return in_order[in_order.index(record) - 1]

    def _filtered(self, record: Recorded) -> Reason:
        export = self.export
        if not export.is_of_rows:
            if export.declared.of == CHANGE:
                return Reason("Source filter", word=record.body["source"])
            assert is_filtered(export, record)
            if export.declared.channel is not None:
                word = record.body["channel"]
                return Reason("Balance: filtered (channel)", word=word)
            return Reason(f"Activities: {record.type}")
        makes_lines = {
            "CREATION": ("CREATED",),
            "UPDATE": ("UPDATED",),
            "CREATION_OR_UPDATE": ("CREATED", "UPDATED"),
        }
        if record.type not in makes_lines[export.event_type]:
            return Reason("Balance: filtered (not this increment)", word=record.type)
        birth = self._row(record).life[0]
        assert birth.occurred_at == record.occurred_at
        assert not self.start.is_after(birth)
        return Reason(f"Rows: {export.event_type}", birth)

    def _first(self, record: Recorded) -> Recorded:
        by_link = record.body["kind"] == "email-activity" and self.export.event_type == "CLICKED"

        def group(one: Recorded) -> tuple[object, ...]:
            link = one.body.get("clickedUrl") if by_link else None
            return one.body["interactionId"], link

        types = ("CLICKED",) if by_link else ("OPENED", "CLICKED")
        own = [one for one in self._facts if one.type in types and group(one) == group(record)]
        before = [one for one in own if self.start.is_after(one)]
        memories = remember(self.history.facts(self.export.topic, self.start), self._lasts)
        memory = memories.get(record.body["interactionId"])
        if memory is not None and record.appended_at - memory.began < self._lasts:
            kept = [one for _, one in as_appended(before) if one.appended_at >= memory.began]
            if kept:
                return kept[0]
        rivals = [
            one
            for one in own
            if not self.start.is_after(one)
            and (memory is None or one.appended_at - memory.began >= self._lasts or by_link)
        ]
        firsts = earliest(rivals, group)
        return next(one for one in rivals if one.position in firsts)

    @property
    def _lasts(self) -> int:
        return self.export.firsts_days * DAY

    def _inactive(self, record: Recorded) -> Reason:
        campaign = campaigns_at(self.history, self.export.campaign_topic, self.close.cut)[
            record.body["campaignId"]
        ]
        said = by_entity(self.history.facts(self.export.campaign_topic, self.close.cut))
        last = said[record.body["campaignId"]][-1]
        if campaign["state"] == "DRAFT":
            word = "DRAFT"
        elif campaign["engine"] == "LEGACY":
            word = "LEGACY"
        elif campaign["campaignKind"] in ("SCENARIZED", "TRANSACTIONAL"):
            word = f"finished at {campaign['finishedAt'][:10]}"
        elif campaign.get("sentAt") is None:
            word = "no sentAt"
        else:
            word = f"sent at {campaign['sentAt'][:10]}"
        return Reason("Activities: Active campaigns only", last, word)

    def _gone(self, record: Recorded) -> Reason:
        row, own = self._row(record), self._told(record)
        deletions = [one for one in own if one.type == "DELETED"]
        if row.is_of_ended_life(record):
            latest = [one for one in deletions if one.occurred_at == row.dead_until]
            return Reason("Rows: life", latest[-1])
        if not row.is_live:
            after = [one for one in deletions if own.index(one) > own.index(record)]
            ends = [one for one in after if _ended_a_life(one, own)]
            return Reason("Rows: Only the current life counts", ends[0])
        return Reason("People who are gone: again when the file is written")

    def _download(self, record: Recorded) -> Recorded:
        own = [
            one
            for one in self._facts
            if one.type == "DOWNLOADED"
            and one.body["interactionId"] == record.body["interactionId"]
        ]
        return as_appended(own)[0][1]

    def _superseded(self, record: Recorded) -> Reason:
        row, own = self._row(record), self._told(record)
        if record not in row.life:
            later = own[own.index(record) + 1 :]
            ends = [
                one
                for one in later
                if (one.type == "DELETED" and _ended_a_life(one, own))
                or (one.type == "CREATED" and not row.is_of_ended_life(one))
            ]
            return Reason("Rows: Only the current life counts", ends[0])
        lines = [one for one in self.drop.facts if entity_of(one) == entity_of(record)]
        return Reason("Rows: One line a row", lines[0])

    def _exported(self) -> str:
        export = self.export
        if export.is_of_rows:
            return f"Rows: {export.event_type}"
        if export.declared.of == CHANGE:
            return "Rows: Deletions" if export.event_type == "DELETED" else "Rows: Change events"
        with_a_rule = {*TYPES["email-activities"].events, *TYPES["print-activities"].events} - {
            "SENT"
        }
        return f"Activities: {export.event_type}" if export.event_type in with_a_rule else "Facts"

    def _told(self, record: Recorded) -> list[Recorded]:
        """All that counts of the record's row, as it was appended."""
        return by_entity(self._facts)[entity_of(record)]

    def _row(self, record: Recorded) -> Row:
        return row_of(self._told(record))


def reasons(
    history: History, export: Export, start: Cut, closes: Sequence[Close], drops: Sequence[Drop]
) -> dict[tuple[int, int], tuple[int, str, Reason]]:
    """Of each input record, by place: the number of the last close that judged it, its outcome
    there, and why. Dead letters are told elsewhere.
    """
    found: dict[tuple[int, int], tuple[int, str, Reason]] = {}
    for number, (close, drop) in enumerate(zip(closes, drops, strict=True)):
        judged = Judged(history, export, start, close, drop)
        for record, outcome in drop.outcomes:
            if outcome != DEAD_LETTER:
                found[record.position] = number, outcome, judged.reason(record, outcome)
        start = close.cut
    return found


def _ended_a_life(deletion: Recorded, own: list[Recorded]) -> bool:
    """Whether a row lived when a deletion was recorded, and not any more then."""
    number = own.index(deletion)
    return row_of(own[:number]).is_live and not row_of(own[: number + 1]).is_live
