"""Rows that were stored and can't be read: found, told, and taken out (SPEC §6, *One trouble, one
place*). The files are an older release's, written by hand; all else is real but Kafka.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import UnreadableFilesError, UnreadableRowsError, WrongInputError
from schemas.events import Kind
from sinks.authoring.preview import preview_of
from sinks.commands.closes import close
from sinks.commands.erase import erase
from sinks.commands.sweep import sweep
from sinks.commands.take_out import take_out
from sinks.commands.trace import trace
from sinks.ledger.intent import Intent
from sinks.ledger.ledger import Ledger
from sinks.repair.redrop import Redropper
from sinks.repair.taking_out import TakeOut
from sinks.rules.outcome import Outcome
from sinks.service.status import status_of
from sinks.setup import Sinks
from sinks.tracing.finding import Days
from sinks.tracing.trace import TraceScope, trace_event, trace_profile
from streams.recovery.restoring import Restorer
from streams.setup import Streams
from streams.storage.layout import TopicPartition
from tests.shop.commands import exit_code_of
from tests.shop.json_page import documented
from tests.shop.offline import DEFINITIONS, TOPIC_ID, OfflineShop, at
from tests.shop.planted import campaign

MAILS = "deltadrop.shop.email-activity"
PROFILES = "deltadrop.shop.profile"
EVENT = UUID(int=5)
BEYOND = 1_770_000_000_000_000_000  # nanoseconds of February 2026, as milliseconds
REASON = "a sender wrote nanoseconds, ticket 81"
OPENINGS = """
export: openings
suffix: "_yyyyMMdd_HHmm"
entity: crm
database: shop
type: email-activities
event: OPENED
columns: [interactionId, emailAddress]
schedule: {at: "06:00", time_zone: UTC}
"""


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    """All exports, and a campaign that is known."""
    definitions = {**DEFINITIONS, "exports/openings.yaml": OPENINGS}
    shop = OfflineShop(tmp_path, definitions=definitions)
    campaign(shop, 22, 1)
    return shop


def mail(shop: OfflineShop, event_type: str, when: datetime, **telling: Any) -> int:
    return shop.tell(Kind.EMAIL_ACTIVITY, event_type, when, **{"profileId": 1, **telling})


def file_of(shop: OfflineShop, stream: str) -> Path:
    (file,) = (shop.root / "streams" / f"shop.{stream}").rglob("*.parquet")
    return file


def plant(shop: OfflineShop, stream: str, offset: int, column: str, value: pa.Array) -> Path:
    """Let a row have a value that no worker stores any more."""
    file = file_of(shop, stream)
    rows = pq.read_table(file, partitioning=None).combine_chunks()
    wanted = [one == offset for one in rows["_offset"].to_pylist()]
    assert any(wanted)
    name, _, member = column.partition(".")
    before = rows[name].chunk(0)
    if member:
        parts = dict(zip([one.name for one in before.type], before.flatten(), strict=True))
        parts[member] = _put(parts[member], wanted, value)
        after = pa.StructArray.from_arrays(list(parts.values()), fields=list(before.type))
    else:
        after = _put(before, wanted, value)
    place = rows.schema.get_field_index(name)
    with pq.ParquetWriter(file, rows.schema) as writer:
        writer.write_table(rows.set_column(place, rows.schema.field(name), after))
    return file


def _put(column: pa.Array, wanted: list[bool], value: pa.Array) -> pa.Array:
    both = pa.concat_arrays([column, value.view(column.type)])
    places = [len(column) if put else row for row, put in enumerate(wanted)]
    return both.take(pa.array(places))


def moment(value: int) -> pa.Array:
    return pa.array([value], pa.int64())


def text(value: bytes) -> pa.Array:
    return pa.array([value], pa.binary())


def nanoseconds(shop: OfflineShop) -> Path:
    """Three openings, of which the one at offset 1 occurred in the year 56 million."""
    mail(shop, "OPENED", at(2), interactionId=1)
    mail(shop, "OPENED", at(3), interactionId=2, event_id=EVENT)
    mail(shop, "OPENED", at(4), interactionId=3)
    shop.store_all()
    return plant(shop, "email-activity.OPENED", 1, "occurredAt", moment(BEYOND))


def unreadable(shop: OfflineShop, file: Path, columns: str = "occurredAt", offset: int = 1) -> str:
    return (
        f"{file.relative_to(shop.root)}: 1 stored row can't be read: offset {offset} of"
        f" {MAILS}/0 ({columns}); to go on without: deltadrop take-out {MAILS} 0 {offset}"
        " --reason '…'"
    )


def gone(shop: OfflineShop, *offsets: int, topic: str = MAILS) -> str:
    return str(taking_out(shop).rows(topic, 0, offsets, REASON))


def taking_out(shop: OfflineShop) -> TakeOut:
    streams = shop.sinks.streams
    restorer = Restorer(streams.partitions, streams.writers, streams.range_reader)
    return TakeOut(streams.partitions, restorer)


def lines(shop: OfflineShop, export: str) -> list[list[str]]:
    """The lines of the last drop of an export."""
    file = sorted((shop.transferbox / export).glob("*.csv"))[-1]
    with file.open(newline="") as opened:
        return list(csv.reader(opened))[1:]


def manifest(shop: OfflineShop, export: str) -> dict[str, Any]:
    file = sorted((shop.transferbox / export).glob("*.manifest.json"))[-1]
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def balance(shop: OfflineShop, export: str) -> dict[str, int]:
    told = manifest(shop, export)["balance"]
    outcomes: dict[str, int] = told["outcomes"]
    assert told["input"] == sum(outcomes.values())
    return {name: number for name, number in outcomes.items() if number}


@pytest.fixture
def by_commands(shop: OfflineShop, monkeypatch: pytest.MonkeyPatch) -> OfflineShop:
    """Commands work on it."""
    monkeypatch.setattr(Sinks, "of", shop.sinks_of)
    monkeypatch.setattr(Streams, "of", lambda settings: shop.sinks.streams)
    monkeypatch.chdir(shop.folder)
    return shop


def test_commands_tell_it_without_a_traceback_and_go_on_afterwards(
    by_commands: OfflineShop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = by_commands
    file, instant = nanoseconds(shop), at(6).isoformat()
    message = unreadable(shop, file)

    def run(command: Callable[[], object]) -> tuple[int, str]:
        code = exit_code_of(command)
        told = capsys.readouterr()
        return code, told.out + told.err

    closing = run(lambda: close(["openings"], at=instant))
    tracing = run(lambda: trace(str(EVENT)))
    sweeping = run(sweep)
    erasing = run(erase)
    taking = run(lambda: take_out(MAILS, 0, [1], reason=REASON, as_json=True))
    after = run(lambda: close(["openings"], at=instant))
    again = run(lambda: take_out(MAILS, 0, [1], reason=" "))

    assert closing[0] == 3
    assert f"openings at {instant}: {message}\n" in closing[1]
    assert tracing[0] == 3
    assert message in tracing[1]
    assert sweeping[0] == 3
    assert f"NOT DONE: openings@20260327T060000.000Z can't be finished: {message}\n" in sweeping[1]
    assert erasing[0] == 3
    assert f"NOT DONE: openings@20260327T060000.000Z can't be finished: {message}\n" in erasing[1]
    assert taking[0] == 0
    assert documented("take-out", taking[1][taking[1].index("{\n") :])["rows"][0]["offset"] == 1
    assert after[0] == 0
    assert again == (
        2,
        "--reason: is empty; say who decided it and why: `deltadrop trace` tells it\n",
    )
    everything = (closing, tracing, sweeping, erasing, taking, after, again)
    assert not any("Traceback" in told for _, told in everything)
    assert balance(shop, "openings") == {"dead letter": 1, "exported": 2}


def test_a_close_is_held_with_the_place_and_the_command(shop: OfflineShop) -> None:
    file = nanoseconds(shop)

    with pytest.raises(UnreadableRowsError) as held:
        shop.close("openings", at(6))

    assert str(held.value) == unreadable(shop, file)
    assert held.value.exit_code == 3


def test_an_export_that_doesnt_read_the_value_goes_on(shop: OfflineShop) -> None:
    nanoseconds(shop)

    assert [shop.close(export, at(6)).rows for export in ("stores", "texts")] == [0, 0]


def test_status_tells_it_with_the_command(shop: OfflineShop) -> None:
    file = nanoseconds(shop)
    with pytest.raises(UnreadableRowsError):
        shop.close("openings", at(6))

    (told,) = [
        one for one in status_of(shop.sinks.installation, at(7)).exports if one.export == "openings"
    ]

    assert (told.trouble, told.hint) == (
        f"held: {file.relative_to(shop.root)}: 1 stored row can't be read: offset 1 of {MAILS}/0"
        " (occurredAt)",
        f"to go on without: deltadrop take-out {MAILS} 0 1 --reason '…'",
    )


def test_a_row_that_was_taken_out_counts_as_a_dead_letter(shop: OfflineShop) -> None:
    file = nanoseconds(shop)
    mail(shop, "CLICKED", at(5), interactionId=9, clickedUrl="https://shop.example/a")
    mail(shop, "SENT", at(5), interactionId=9)
    shop.store_all()

    assert gone(shop, 1) == (
        f"{MAILS}/0, offset 1 (occurredAt): taken out: {REASON}\n"
        "it counts as a dead letter in each drop of which nothing was delivered yet\n"
        "made readable: 1 file"
    )
    shop.close_all(at(6))

    assert [line[0] for line in lines(shop, "openings")] == ["1", "3", "9"]
    assert balance(shop, "openings") == {"dead letter": 1, "exported": 3}
    assert balance(shop, "clicks") == {"dead letter": 1, "exported": 1}
    assert pq.read_table(file, partitioning=None).num_rows == 3
    told = f"1 row that can't be read was taken out: offset 1 of {MAILS}/0"
    assert manifest(shop, "openings")["warnings"][-1] == told
    assert [
        one.trouble for one in status_of(shop.sinks.installation, at(7)).exports if one.trouble
    ] == []


def test_its_event_id_still_makes_repeats(shop: OfflineShop) -> None:
    nanoseconds(shop)
    mail(shop, "OPENED", at(5), interactionId=4, event_id=EVENT)
    shop.store_all()
    gone(shop, 1)
    shop.close("openings", at(6))
    mail(shop, "OPENED", at(7), interactionId=5, event_id=EVENT)
    shop.store_all()

    shop.close("openings", at(6, 28))

    assert balance(shop, "openings") == {"duplicate": 1}
    assert lines(shop, "openings") == []


def test_its_firsts_stay_used(shop: OfflineShop) -> None:
    nanoseconds(shop)
    mail(shop, "OPENED", at(5), interactionId=2)
    shop.store_all()
    gone(shop, 1)
    shop.close("openings", at(6))
    mail(shop, "OPENED", at(7), interactionId=2)
    shop.store_all()

    first = balance(shop, "openings")
    shop.close("openings", at(6, 28))

    assert first == {"dead letter": 1, "not first": 1, "exported": 2}
    assert balance(shop, "openings") == {"not first": 1}


def test_an_earlier_opening_is_the_first_all_the_same(shop: OfflineShop) -> None:
    mail(shop, "OPENED", at(2), interactionId=1)
    mail(shop, "OPENED", at(3), interactionId=1)
    shop.store_all()
    plant(shop, "email-activity.OPENED", 1, "emailAddress", text(b"\xff"))
    gone(shop, 1)

    shop.close("openings", at(6))

    assert balance(shop, "openings") == {"dead letter": 1, "exported": 1}


def test_a_profile_is_as_its_other_events_say(shop: OfflineShop) -> None:
    shop.tell(Kind.PROFILE, "CREATED", at(1), profileId=1, attributes={"city": "Ghent"})
    shop.tell(Kind.PROFILE, "UPDATED", at(2), profileId=1, attributes={"city": "Paris"})
    shop.tell(Kind.PROFILE, "CREATED", at(3), profileId=2, attributes={"city": "Rome"})
    shop.store_all()
    plant(shop, "profile.UPDATED", 1, "attributes.city", text(b"Li\xe8ge"))
    with pytest.raises(UnreadableRowsError) as held:
        shop.close("profiles", at(6))
    assert (
        held.value.what == f"1 stored row can't be read: offset 1 of {PROFILES}/0 (attributes.city)"
    )

    gone(shop, 1, topic=PROFILES)
    shop.close("profiles", at(6))

    assert [line[6] for line in lines(shop, "profiles")] == ["Ghent", "Rome"]
    assert balance(shop, "profiles") == {"dead letter": 1, "exported": 2}


def test_a_date_that_a_close_would_write_as_empty_can_be_taken_out(shop: OfflineShop) -> None:
    born = datetime(1990, 1, 1, tzinfo=UTC).date()
    shop.tell(Kind.PROFILE, "CREATED", at(1), profileId=1, attributes={"birthDate": born})
    shop.store_all()
    day = pa.array([3_000_000], pa.int32())
    file = plant(shop, "profile.CREATED", 0, "attributes.birthDate", day)

    told = gone(shop, 0, topic=PROFILES)

    assert told.startswith(f"{PROFILES}/0, offset 0 (attributes.birthDate): taken out: {REASON}")
    (row,) = pq.read_table(file, partitioning=None)["attributes"].to_pylist()
    assert row["birthDate"] is None


def test_bases_are_made_without_it(shop: OfflineShop) -> None:
    nanoseconds(shop)
    gone(shop, 1)
    shop.close_all(at(6))
    topic = shop.sinks.streams.topics[MAILS]
    cut = shop.sinks.cuts.recorded(MAILS, at(6))
    assert cut is not None

    choices = shop.sinks.rebase.intentions.prove(cut, None)
    base = shop.sinks.rebase.selection.remake(topic, cut, None, choices)

    table = shop.root / shop.sinks.rebase.bases.table(MAILS, base.name, "interactions")
    assert sorted(pq.read_table(table)["interactionId"].to_pylist()) == [1, 2, 3]
    assert [str(one) for one in base.taken_out] == [
        f"taken-out/{MAILS}~{UUID(int=7)}/000000/{1:020d}.json"
    ]
    assert shop.sinks.rebase.bases.latest(MAILS, at(7)) == base


def test_a_base_that_holds_it_is_no_longer_used(shop: OfflineShop) -> None:
    shop.tell(Kind.PROFILE, "CREATED", at(1), profileId=1, attributes={"city": "Ghent"})
    shop.tell(Kind.PROFILE, "UPDATED", at(2), profileId=1, attributes={"city": "Paris"})
    shop.store_all()
    shop.close_all(at(6))
    topic, cut = shop.sinks.streams.topics[PROFILES], shop.sinks.cuts.recorded(PROFILES, at(6))
    assert cut is not None
    choices = shop.sinks.rebase.intentions.prove(cut, None)
    shop.sinks.rebase.selection.remake(topic, cut, None, choices)
    plant(shop, "profile.UPDATED", 1, "attributes.city", text(b"\xff"))
    gone(shop, 1, topic=PROFILES)
    shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(7), profileId=1)
    shop.store_all()

    shop.close("offers", at(6, 28))

    intent = Ledger(shop.sinks.ledger.store).intent("offers", at(6, 28))
    assert intent is not None
    assert PROFILES not in intent.bases


def test_a_close_that_was_begun_is_finished_without_it(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    nanoseconds(shop)
    with pytest.raises(UnreadableRowsError):
        shop.close("openings", at(6))
    gone(shop, 1)

    with monkeypatch.context() as broken:
        broken.setattr("sinks.closing.drop.render", _killed)
        with pytest.raises(KeyboardInterrupt):
            shop.close("openings", at(6))
    shop.again().close("openings", at(6))

    assert balance(shop, "openings") == {"dead letter": 1, "exported": 2}
    record = shop.sinks.ledger.record_of("openings", at(6))
    assert record is not None
    assert record.intent.taken_out == ()
    assert [row.offset for row in record.decides.taken_out] == [1]
    again = Redropper(shop.sinks.reviser).redrop("openings", at(6))
    assert (again.revision, again.outcome.rows) == (0, 2)


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_recorded_drop_stays_and_is_made_again_with_the_same_bytes(shop: OfflineShop) -> None:
    nanoseconds(shop)
    file = file_of(shop, "email-activity.OPENED")
    plant(shop, "email-activity.OPENED", 1, "occurredAt", moment(int(at(3).timestamp() * 1000)))
    before = shop.close("openings", at(6))
    plant(shop, "email-activity.OPENED", 1, "abVersion", text(b"\xff"))
    gone(shop, 1)
    for drop in (shop.transferbox / "openings").glob("*.csv"):
        drop.unlink()

    again = Redropper(shop.sinks.reviser).redrop("openings", at(6))

    assert before.rows == 3
    assert (again.revision, again.outcome) == (0, before)
    assert len(lines(shop, "openings")) == 3
    assert pq.read_table(file, partitioning=None)["abVersion"].to_pylist()[1] == "\ufffd"


def test_a_fact_that_waits_for_its_campaign_is_taken_out_too(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(2), interactionId=1, campaignId=99)
    mail(shop, "SENT", at(3), interactionId=2, campaignId=99)
    shop.store_all()
    assert shop.close("sent", at(6)).balance[Outcome.WAITING.label] == 2
    plant(shop, "email-activity.SENT", 0, "occurredAt", moment(BEYOND))
    gone(shop, 0)
    campaign(shop, 99, 7)
    shop.store_all()

    closed = shop.close("sent", at(6, 28))

    assert {name: n for name, n in closed.balance.items() if n} == {"dead letter": 1, "exported": 1}


def test_sweep_finishes_all_the_rest_and_tells_the_command(shop: OfflineShop) -> None:
    file = nanoseconds(shop)
    for export in ("openings", "texts"):
        shop.begin(export, at(6))

    swept = shop.sinks.sweeper.sweep()

    assert swept.closes == ["texts@20260327T060000.000Z"]
    assert swept.left == [
        f"openings@20260327T060000.000Z can't be finished: {unreadable(shop, file)}"
    ]


def test_erase_erases_all_the_rest_and_tells_the_command(shop: OfflineShop) -> None:
    shop.tell(Kind.PROFILE, "CREATED", at(1), profileId=1, attributes={"firstName": "Ann"})
    shop.tell(Kind.PROFILE, "DELETED", at(2), profileId=1)
    shop.store_all()
    assert shop.sinks.eraser.run().deletions == 1
    mail(shop, "SENT", at(1), interactionId=1, profileId=1, emailAddress="ann@shop.example")
    shop.batch(MAILS, 0, 1, knows_tombstones=False)
    shop.stored[MAILS] = 1
    shop.tell(Kind.PROFILE, "CREATED", at(3), profileId=2, attributes={"firstName": "Bob"})
    shop.store_all()
    (file,) = [
        one
        for one in (shop.root / "streams" / "shop.profile.CREATED").rglob("*.parquet")
        if 2 in pq.read_table(one, partitioning=None)["_offset"].to_pylist()
    ]
    rows = pq.read_table(file, partitioning=None)
    place = rows.schema.get_field_index("occurredAt")
    wrong = moment(BEYOND).view(rows.schema.field(place).type)
    pq.write_table(rows.set_column(place, rows.schema.field(place), wrong), file)

    report = shop.again().sinks.eraser.run()

    assert report.left == [
        "new deletions in database 'shop' aren't erased yet:"
        f" {file.relative_to(shop.root)}: 1 stored row can't be read: offset 2 of {PROFILES}/0"
        f" (occurredAt); to go on without: deltadrop take-out {PROFILES} 0 2 --reason '…'"
    ]
    assert report.topics[MAILS].values > 0
    gone(shop, 2, topic=PROFILES)
    assert shop.again().sinks.eraser.run().left == []


def test_erase_goes_on_past_a_file_that_cant_be_read(shop: OfflineShop) -> None:
    shop.tell(Kind.PROFILE, "CREATED", at(1), profileId=1, attributes={"firstName": "Ann"})
    shop.store_all()
    mail(shop, "SENT", at(2), interactionId=1, profileId=1, emailAddress="ann@shop.example")
    shop.store_all()
    shop.tell(Kind.PROFILE, "DELETED", at(3), profileId=1)
    shop.store_all()
    file = file_of(shop, "email-activity.SENT")
    file.write_bytes(b"")

    report = shop.sinks.eraser.run()

    assert report.left == [
        f"may hold data of people who are gone: {file.relative_to(shop.root)}: it is no Parquet"
        " file that can be read (Parquet file size is 0 bytes)"
    ]
    assert report.topics[PROFILES].values > 0


def test_a_row_that_was_taken_out_is_erased_as_others(shop: OfflineShop) -> None:
    shop.tell(Kind.PROFILE, "CREATED", at(1), profileId=1, attributes={"firstName": "Ann"})
    mail(shop, "SENT", at(2), interactionId=1, profileId=1, emailAddress="ann@shop.example")
    shop.store_all()
    file = plant(shop, "email-activity.SENT", 0, "occurredAt", moment(BEYOND))
    gone(shop, 0)
    shop.tell(Kind.PROFILE, "DELETED", at(3), profileId=1)
    shop.store_all()

    shop.sinks.eraser.run()

    assert pq.read_table(file, partitioning=None)["emailAddress"].to_pylist() == [None]


def test_preview_and_trace_say_it_and_go_on_without(shop: OfflineShop) -> None:
    file = nanoseconds(shop)
    export = next(one for one in shop.sinks.exports if one.name == "openings")
    message = unreadable(shop, file)
    with pytest.raises(UnreadableRowsError) as previewed:
        preview_of(shop.sinks, export, at(6))
    with pytest.raises(UnreadableRowsError) as traced:
        trace_event(shop.sinks, EVENT, Days())
    with pytest.raises(UnreadableRowsError) as of_profile:
        trace_profile(shop.sinks, 1, "shop", TraceScope())
    assert {str(one.value) for one in (previewed, traced, of_profile)} == {message}

    gone(shop, 1)

    assert preview_of(shop.sinks, export, at(6)).lines == 2
    shop.close("openings", at(6))
    found = trace_event(shop.sinks, EVENT, Days())
    assert f"(unreadable: occurredAt): {REASON}" in str(found)
    assert "\n  occurred  unreadable, source API\n" in str(found)
    assert found.to_json()["events"][0]["occurred_at"] is None
    (traced_event,) = found.events
    (verdict,) = [one for one in traced_event.verdicts if one.export == "openings"]
    assert verdict.outcome == Outcome.DEAD_LETTER.label
    told = found.to_json()["events"][0]["taken_out"]
    assert (told["reason"], told["columns"]) == (REASON, ["occurredAt"])


def test_taking_it_out_again_changes_nothing(shop: OfflineShop) -> None:
    nanoseconds(shop)
    gone(shop, 1)
    (record,) = shop.sinks.streams.partitions.store.names("taken-out")
    content = shop.sinks.streams.partitions.store.read(record)

    again = str(taking_out(shop).rows(MAILS, 0, [1], "another reason"))

    when = json.loads(content)["taken_out_at"]
    assert again == f"{MAILS}/0, offset 1: was taken out before, {when}: {REASON}"
    assert shop.sinks.streams.partitions.store.read(record) == content


def test_a_run_that_was_killed_is_run_again(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = nanoseconds(shop)
    with monkeypatch.context() as killed:
        killed.setattr("sinks.repair.taking_out.make_readable", _killed)
        with pytest.raises(KeyboardInterrupt):
            gone(shop, 1)
    with pytest.raises(UnreadableRowsError) as held:
        shop.close("openings", at(6))
    assert str(held.value) == unreadable(shop, file)

    assert gone(shop, 1).endswith("made readable: 1 file")

    shop.close("openings", at(6))
    assert balance(shop, "openings") == {"dead letter": 1, "exported": 2}


def test_what_cant_be_taken_out_is_refused_whole(shop: OfflineShop) -> None:
    nanoseconds(shop)

    with pytest.raises(WrongInputError) as refused:
        gone(shop, 0, 1, 7)

    assert str(refused.value).splitlines() == [
        f"{MAILS}/0, offset 0: can be read; only what can't be read is taken out; `deltadrop trace`"
        " says where it went",
        f"{MAILS}/0, offset 7: isn't stored; `deltadrop status` says up to where",
    ]
    assert not list(shop.sinks.streams.partitions.store.names("taken-out"))


@pytest.mark.parametrize(
    ("topic", "partition", "message"),
    [
        (
            "deltadrop.shop.email-activities",
            0,
            "TOPIC: nothing is stored of topic 'deltadrop.shop.email-activities'; choose from"
            " deltadrop.campaign,",
        ),
        (
            MAILS,
            3,
            f"PARTITION: nothing is stored of partition 3 of topic '{MAILS}'; choose from 0",
        ),
    ],
)
def test_a_place_that_isnt_there_is_refused(
    shop: OfflineShop, topic: str, partition: int, message: str
) -> None:
    nanoseconds(shop)

    with pytest.raises(WrongInputError) as refused:
        taking_out(shop).rows(topic, partition, [1], REASON)

    assert str(refused.value).startswith(message)


def test_many_rows_are_told_in_short_and_taken_out_at_once(shop: OfflineShop) -> None:
    for number in range(12):
        mail(shop, "OPENED", at(2 + number / 10), interactionId=number)
    mail(shop, "OPENED", at(5), interactionId=50)
    shop.store_all()
    for offset in range(12):
        plant(shop, "email-activity.OPENED", offset, "occurredAt", moment(BEYOND))

    with pytest.raises(UnreadableRowsError) as held:
        shop.close("openings", at(6))
    done = taking_out(shop).all_unreadable(MAILS, 0, REASON)
    shop.close("openings", at(6))

    assert held.value.what == (
        f"12 stored rows can't be read: offset 0 of {MAILS}/0 (occurredAt), offset 1 of {MAILS}/0"
        f" (occurredAt), offset 2 of {MAILS}/0 (occurredAt) and 9 more"
    )
    assert held.value.hint == (
        f"to go on without: deltadrop take-out {MAILS} 0 --all-unreadable --reason '…'"
    )
    assert len(done.rows) == 12
    assert balance(shop, "openings") == {"dead letter": 12, "exported": 1}
    assert str(taking_out(shop).all_unreadable(MAILS, 0, REASON)) == (
        f"{MAILS}/0: all rows can be read, nothing is taken out"
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "it is missing"),
        (b"PAR1", "it is no Parquet file that can be read (Parquet file size is 4 bytes,"),
    ],
)
def test_a_file_that_cant_be_read_at_all_is_told(
    shop: OfflineShop, content: bytes | None, why: str
) -> None:
    nanoseconds(shop)
    file = file_of(shop, "email-activity.OPENED")
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(UnreadableFilesError) as held:
        shop.close("openings", at(6))
    with pytest.raises(UnreadableFilesError) as refused:
        gone(shop, 1)

    name = file.relative_to(shop.root)
    assert held.value.what.startswith(f"1 stored file can't be read: {name}: {why}")
    assert held.value.what.endswith(f" (offsets 0 to 3 of {MAILS}/0)")
    assert held.value.hint == (
        f"to read it again from Kafka: deltadrop take-out {MAILS} 0 --all-unreadable --reason '…';"
        " or restore it from a backup of the root, then run it again"
    )
    assert refused.value.where == f"{MAILS}/0, offset 1"


def test_a_broken_file_is_read_again_from_kafka(shop: OfflineShop) -> None:
    mail(shop, "OPENED", at(2), interactionId=1, emailAddress="ann@shop.example")
    mail(shop, "SENT", at(3), interactionId=2)
    mail(shop, "OPENED", at(30), interactionId=3)
    shop.store_all()
    first, second = sorted((shop.root / "streams/shop.email-activity.OPENED").rglob("*.parquet"))
    before, untouched = pq.read_table(first, partitioning=None), second.stat().st_ino
    first.write_bytes(b"PAR1")

    told = str(taking_out(shop).all_unreadable(MAILS, 0, REASON))

    assert told == f"read again from Kafka: {first.relative_to(shop.root)}"
    assert pq.read_table(first, partitioning=None) == before
    assert second.stat().st_ino == untouched
    assert len(shop.sinks.streams.partitions.coverage(TopicPartition(MAILS, TOPIC_ID, 0))) == 1


def test_a_broken_file_that_kafka_no_longer_has_is_left_and_told(shop: OfflineShop) -> None:
    nanoseconds(shop)
    file = file_of(shop, "email-activity.OPENED")
    file.unlink()
    shop.log.kept_from[MAILS] = 2

    done = taking_out(shop).all_unreadable(MAILS, 0, REASON)

    assert done.left == (
        f"{file.relative_to(shop.root)}: it is missing; offsets are no longer in Kafka; restore it"
        " from a backup of the root, then run again what failed",
    )
    assert not file.exists()


def test_a_file_isnt_replaced_by_other_rows_than_were_stored(shop: OfflineShop) -> None:
    nanoseconds(shop)
    file = file_of(shop, "email-activity.OPENED")
    file.unlink()
    shop.log.records[MAILS][1] = shop.log.records[MAILS].pop()

    done = taking_out(shop).all_unreadable(MAILS, 0, REASON)

    assert done.left == (
        f"{file.relative_to(shop.root)}: it is missing; Kafka gives 2 rows, 3 were stored: an"
        " event, or the definitions, have changed; restore it from a backup of the root, then run"
        " again what failed",
    )
    assert not file.exists()


def test_a_base_that_cant_be_read_is_told(shop: OfflineShop) -> None:
    shop.tell(Kind.PROFILE, "CREATED", at(1), profileId=1)
    shop.store_all()
    shop.close("profiles", at(6))
    topic, cut = shop.sinks.streams.topics[PROFILES], shop.sinks.cuts.recorded(PROFILES, at(6))
    assert cut is not None
    rebase = shop.sinks.rebase
    base = rebase.selection.remake(topic, cut, None, rebase.intentions.prove(cut, None))
    (shop.root / rebase.bases.table(PROFILES, base.name, "rows")).write_bytes(b"PAR1")

    with pytest.raises(UnreadableFilesError) as held:
        shop.close("profiles", at(6, 28))

    name = f"bases/v2/{PROFILES}/{base.name}/rows.parquet"
    assert held.value.what.startswith(f"1 stored file can't be read: {name}: it is no Parquet file")


def test_an_intent_keeps_what_was_taken_out(shop: OfflineShop) -> None:
    nanoseconds(shop)
    gone(shop, 1)
    shop.close("openings", at(6))
    intent = shop.sinks.ledger.intent("openings", at(6))
    assert intent is not None

    again = Intent.from_json("openings", at(6), intent.to_json())

    assert again == intent
    assert [one.offset for one in again.taken_out] == [1]
