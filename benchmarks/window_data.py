"""The data of the close that is timed, written straight as stream files and coverage records.

A day of first openings: openings and clicks of interactions, some of which earlier windows saw;
300,000 profiles, of whom some go; 200 campaigns, of which some don't count. What came before the
window is in bases, made as deltadrop makes them. No Kafka is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from benchmarks.installation import (
    BATCH_ROWS,
    CLOSE,
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

_EXPORT: Final = """\
export: {name}
entity: marketing
database: shop
type: email-activities
event: OPENED
suffix: "_yyyyMMdd"
file: {{compression: {compression}}}
schedule: {{at: "06:00", time_zone: UTC}}
"""
EXPORTS: Final = {"openings-plain": "none", "openings-gzip": "gzip"}


@dataclass(frozen=True, slots=True)
class WindowScale:
    """Rows in the window, profiles, campaigns, and openings and clicks before the window."""

    rows: int = 2_000_000
    profiles: int = 300_000
    campaigns: int = 200
    earlier: int = 4_000_000


def prepare(root: Path, scale: WindowScale) -> None:
    """Write stream files, coverage, cuts and bases below a folder; the same for the same scale."""
    exports = {
        name: _EXPORT.format(name=name, compression=compression)
        for name, compression in EXPORTS.items()
    }
    installation = Installation.below(root, exports)
    randomness = np.random.default_rng(20)
    topics = []
    for kind, before, after in (
        (Kind.CAMPAIGN, _campaigns(scale), ()),
        (Kind.PROFILE, _profiles(scale), _departures(scale, randomness)),
        (Kind.EMAIL_ACTIVITY, *_activities(scale, randomness)),
    ):
        database = None if kind is Kind.CAMPAIGN else "shop"
        topics.append(Topic(kind, database, prefix=installation.prefix))
        installation.fill(topics[-1], {START: before, CLOSE: after})
    installation.take_cuts()
    installation.sinks.rebase.remake_where_due(topics, START)


def _campaigns(scale: WindowScale) -> Iterator[Columns]:
    ids = np.arange(1, scale.campaigns + 1)
    ended = ids % 10 == 0  # a tenth counts no more
    names = [f"campaign {number}" for number in ids]
    yield {
        **header(ids, "CREATED", START_MS - 50 * MS_PER_DAY + ids, np.random.default_rng(1)),
        "campaignId": pa.array(ids),
        "name": pa.array(names),
        "technicalName": pa.array([f"{name.replace(' ', '_')}_a1" for name in names]),
        "channel": pa.array(["EMAIL"] * len(ids)),
        "campaignKind": pa.array(["SCENARIZED"] * len(ids)),
        "state": pa.array(np.where(ended, "FINISHED", "ACTIVE")),
        "engine": pa.array(["CURRENT"] * len(ids)),
        "finishedAt": moments(np.full(len(ids), START_MS - 40 * MS_PER_DAY), ~ended),
        "subscription": pa.array(["newsletter"] * len(ids)),
    }


def _profiles(scale: WindowScale) -> Iterator[Columns]:
    randomness = np.random.default_rng(2)
    for ids in pieces(np.arange(1, scale.profiles + 1)):
        appended = START_MS - 40 * MS_PER_DAY + ids
        yield {
            **header(ids, "CREATED", appended, randomness),
            "profileId": pa.array(ids),
            "attributes": _attributes(ids),
            "marketingConsent": pa.array(ids % 3 > 0),
        }


def _attributes(ids: Ints) -> pa.Array:
    numbers = [str(number) for number in ids]
    texts = {
        "customerId": [f"C{number}" for number in numbers],
        "emailAddress": [f"customer.{number}@example.com" for number in numbers],
        "firstName": [f"First {number}" for number in numbers],
        "lastName": [f"Last {number}" for number in numbers],
        "city": [f"City {number[-2:]}" for number in numbers],
        "country": ["BE"] * len(numbers),
    }
    return pa.StructArray.from_arrays([pa.array(text) for text in texts.values()], list(texts))


def _departures(scale: WindowScale, randomness: np.random.Generator) -> Iterator[Columns]:
    """Deletions in the window: one profile in fifty."""
    ids = np.flatnonzero(randomness.random(scale.profiles) < 0.02) + 1
    appended = np.sort(START_MS + randomness.integers(0, MS_PER_DAY, len(ids)))
    yield {**header(ids, "DELETED", appended, randomness), "profileId": pa.array(ids)}


def _activities(
    scale: WindowScale, randomness: np.random.Generator
) -> tuple[Iterator[Columns], Iterator[Columns]]:
    """Openings and clicks before the window and in it; some interactions are in both."""
    fresh = scale.rows * 3 // 4  # so some interactions have several openings and clicks
    known = fresh // 10
    earlier = randomness.integers(-scale.earlier, known, scale.earlier) + fresh
    earlier_at = (
        START_MS - 30 * MS_PER_DAY + np.sort(randomness.integers(0, 27 * MS_PER_DAY, scale.earlier))
    )
    now = randomness.integers(fresh - known, 2 * fresh - known, scale.rows) + known
    now_at = START_MS + np.sort(randomness.integers(0, MS_PER_DAY, scale.rows))
    return (
        _openings_and_clicks(earlier, earlier_at, scale, randomness),
        _openings_and_clicks(now, now_at, scale, randomness),
    )


def _openings_and_clicks(
    interactions: Ints, appended: Ints, scale: WindowScale, randomness: np.random.Generator
) -> Iterator[Columns]:
    interactions = interactions + 2 * scale.earlier
    links = pa.array([f"https://www.example.com/products/{n}?utm_source=mail" for n in range(3000)])
    names = pa.array([f"product {n}" for n in range(3000)])
    addresses = pa.array([f"customer.{n}@example.com" for n in range(scale.profiles + 1)])
    for start in range(0, len(interactions), BATCH_ROWS):
        ids = interactions[start : start + BATCH_ROWS]
        clicked = randomness.random(len(ids)) < 0.2
        link = pa.array(randomness.integers(0, len(links), len(ids)), mask=~clicked)
        profiles = ids * 2_654_435_761 % scale.profiles + 1
        events = header(
            ids,
            np.where(clicked, "CLICKED", "OPENED"),
            appended[start : start + BATCH_ROWS],
            randomness,
        )
        yield {
            **events,
            "interactionId": pa.array(ids),
            "campaignId": pa.array(ids * 40_503 % scale.campaigns + 1),
            "profileId": pa.array(profiles),
            "emailAddress": addresses.take(pa.array(profiles)),
            "abVersion": pa.array(np.where(ids % 2, "A", "B")),
            "subscription": pa.array(np.where(ids % 3, "newsletter", "offers"), mask=ids % 7 == 0),
            "clickedUrl": links.take(link),
            "clickedUrlName": names.take(link),
        }
