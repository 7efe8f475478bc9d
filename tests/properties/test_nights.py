"""Nights in a row, with a clock that is driven: clock changes, a leap day, outages of workers and
schedulers, restarts, late events, deleted people, campaigns that are announced late, a changed
definition, topics that gain partitions. Every fact is in exactly one drop, as the naive model reads
it, and the chain of manifests has no gap.

`pytest --soak` runs a whole year; without it, the nights around each clock change and a leap day.
"""

import gc
import io
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import fastavro
import pytest
import yaml

from schemas.derive import avro_schema
from schemas.errors import DeltadropError
from schemas.events import Kind
from schemas.topics import Topic
from sinks.exports.export import Export
from sinks.ledger.lease import Keeper, Lease
from sinks.ledger.outcome import CloseOutcome
from sinks.night.reload import Installed
from sinks.night.scheduler import Scheduler
from sinks.service.under_way import ClosesUnderWay
from tests.faults.truth import cut_at, event_of
from tests.model import Close, Cut, Database, Drop, History, Recorded, drops_of, export_of
from tests.model.closes import latest_of
from tests.shop.offline import DEFINITIONS, OfflineShop

SETTINGS = """root: data
close: {delay_seconds: 30, wait_seconds: 0.05}
schedule: {retry_seconds: 60, retry_limit_seconds: 3600}
"""
HOURS = {
    "profiles": ("06:00", "Europe/Brussels"),
    "sent": ("02:30", "Europe/Brussels"),  # an hour that is skipped in spring and twice in autumn
    "opened": ("23:45", "America/New_York"),
}
TYPES = {
    "profiles": "type: profile\nevent: CREATION_OR_UPDATE",
    "sent": "type: email-activities\nevent: SENT\ncolumns: [interactionId, emailAddress]",
    "opened": "type: email-activities\nevent: OPENED",
}
LATER_COLUMNS = "columns: [interactionId, businessKey, eventTime]"
STEP = timedelta(hours=3)
PEOPLE, CAMPAIGNS = 30, (22, 23, 24)


def definition(export: str) -> str:
    at, zone = HOURS[export]
    return (
        f'export: {export}\nsuffix: "_yyyyMMdd_HHmm"\nentity: crm\ndatabase: shop\n'
        f'{TYPES[export]}\nschedule: {{at: "{at}", time_zone: {zone}}}\n'
    )


@dataclass(frozen=True)
class Period:
    """Some days, and what happens in them by day (counted from 0)."""

    first: date
    nights: int
    seed: int
    workers_down: Sequence[range] = ()
    scheduler_down: Sequence[range] = ()
    restarts: Sequence[int] = ()
    gains_partitions: int | None = None
    changes_definition: int | None = None


PERIODS = {
    "spring": Period(
        date(2027, 3, 25),
        6,
        seed=1,
        workers_down=[range(2, 3)],
        scheduler_down=[range(4, 5)],
        restarts=[1, 3],
        changes_definition=2,
    ),
    "autumn": Period(date(2027, 10, 29), 4, seed=2, gains_partitions=1, restarts=[2]),
    "leap-day": Period(date(2028, 2, 27), 4, seed=3, scheduler_down=[range(1, 3)]),
    "year": Period(
        date(2028, 1, 1),
        366,
        seed=4,
        workers_down=[range(40, 41), range(120, 123), range(300, 301)],
        scheduler_down=[range(20, 22), range(85, 87), range(200, 205), range(302, 304)],
        restarts=range(5, 366, 17),
        gains_partitions=150,
        changes_definition=210,
    ),
}


@dataclass(frozen=True)
class Told:
    """An event to come: when it is appended, and when it occurred."""

    when: datetime
    occurred: datetime
    kind: Kind
    event_type: str
    fields: dict[str, Any]


def events(period: Period) -> Iterator[Told]:
    """What is published in a period, oldest first."""
    drawn = random.Random(period.seed)
    begin = datetime.combine(period.first, time(), UTC)
    announced = {
        number: begin + timedelta(days=days)
        for number, days in zip(CAMPAIGNS, (0, 3, 90), strict=True)
    }
    for number, when in announced.items():
        yield Told(when, when, Kind.CAMPAIGN, "CREATED", {"campaignId": number})
    alive: set[int] = set()
    moments = sorted(
        begin + timedelta(days=day, milliseconds=drawn.randrange(1, 86_400_000))
        for day in range(period.nights + 1)
        for _ in range(drawn.randint(3, 8))
    )
    for number, when in enumerate(moments, 1):
        late = timedelta(hours=drawn.randrange(60)) if drawn.random() < 0.2 else timedelta()
        person = drawn.randint(1, PEOPLE)
        if drawn.random() < 0.4:
            kind, (event_type, fields) = Kind.PROFILE, _of_person(drawn, person, alive)
        else:
            kind, (event_type, fields) = Kind.EMAIL_ACTIVITY, _of_contact(drawn, person, number)
        yield Told(when, when - late, kind, event_type, fields)


