"""How long `trace` takes on a month of data: ``python -m benchmarks.tracing FOLDER [ROWS_A_DAY]``.

Thirty days of e-mail activities of 300,000 profiles are written below an empty folder as a worker
would store them, three exports are closed on the last two days, and then an event of the first day,
one of the last, one that isn't there and a profile are traced, each as the command does it.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.installation import (
    CLOSE,
    DAY,
    MS_PER_DAY,
    Columns,
    Installation,
    header,
    pieces,
    settings,
)
from schemas.events import Kind
from schemas.topics import Topic
from sinks.setup import Sinks
from sinks.tracing.finding import Days
from sinks.tracing.trace import Trace, TraceScope, trace_event, trace_profile

DAYS: Final = 30
PROFILES: Final = 300_000
CAMPAIGNS: Final = 200
_EXPORT: Final = """\
export: {name}
entity: marketing
database: shop
type: email-activities
event: {event}
suffix: "_yyyyMMdd"
schedule: {{at: "06:00", time_zone: UTC}}
"""
_EVENTS: Final = {"sent": "SENT", "openings": "OPENED", "clicks": "CLICKED"}


def prepare(root: Path, rows: int) -> None:
    """Write the month and close its last two days."""
    exports = {name: _EXPORT.format(name=name, event=event) for name, event in _EVENTS.items()}
    installation = Installation.below(root, exports)
    campaign = Topic(Kind.CAMPAIGN, prefix=installation.prefix)
    profile, emails = (
        Topic(kind, "shop", prefix=installation.prefix)
        for kind in (Kind.PROFILE, Kind.EMAIL_ACTIVITY)
    )
    instants = [CLOSE - DAY * number for number in reversed(range(DAYS))]
    for topic, first in ((campaign, _campaigns()), (profile, _profiles())):
        installation.fill(
            topic, {event: first if event == instants[0] else () for event in instants}
        )
    installation.fill(emails, {event: _activities(event, rows) for event in instants})
    installation.take_cuts()
    installation.sinks.rebase.remake_where_due([campaign, profile, emails], instants[-3])
    for instant in instants[-2:]:
        for export in installation.sinks.exports:
            outcome = installation.sinks.closer.close(export, instant, lambda lags: None)
            print(f"closed {outcome.file}: {outcome.rows:,} rows")


def _campaigns() -> Iterator[Columns]:
    ids = np.arange(1, CAMPAIGNS + 1)
    texts = {"channel": "EMAIL", "campaignKind": "SCENARIZED", "state": "ACTIVE"}
    yield {
        **header(ids, "CREATED", _begin() + ids, np.random.default_rng(1)),
        "campaignId": pa.array(ids),
        "name": pa.array([f"campaign {number}" for number in ids]),
        "technicalName": pa.array([f"campaign_{number}_a1" for number in ids]),
        **{name: pa.array([text] * len(ids)) for name, text in texts.items()},
        "engine": pa.array(["CURRENT"] * len(ids)),
    }


def _profiles() -> Iterator[Columns]:
    randomness = np.random.default_rng(2)
    for ids in pieces(np.arange(1, PROFILES + 1)):
        appended = np.full(len(ids), _begin())
        yield {**header(ids, "CREATED", appended, randomness), "profileId": pa.array(ids)}


def _activities(until: dt.datetime, rows: int) -> Iterator[Columns]:
    """A day before an instant: each interaction of it is sent, some are opened and clicked."""
    day = (until - CLOSE) // DAY + DAYS
    randomness = np.random.default_rng(day)
    begin = int((until - DAY).timestamp() * 1000)
    for places in pieces(np.arange(rows)):
        interactions = day * rows + places // 2
        event_types = np.where(places % 2 == 0, "SENT", randomness.choice(_LATER, len(places)))
        yield {
            **header(interactions, event_types, begin + places * MS_PER_DAY // rows, randomness),
            "interactionId": pa.array(interactions),
            "campaignId": pa.array(interactions % CAMPAIGNS + 1),
            "profileId": pa.array(interactions % PROFILES + 1),
            "emailAddress": pa.array(
                [f"customer.{interaction}@example.com" for interaction in interactions]
            ),
            "clickedUrl": pa.array(
                [f"https://shop.example/{interaction % 50}" for interaction in places]
            ),
        }


_LATER: Final = ("OPENED", "CLICKED", "BOUNCED")


def _begin() -> int:
    return int((CLOSE - DAY * (DAYS + 5)).timestamp() * 1000)


def _event(root: Path, which: int) -> UUID:
    """An opening of the first day, or of the last."""
    files = sorted((root / "var" / "streams" / "shop.email-activity.OPENED").rglob("*.parquet"))
    with pq.ParquetFile(files[which]) as file:
        return UUID(str(file.read_row_group(0, ["eventId"])["eventId"][0].as_py()))


def _timed(what: str, work: Callable[[], Trace]) -> None:
    started = time.perf_counter()
    found = work()
    outcomes = (
        ", ".join(verdict.outcome for event in found.events for verdict in event.verdicts)
        or "nothing"
    )
    print(f"{time.perf_counter() - started:6.2f} s  {what}: {outcomes}")


def main(root: Path, rows: int) -> None:
    """Prepare what isn't there, and trace."""
    if not root.exists():
        prepare(root, rows)
    sinks = Sinks.of(settings(root))
    for what, event_id in (
        ("an event of the last day", _event(root, -1)),
        ("an event of the first day", _event(root, 0)),
        ("an event that isn't there", uuid4()),
    ):
        _timed(what, lambda event=event_id: trace_event(sinks, event, Days()))  # type: ignore[misc]
    _timed("a profile", lambda: trace_profile(sinks, 4711, "shop", TraceScope()))
    scope = TraceScope(("openings",), CLOSE)
    _timed("a profile in one close", lambda: trace_profile(sinks, 4711, "shop", scope))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
