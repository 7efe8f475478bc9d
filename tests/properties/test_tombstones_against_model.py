"""Who is gone, as erase passes find it step by step, is who is gone in the naive model."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Kind
from sinks.instants import milliseconds
from streams.erasure.tombstones import DeletionFacts
from tests.model.history import History, Recorded, by_entity
from tests.model.people import is_gone
from tests.model.rows import row_of
from tests.shop.offline import TOPIC_ID, OfflineShop, at

PROFILES = "deltadrop.shop.profile"
FOREVER = 1 << 60
EXAMPLES = int(os.environ.get("RULES_EXAMPLES", "20"))

moments = st.tuples(st.integers(0, 12), st.sampled_from([-3, -1, 0, 1]))
events = st.tuples(
    st.sampled_from(["CREATED", "UPDATED", "SNAPSHOT", "DELETED", "DELETED"]),
    st.integers(1, 2),
    st.integers(0, 9),
    moments,
)
facts = st.tuples(st.integers(1, 3), moments)


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.lists(events, max_size=9), st.lists(facts, min_size=1, max_size=6), st.randoms())
def test_passes_find_the_people_who_are_gone(
    told: list[tuple[str, int, int, tuple[int, int]]],
    asked: list[tuple[int, tuple[int, int]]],
    chance: object,
) -> None:
    history: list[Recorded] = []
    with TemporaryDirectory() as folder:
        shop = OfflineShop(Path(folder))
        topic = shop.sinks.streams.topics[PROFILES]
        deletions = shop.sinks.eraser.deletions
        for event_type, profile, number, (hour, later) in sorted(told, key=lambda one: one[3][0]):
            history.append(_publish(shop, event_type, profile, number, hour, later))
            if chance.random() < 0.3:  # type: ignore[attr-defined]
                shop.store_all()
                deletions.record(topic)
        shop.store_all()
        deletions.record(topic)
        known = shop.again().sinks.eraser.tombstones.known(PROFILES)

    kept = History(history)
    rows = {
        profile: row_of(records)
        for profile, records in by_entity(r for r in history if not kept.is_repeat(r)).items()
    }
    for profile, (hour, later) in asked:
        record = _fact(profile, hour, later)
        judged = known.gone(
            DeletionFacts(
                *(np.array([n]) for n in (profile, record.appended_at, record.occurred_at)), _NO
            ),
            FOREVER,
        )
        assert judged[0] == is_gone(record, rows.get(profile))
    for record in (one for one in history if not kept.is_repeat(one)):
        profile = record.body["profileId"]
        position = TOPIC_ID, np.array([record.partition]), np.array([record.offset])
        numbers = (np.array([n]) for n in (profile, record.appended_at, record.occurred_at))
        row, ended = rows[profile], False
        if row.deletion is not None:
            own = [one for one in history if one.body["profileId"] == profile]
            then = row_of(
                one for one in own if not kept.is_repeat(one) and one.offset <= row.deletion.offset
            )
            last = then.life[0].offset - 1 if then.life else row.deletion.offset
            ended = record.offset <= last or row.is_of_ended_life(record)
        assert known.gone(DeletionFacts(*numbers, _NO, position))[0] == ended


_NO = np.zeros(1, np.bool_)


def _publish(
    shop: OfflineShop, event_type: str, profile: int, number: int, hour: int, later: int
) -> Recorded:
    event_id = UUID(int=profile * 100 + number)
    when, occurred = at(hour), at(hour) + timedelta(hours=later)
    offset = shop.tell(
        Kind.PROFILE, event_type, when, occurred, event_id=event_id, profileId=profile
    )
    body = {
        "kind": "profile",
        "eventType": event_type,
        "eventId": str(event_id),
        "occurredAt": occurred.isoformat(),
        "profileId": profile,
    }
    return Recorded(PROFILES, 0, offset, milliseconds(when), body)


def _fact(profile: int, hour: int, later: int) -> Recorded:
    occurred = at(hour) + timedelta(hours=later)
    body = {"occurredAt": occurred.isoformat(), "profileId": profile}
    return Recorded("deltadrop.shop.email-activity", 0, 0, milliseconds(at(hour)), body)
