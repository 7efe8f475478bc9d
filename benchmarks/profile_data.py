"""The data of the close with `profile-` columns, written straight as stream files and coverage.

Millions of profiles with all that the demo shop knows of them; a base; a day of changes since the
base, then the window's: 100,000 profiles created, updated or deleted, and 100,000 subscription
updates of profiles from all over the table, as many as on each day of the month before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.installation import (
    CLOSE,
    DAY,
    MS_PER_DAY,
    START,
    START_MS,
    Columns,
    Installation,
    Ints,
    header,
    moments,
    pieces,
)
from schemas.events import Kind
from schemas.topics import Topic

BASE: Final = START - DAY
EXPORT: Final = "subscriptions"
_BASE_MS: Final = START_MS - MS_PER_DAY
_BATCH_ROWS: Final = 200_000  # what a batch of 64 MiB holds of whole profiles
_DAYS_OF_FACTS: Final = 30
_DEFINITION: Final = f"""\
export: {EXPORT}
entity: marketing
database: shop
type: profile-changes
event: SUBSCRIPTION_UPDATE
suffix: "_yyyyMMdd"
columns:
  - profileId
  - type
  - subscription
  - collectionMoment
  - collectionWay
  - collectionSource
  - eventTime
  - businessKey
  - profile-emailAddress
  - profile-birthDate
  - profile-balance
  - profile-hobbies
  - profile-lastOpening
  - profile-subscriptions
  - profile-segment-lifecycle
  - profile-marketingConsent
  - profile-creationMoment
  - profile-updateMoment