def _of_person(drawn: random.Random, person: int, alive: set[int]) -> tuple[str, dict[str, Any]]:
    if person in alive and drawn.random() < 0.25:
        alive.discard(person)
        return "DELETED", {"profileId": person}
    told = {"customerId": f"C{person}", "city": drawn.choice(["Gent", "Brugge", None])}
    event_type = "UPDATED" if person in alive else "CREATED"
    alive.add(person)
    return event_type, {"profileId": person, "attributes": told}


def _of_contact(drawn: random.Random, person: int, number: int) -> tuple[str, dict[str, Any]]:
    event_type = drawn.choice(["SENT", "OPENED", "OPENED"])
    interaction = number if event_type == "SENT" else drawn.randint(max(1, number - 20), number)
    campaign = drawn.choice(CAMPAIGNS)
    return event_type, {
        "profileId": person,
        "interactionId": interaction,
        "campaignId": campaign,
        "emailAddress": f"c{person}@shop.example",
    }


@dataclass
class World:
    """The installation, the clock, and what was closed."""

    shop: OfflineShop
    now: datetime
    requested: bool = False
    deletions: dict[tuple[str, datetime], Mapping[int, int]] = field(default_factory=dict)
    closed: list[tuple[str, datetime]] = field(default_factory=list)

    def clock(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        raise AssertionError("the world decides when time passes")

    def settle(self, exports: Iterable[Export]) -> None:
        pass

    def delivered(self, export: Export, instant: datetime, outcome: CloseOutcome) -> None:
        self.closed.append((export.name, instant))
        self.deletions[export.name, instant] = latest_of(
            (one.body["profileId"], one.occurred_at)
            for one in self.stored("deltadrop.shop.profile")
            if one.type == "DELETED" and one.appended_at >= instant.timestamp() * 1000
        )

    def troubled(self, export: Export, instant: datetime, error: DeltadropError) -> None:
        pass

    def late(self, export: Export, instants: Sequence[datetime]) -> None:
        pass

    def revised(self, exports: Iterable[Export]) -> None:
        pass

    def revision_failed(
        self, exports: Iterable[Export], export: str, instant: datetime, error: DeltadropError
    ) -> None:
        pass

    def ended(self, exports: Iterable[Export]) -> None:
        pass

    def send(self) -> None:
        pass

    def recorded(self, name: str) -> Iterator[Recorded]:
        """All that a topic holds, read with fastavro alone."""
        topic = Topic.parse(name)
        schema = fastavro.parse_schema(avro_schema(topic, self.shop.sinks.streams.catalog))
        for number in range(self.shop.log.count(name)):
            for offset, record in enumerate(self.shop.log.partition(name, number)):
                datum = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), schema)
                event = event_of(name.removeprefix("deltadrop."), datum)
                yield Recorded(name, number, offset, record.appended_at, event)

    def stored(self, name: str) -> Iterator[Recorded]:
        """What the workers have stored of it."""
        for one in self.recorded(name):
            place = f"{name}/{one.partition}" if one.partition else name
            if one.offset < self.shop.stored.get(place, 0):
                yield one

    def scheduler(self) -> Scheduler:
        """A scheduler that was just started."""
        self.shop = shop = self.shop.again()
        lease = Lease(shop.sinks.ledger.store, "schedule", holder="a", seconds=1e9, now=self.clock)
        keeper = Keeper(lease, self.clock)
        keeper._try()
        folders = (shop.settings.exports, shop.settings.tables)
        installed = Installed(lambda: shop.sinks_of(shop.settings), folders)
        lanes = ClosesUnderWay(patience_seconds=600)
        return Scheduler(shop.settings, installed, keeper, self, self, self.clock, lanes)


def lived_through(period: Period, folder: Path) -> World:
    """Let a period pass."""
    (folder / "deltadrop.yaml").write_text(SETTINGS)
    tables = {name: text for name, text in DEFINITIONS.items() if name == "tables/shop.yaml"}
    exports = {f"exports/{name}.yaml": definition(name) for name in HOURS}
    begin = datetime.combine(period.first, time(), UTC)
    world = World(OfflineShop(folder, definitions={**tables, **exports}), begin)
    coming = sorted(events(period), key=lambda one: one.when)
    scheduler, done = world.scheduler(), set[str]()
    while (world.now - begin).days <= period.nights:
        day = (world.now - begin).days
        _change(period, day, world, done)
        while coming and coming[0].when <= world.now:
            told = coming.pop(0)
            world.shop.tell(told.kind, told.event_type, told.when, told.occurred, **told.fields)
        if not any(day in down for down in period.workers_down):
            world.shop.store_all()
        if day in period.restarts and f"restart {day}" not in done:
            done.add(f"restart {day}")
            scheduler = world.scheduler()
            gc.collect()  # which tests do seldom: a year's plans would take 10 GB
        if not any(day in down for down in period.scheduler_down):
            scheduler.round()
        world.now += STEP
    world.shop.store_all()
    scheduler.round()
    return world


