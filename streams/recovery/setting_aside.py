"""How a worker handles partitions that can't continue (SPEC §6, *One trouble, one place*).

It reports each of them once, looks from time to time whether its offsets were passed over, and
tries it again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from faust.types import TP

from schemas.errors import DeltadropError
from streams.reading.faust_transport import BatchConsumer
from streams.reading.fetch_thread import Trouble
from streams.recovery.set_aside import SetAside, SetAsides, passed_over_until
from streams.storage.layout import TopicPartition
from streams.storage.partitions import Partitions

__all__ = ["SettingAside"]

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 5.0  # how often to look whether offsets were passed over
_TRY_SECONDS: Final = 10.0  # when a partition is tried again first; then doubled up to:
_TRY_SECONDS_AT_MOST: Final = 600.0
_SHARE: Final = 20  # a look takes at most one of so many seconds: coverage can be long


@dataclass(slots=True)
class _Known:
    """A partition that was set aside. is_reported: the log has it."""

    offset: int
    is_reported: bool = False
    look_at: float = float("-inf")
    try_at: float = 0.0
    pause: float = _TRY_SECONDS


class SettingAside:
    """The partitions that a worker has set aside.

    A partition that continues is forgotten once its coverage includes the offset where it stopped.
    partitions: by topic, the store of what is read. now: a clock in seconds that never goes back.
    """

    def __init__(
        self, partitions: Mapping[str, Partitions], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._partitions = partitions
        self._now = now
        self._known: dict[TP, _Known] = {}

    @property
    def partitions(self) -> frozenset[tuple[str, int]]:
        """Topic and number of each partition that was reported as set aside."""
        return frozenset(
            (tp.topic, tp.partition) for tp, known in self._known.items() if known.is_reported
        )

    async def look(self, consumer: BatchConsumer, topic_ids: Mapping[str, UUID]) -> None:
        """Report new troubles, continue behind passed-over offsets, and try the others again when
        due.
        """
        for tp, trouble in list(consumer.troubles.items()):
            if tp.topic not in topic_ids:
                continue  # the topic was created just now
            owner = TopicPartition(tp.topic, topic_ids[tp.topic], tp.partition)
            known = self._known.get(tp)
            if known is None or known.offset != trouble.offset:
                known = self._known[tp] = _Known(trouble.offset)
            if self._now() >= known.look_at:
                await self._settle(consumer, tp, owner, trouble, known)
        for tp, known in list(self._known.items()):
            if tp not in consumer.assignment():
                del self._known[tp]  # another worker will find the trouble itself
            elif tp not in consumer.troubles and self._now() >= known.look_at:
                owner = TopicPartition(tp.topic, topic_ids[tp.topic], tp.partition)
                await self._forget_if_over(tp, owner, known)

    async def _settle(
        self,
        consumer: BatchConsumer,
        tp: TP,
        owner: TopicPartition,
        trouble: Trouble,
        known: _Known,
    ) -> None:
        began = self._now()
        until, recorded = await asyncio.to_thread(self._looked_up, owner, trouble)
        pause = max(_LOOK_SECONDS, _SHARE * (self._now() - began))
        if consumer.troubles.get(tp) is not trouble:
            return  # a rebalance came in between
        if until > trouble.offset:
            if consumer.go_on(tp, until):
                log.info("reading on behind what was passed over", **_place(tp), offset=until)
                known.look_at = self._now() + _LOOK_SECONDS
            return  # otherwise once earlier offsets are stored
        known.look_at = self._now() + pause
        if not known.is_reported:
            known.is_reported, known.try_at = True, self._now() + known.pause
            why = {"error": recorded.reason, "hint": recorded.settled_by}
            log.error("partition set aside", **_place(tp), offset=trouble.offset, **why)
        elif self._now() >= known.try_at and consumer.go_on(tp, trouble.offset):
            known.pause = min(2 * known.pause, _TRY_SECONDS_AT_MOST)
            known.try_at = self._now() + known.pause

    def _looked_up(self, owner: TopicPartition, trouble: Trouble) -> tuple[int, SetAside]:
        """Return where reading may continue, and the trouble as a record.

        If the offsets weren't passed over, record that the partition is set aside. This is repeated
        at each look, as another trouble may have been recorded before it.
        """
        partitions = self._partitions[owner.topic]
        until = passed_over_until(partitions, owner, trouble.offset)
        since = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        found = SetAside(
            owner, trouble.offset, trouble.next_offset, trouble.reason, trouble.hint, since
        )
        if until == trouble.offset:
            try:
                SetAsides(partitions).record(found)
            except DeltadropError as error:
                log.warning("that a partition is set aside isn't recorded", error=str(error))
        return until, found

    async def _forget_if_over(self, tp: TP, owner: TopicPartition, known: _Known) -> None:
        asides = SetAsides(self._partitions[tp.topic])
        known.look_at = self._now() + _LOOK_SECONDS
        if not known.is_reported:
            del self._known[tp]
            return
        if await asyncio.to_thread(asides.of, owner) is None:
            await asyncio.to_thread(asides.forget, owner)
            self._known.pop(tp, None)
            log.info("partition goes on", **_place(tp), offset=known.offset)


def _place(tp: TP) -> dict[str, object]:
    return {"topic": tp.topic, "partition": tp.partition}