schedule: {{at: "06:00", time_zone: UTC}}
"""
_HOBBIES: Final = ("chess", "cooking", "cycling", "football", "gardening", "photography", "yoga")
_SUBSCRIPTIONS: Final = ("events", "newsletter", "offers")


@dataclass(frozen=True, slots=True)
class ProfileScale:
    """How many profiles; changes of them and facts a day."""

    profiles: int
    changes: int = 100_000
    facts: int = 100_000


def topic_of_profiles(prefix: str) -> Topic:
    """The topic whose base is made."""
    return Topic(Kind.PROFILE, "shop", prefix=prefix)


def prepare(root: Path, scale: ProfileScale) -> None:
    """Write stream files, coverage and cuts below a folder; the same for the same scale."""
    installation = Installation.below(root, {EXPORT: _DEFINITION})
    randomness = np.random.default_rng(5)
    installation.fill(
        topic_of_profiles(installation.prefix),
        {
            BASE: _profiles(scale, randomness),
            START: _changes(scale, _BASE_MS, randomness),
            CLOSE: _changes(scale, START_MS, randomness),
        },
    )
    installation.fill(
        Topic(Kind.SUBSCRIPTION_UPDATE, "shop", prefix=installation.prefix),
        {START: _earlier_updates(scale, randomness), CLOSE: _updates(scale, START_MS, randomness)},
    )
    installation.take_cuts()


def _profiles(scale: ProfileScale, randomness: np.random.Generator) -> Iterator[Columns]:
    """The creations of forty days, the last of them long enough ago for no repeat to be due."""
    for ids in pieces(np.arange(1, scale.profiles + 1), _BATCH_ROWS):
        appended = _BASE_MS - 45 * MS_PER_DAY + ids * (40 * MS_PER_DAY // scale.profiles)
        yield {**header(ids, "CREATED", appended, randomness), **_values(ids, randomness)}


def _changes(scale: ProfileScale, start: int, randomness: np.random.Generator) -> Iterator[Columns]:
    """A day of changes: nine in ten update, one in twenty creates, one in twenty deletes."""
    kinds = randomness.choice(
        ["UPDATED", "CREATED", "DELETED"], scale.changes, p=[0.90, 0.05, 0.05]
    )
    ids = randomness.integers(1, scale.profiles + 1, scale.changes)
    created = kinds == "CREATED"
    days = (start - _BASE_MS) // MS_PER_DAY
    ids[created] = scale.profiles + 1 + days * scale.changes + np.arange(created.sum())
    gone = pa.array(kinds == "DELETED")
    values = {
        name: pc.if_else(gone, pa.scalar(None, column.type), column)
        for name, column in _values(ids, randomness).items()
        if name != "profileId"
    }
    yield {
        **header(ids, kinds, _times(start, scale.changes, randomness), randomness),
        "profileId": pa.array(ids),
        **values,
    }


def _earlier_updates(scale: ProfileScale, randomness: np.random.Generator) -> Iterator[Columns]:
    for days in range(_DAYS_OF_FACTS, 0, -1):
        yield from _updates(scale, START_MS - days * MS_PER_DAY, randomness)


def _updates(scale: ProfileScale, start: int, randomness: np.random.Generator) -> Iterator[Columns]:
    """A day of subscription updates."""
    ids = randomness.integers(1, scale.profiles + 1, scale.facts)
    appended = _times(start, scale.facts, randomness)
    yield {
        **header(ids, "CHANGED", appended, randomness),
        "profileId": pa.array(ids),
        "subscription": _one_of(_SUBSCRIPTIONS, ids + appended),
        "type": _one_of(("SUBSCRIBED", "UNSUBSCRIBED"), appended),
        "collectionMoment": moments(appended),
        "collectionWay": _one_of(("form", "preference page"), ids),
        "collectionSource": _one_of(("web", "shop", "app"), ids),
    }


def _values(ids: Ints, randomness: np.random.Generator) -> Columns:
    """A whole profile, as its events carry it."""
    return {
        "profileId": pa.array(ids),
        "attributes": _attributes(ids, randomness),
        "subscriptions": _some_of(_SUBSCRIPTIONS, len(ids), randomness),
        "segments": _struct(
            {
                "vip": pa.array(ids % 20 == 0),
                "parents": pa.array(ids % 3 == 0),
                "lifecycle": _one_of(("new", "active", "sleeping", "lost"), ids),
            }
        ),
        "marketingConsent": pa.array(ids % 3 > 0),
    }


def _attributes(ids: Ints, randomness: np.random.Generator) -> pa.Array:
    numbers = pa.array(ids).cast(pa.string())
    scrambled = ids * 2_654_435_761 % (1 << 32)  # texts in order would compress too well
    codes = pa.array(scrambled).cast(pa.string())
    rows = len(ids)
    birthdays = randomness.integers(-15_000, 14_000, rows).astype(np.int32)
    purchases = _BASE_MS - randomness.integers(0, 400 * MS_PER_DAY, rows)
    contacts = _BASE_MS - randomness.integers(0, 60 * MS_PER_DAY, rows)
    return _struct(
        {
            "customerId": _text("C", numbers, ""),
            "emailAddress": _text("customer.", codes, "@mail.example.com"),
            "gsmNumber": _text("+32", pc.utf8_lpad(codes, 10, "0"), ""),
            "firstName": _one_of([f"First{n}" for n in range(500)], scrambled),
            "lastName": _one_of([f"Van der Last{n}" for n in range(20_000)], scrambled // 7),
            "birthDate": pa.array(birthdays).cast(pa.date32()),
            "postalCode": _one_of([str(n) for n in range(1000, 10_000)], scrambled // 3),
            "city": _one_of([f"City {n}" for n in range(600)], scrambled // 3),
            "country": _one_of(("BE", "FR", "NL", "LU"), scrambled // 5),
            "language": _one_of(("nl", "fr", "en", "de"), scrambled // 6),
            "points": pa.array(randomness.integers(0, 20_000, rows)),
            "balance": pa.array(randomness.integers(-100, 1000, rows)).cast(pa.decimal128(21, 2)),
            "cardHolder": pa.array(ids % 2 == 0),
            "hobbies": _some_of(_HOBBIES, rows, randomness),
            "firstPurchase": pa.array((purchases // MS_PER_DAY - 200).astype(np.int32)).cast(
                pa.date32()
            ),
            "lastPurchase": moments(purchases),
            "lastOpening": moments(contacts, ids % 4 == 0),
            "lastClick": moments(contacts + 60_000, ids % 8 > 0),
        }
    )


def _struct(columns: Columns) -> pa.Array:
    return pa.StructArray.from_arrays(list(columns.values()), list(columns))


def _times(start: int, rows: int, randomness: np.random.Generator) -> Ints:
    return start + np.sort(randomness.integers(0, MS_PER_DAY, rows))


def _text(before: str, middle: pa.Array, after: str) -> pa.Array:
    return pc.binary_join_element_wise(before, middle, after, "")


def _one_of(texts: Sequence[str], numbers: Ints) -> pa.Array:
    return pa.array(list(texts)).take(pa.array(numbers % len(texts)))


def _some_of(texts: Sequence[str], rows: int, randomness: np.random.Generator) -> pa.Array:
    """Up to three different texts a row."""
    counts = randomness.integers(0, 4, rows)
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    nth = np.arange(ends[-1]) - np.repeat(ends[:-1], counts)
    first = np.repeat(randomness.integers(0, len(texts), rows), counts)
    return pa.ListArray.from_arrays(pa.array(ends), _one_of(texts, first + nth))