def _change(period: Period, day: int, world: World, done: set[str]) -> None:
    if day == period.gains_partitions and "partitions" not in done:
        done.add("partitions")
        for name in world.shop.sinks.streams.topics:
            world.shop.log.partitions[name] = 2
    if day == period.changes_definition and "definition" not in done:
        done.add("definition")
        file = world.shop.settings.exports / "sent.yaml"
        changed = [
            LATER_COLUMNS if line.startswith("columns:") else line
            for line in file.read_text().splitlines()
        ]
        file.write_text("\n".join(changed) + "\n")


def due(export: str, period: Period, until: datetime) -> list[datetime]:
    """When an export closes, naively: of each local day the first quarter of an hour that shows its
    hour or a later one. The first close of all is the last that had passed at the beginning.
    """
    hour, name = HOURS[export]
    zone, at = ZoneInfo(name), time.fromisoformat(hour)
    begin = datetime.combine(period.first, time(), UTC)
    found: dict[date, datetime] = {}
    quarter = begin - timedelta(days=3)
    while quarter <= until:
        local = quarter.astimezone(zone)
        if local.time() >= at:
            found.setdefault(local.date(), quarter)
        quarter += timedelta(minutes=15)
    instants = sorted(found.values())[1:]  # the search begins within the first one's day
    passed = max(instant for instant in instants if instant <= begin)
    return [instant for instant in instants if instant >= passed]


def manifests(world: World, export: str) -> list[dict[str, Any]]:
    folder = world.shop.transferbox / export
    found = [json.loads(file.read_text()) for file in folder.glob("*.manifest.json")]
    return sorted(found, key=lambda one: str(one["window"]["end"]["utc"]))


def expected(world: World, export: str, instants: Sequence[datetime]) -> list[tuple[Drop, Drop]]:
    """The drops that the naive model reads, by the definition of the beginning and by the later."""
    folder = world.shop.folder
    database = Database.load(folder / "tables" / "shop.yaml")
    records = [one for name in world.shop.sinks.streams.topics for one in world.recorded(name)]
    closes = [
        Close(cut_at(records, instant), {"shop": world.deletions[export, instant]})
        for instant in instants
    ]
    texts = (definition(export), (folder / "exports" / f"{export}.yaml").read_text())
    both = [
        drops_of(
            History(records),
            export_of(yaml.safe_load(text), database),
            Cut(0, {}),
            closes,
        )
        for text in texts
    ]
    return list(zip(*both, strict=True))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.soak) if name == "year" else name for name in PERIODS],
)
def test_every_fact_is_in_exactly_one_drop_and_the_chain_has_no_gap(
    name: str, tmp_path: Path
) -> None:
    period = PERIODS[name]
    world = lived_through(period, tmp_path)
    for export in HOURS:
        until = world.now - STEP - timedelta(seconds=30)
        instants = due(export, period, until)
        assert [at for one, at in world.closed if one == export] == instants
        told = manifests(world, export)
        assert [one["window"]["end"]["utc"] for one in told] == [
            instant.isoformat(timespec="milliseconds") for instant in instants
        ]
        chain_is_whole(told)
        for manifest, drops in zip(told, expected(world, export, instants), strict=True):
            text = (world.shop.transferbox / export / manifest["file"]["name"]).read_text()
            drop = next(one for one in drops if header(one.text()) == header(text))
            assert text == drop.text(), manifest["drop"]
            balance = {what: n for what, n in manifest["balance"]["outcomes"].items() if n}
            assert balance == {what: n for what, n in drop.balance.items() if n}


def header(text: str) -> str:
    return text.partition("\n")[0]


def chain_is_whole(told: Sequence[dict[str, Any]]) -> None:
    """Each drop names the one before it, and its offsets begin where that one's ended."""
    for before, after in pairwise(told):
        assert after["previous_drop"] == before["drop"]
        ended = {(one["topic"], one["partition"]): one["next"] for one in before["offsets"]}
        for one in after["offsets"]:
            assert one["first"] == ended.pop((one["topic"], one["partition"]), 0)
        assert ended == {}
