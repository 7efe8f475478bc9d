"""Where an event went (SPEC §7, *trace*): Kafka's place is taken by a log in memory."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest
import typer

from schemas.errors import DeltadropError, HeldError, PartitionError
from schemas.events import Kind
from sinks.commands import trace as trace_command
from sinks.ledger.held import Release
from sinks.ledger.ledger import Ledger
from sinks.rules.outcome import Outcome
from sinks.service import trace as trace_service
from sinks.setup import Sinks
from sinks.tracing.finding import Days
from sinks.tracing.trace import Trace, TraceScope, trace_event, trace_profile
from sinks.tracing.verdict import BEGUN, EARLIER, HELD, NOT_CLOSED, REMOVED, Verdict
from streams.dead_letters.read import Letter, LetterReader, identity_of
from streams.storage.stream import Stream
from streams.writing.dead_letter_topic import Poison
from tests.shop.json_page import documented
from tests.shop.offline import DEFINITIONS, OfflineShop, at, with_exports
from tests.shop.planted import BOB, DELETION, PLANTED, campaign, deleted, told

EVENT = UUID(int=5)
EMAILS = "deltadrop.shop.email-activity"
OPENINGS = """
export: openings
suffix: "_yyyyMMdd_HHmm"
entity: crm
database: shop
type: email-activities
event: OPENED
columns: [interactionId, eventId]
schedule: {at: "06:00", time_zone: UTC}
"""


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    """E-mail exports, and a campaign that is known."""
    definitions = {**with_exports("sent", "clicks"), "exports/openings.yaml": OPENINGS}
    shop = OfflineShop(tmp_path, definitions=definitions)
    campaign(shop, 22, 1)
    return shop


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """Three people in every export over three windows; two of them are deleted."""
    definitions = {**DEFINITIONS, "exports/openings.yaml": OPENINGS}
    shop = OfflineShop(tmp_path_factory.mktemp("story"), definitions=definitions)
    told(shop)
    deleted(shop)
    shop.close_all(at(6, 29))
    return shop


@pytest.fixture(scope="module")
def traces(story: OfflineShop) -> list[Trace]:
    """Of each of the three, all events."""
    return [trace_profile(story.sinks, one, "shop", TraceScope(most=1000)) for one in (1, 2, 3)]


def mail(shop: OfflineShop, event_type: str, when: datetime, **telling: object) -> int:
    return shop.tell(Kind.EMAIL_ACTIVITY, event_type, when, **{"profileId": 1, **telling})


def verdicts(shop: OfflineShop, event_id: UUID = EVENT) -> list[list[Verdict]]:
    return [list(one.verdicts) for one in trace_event(shop.sinks, event_id, Days()).events]


def outcomes(shop: OfflineShop, event_id: UUID = EVENT) -> list[dict[str, str]]:
    return [{one.export: one.outcome for one in some} for some in verdicts(shop, event_id)]


def test_an_event_is_told_with_its_place_its_files_and_its_window(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(2))
    offset = mail(shop, "SENT", at(3), event_id=EVENT, interactionId=12)
    end = len(shop.log.records[EMAILS])
    bounced = frozenset({"BOUNCED"})
    users = [Stream("mine", EMAILS, sources=frozenset({"API"})), Stream("no", EMAILS, bounced)]
    shop.batch(EMAILS, 0, end, more=users)
    shop.stored[EMAILS] = end
    shop.store_all()
    shop.close("sent", at(6))

    (one,) = trace_event(shop.sinks, EVENT, Days()).events

    assert (one.event.owner.topic, one.event.owner.partition) == (EMAILS, 0)
    assert (one.event.offset, one.event.appended_at) == (offset, at(3))
    assert [file.split("/")[1] for file in one.event.files] == ["shop.email-activity.SENT", "mine"]
    (verdict,) = one.verdicts
    assert (verdict.begin, verdict.end, verdict.close) == (at(-18), at(6), at(6))
    assert (verdict.outcome, verdict.drop) == ("exported", "sent@20260327T060000.000Z")
    assert verdict.file == "sent_20260327_0600.csv.gz"


def test_an_exported_event_is_told_with_its_line(shop: OfflineShop) -> None:
    for number in range(5):
        mail(shop, "OPENED", at(2 + number / 10), interactionId=number, event_id=UUID(int=number))
    mail(shop, "OPENED", at(3), interactionId=1, event_id=UUID(int=77))
    mail(shop, "OPENED", at(4), interactionId=9, event_id=EVENT)
    shop.store_all()
    shop.close("openings", at(6))

    (((verdict,),)) = verdicts(shop)

    assert verdict.file is not None
    lines = (shop.transferbox / "openings" / verdict.file).read_text().splitlines()
    assert verdict.line is not None
    assert lines[verdict.line - 1] == f"9,{EVENT}"


def test_a_row_is_told_with_its_line_by_id(tmp_path: Path) -> None:
    shop = OfflineShop(tmp_path, definitions=with_exports("profiles"))
    for number in (30, 10, 20):
        shop.tell(Kind.PROFILE, "CREATED", at(2), profileId=number, event_id=UUID(int=number))
    shop.store_all()
    outcome = shop.close("profiles", at(6))
    with (shop.transferbox / "profiles" / str(outcome.file)).open() as file:
        lines = [line[0] for line in csv.reader(file)]

    for number in (30, 10, 20):
        (((verdict,),)) = verdicts(shop, UUID(int=number))
        assert verdict.line is not None
        assert lines[verdict.line - 1] == str(number)


def test_a_repeat_is_told_beside_what_it_repeats(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(2), event_id=EVENT, interactionId=1)
    mail(shop, "SENT", at(3), event_id=EVENT, interactionId=2)
    shop.store_all()
    shop.close("sent", at(6))

    assert outcomes(shop) == [{"sent": "exported"}, {"sent": "duplicate"}]


def test_what_isnt_first_is_told_so_in_each_export_by_its_own_rule(shop: OfflineShop) -> None:
    mail(shop, "OPENED", at(2), interactionId=1)
    mail(shop, "CLICKED", at(3), interactionId=1, event_id=EVENT)
    shop.store_all()
    shop.close_all(at(6))

    assert outcomes(shop) == [{"clicks": "exported", "openings": "not first"}]


def test_an_event_of_no_export_feeds_none(shop: OfflineShop) -> None:
    mail(shop, "BOUNCED", at(2), event_id=EVENT, bounceStatusCategory="TECHNICAL")
    shop.store_all()
    shop.close_all(at(6))

    assert outcomes(shop) == [{}]


def test_what_waits_is_told_till_its_campaign_is_known(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(2), event_id=EVENT, campaignId=77)
    shop.store_all()
    shop.close("sent", at(6))
    assert outcomes(shop) == [{"sent": "waiting for its campaign"}]
    shop.close("sent", at(6, 28))
    assert outcomes(shop) == [{"sent": "waiting for its campaign"}]

    campaign(shop, 77, 31)
    shop.store_all()
    shop.close("sent", at(6, 29))

    (((verdict,),)) = verdicts(shop)
    assert (verdict.outcome, verdict.end, verdict.close) == ("exported", at(6), at(6, 29))
    assert (verdict.file, verdict.line) == ("sent_20260329_0600.csv.gz", 2)


def test_a_campaign_that_stays_unknown_is_told_after_three_further_closes(
    shop: OfflineShop,
) -> None:
    mail(shop, "SENT", at(2), event_id=EVENT, campaignId=77)
    shop.store_all()
    for day in (27, 28, 29, 30, 31):
        shop.close("sent", at(6, day))

    (((verdict,),)) = verdicts(shop)
    assert (verdict.outcome, verdict.close) == ("unknown campaign", at(6, 30))


def test_what_isnt_closed_yet_is_told_with_the_earliest_close(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(7), event_id=EVENT)
    shop.store_all()
    shop.close("sent", at(6))

    (((verdict,),)) = verdicts(shop)
    assert (verdict.outcome, verdict.begin, verdict.end) == (NOT_CLOSED, at(6), at(6, 28))
    assert (verdict.close, verdict.drop) == (None, None)


def test_what_came_before_an_exports_first_window_is_told_so(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(-30), event_id=EVENT)
    shop.store_all()
    shop.close("sent", at(6))

    assert outcomes(shop) == [{"sent": EARLIER}]


def test_a_close_that_wasnt_finished_is_told_so(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(2), event_id=EVENT)
    shop.store_all()
    shop.close("sent", at(6))
    (shop.root / "ledger/exports/sent/20260327T060000.000Z/outcome.json").unlink()

    assert outcomes(shop) == [{"sent": BEGUN}]


def test_a_close_whose_state_was_removed_cant_be_judged_again(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(2), event_id=EVENT)
    shop.store_all()
    shop.close("sent", at(6))
    for file in (shop.root / "streams" / "campaign.CREATED").rglob("*.parquet"):
        file.unlink()

    assert outcomes(shop) == [{"sent": REMOVED}]


def test_a_drop_that_is_held_is_told_so_and_when_released_with_its_line(
    tmp_path: Path,
) -> None:
    definitions = with_exports("sent")
    definitions["exports/sent.yaml"] += "guard_rails: {rows_at_least: 5}\n"
    shop = OfflineShop(tmp_path, definitions=definitions)
    campaign(shop, 22, 1)
    mail(shop, "SENT", at(2), event_id=EVENT)
    shop.store_all()
    with pytest.raises(HeldError):
        shop.close("sent", at(6))
    assert outcomes(shop) == [{"sent": HELD}]

    record = shop.sinks.ledger.record_of("sent", at(6))
    assert record is not None
    shop.sinks.ledger.record_release(record, Release("a holiday", "now", ()))
    shop.close("sent", at(6))

    (((verdict,),)) = verdicts(shop)
    assert (verdict.outcome, verdict.line) == ("exported", 2)


def test_an_initial_drop_holds_rows_and_no_changes(tmp_path: Path) -> None:
    shop = OfflineShop(tmp_path, definitions=with_exports("profiles"))
    shop.tell(Kind.PROFILE, "CREATED", at(2), profileId=1, event_id=EVENT)
    shop.tell(Kind.PROFILE, "CREATED", at(2), profileId=2, event_id=UUID(int=6))
    shop.tell(Kind.PROFILE, "DELETED", at(3), profileId=2)
    shop.store_all()
    export = shop.sinks.exports[0]
    shop.sinks.closer.close(export, at(6), lambda lags: None, initial=True)

    (((verdict,),)) = verdicts(shop)
    assert (verdict.outcome, verdict.line) == ("in the initial drop: its row lived at the cut", 2)
    (((verdict,),)) = verdicts(shop, UUID(int=6))
    assert verdict.outcome.startswith("not in the initial drop")


def test_an_export_that_is_no_longer_defined_is_told_by_its_ledger(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(2), event_id=EVENT)
    shop.store_all()
    shop.close("sent", at(6))
    (shop.folder / "exports" / "sent.yaml").unlink()
    left = {name: text for name, text in shop.definitions.items() if "sent" not in name}

    again = OfflineShop(shop.folder, shop.log, stored=shop.stored, definitions=left)

    assert outcomes(again) == [{"sent": "exported"}]


def test_a_batch_that_was_written_twice_holds_an_event_once(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(2), event_id=EVENT)
    shop.store_all()
    shop.batch(EMAILS, 0, 1)

    assert outcomes(shop) == [{"sent": NOT_CLOSED}]


def test_a_file_that_no_coverage_names_doesnt_count(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(2), event_id=EVENT)
    shop.store_all()
    for record in (shop.root / "coverage").rglob("*"):
        if record.is_file() and EMAILS in str(record):
            record.unlink()

    assert outcomes(shop) == []


def test_a_trace_tells_of_every_event_what_the_close_has_counted(
    story: OfflineShop, traces: list[Trace]
) -> None:
    """The rules are asked for an event's own records only: it must come to the same."""
    counted: Counter[tuple[str, datetime, str]] = Counter()
    for verdict in (
        verdict for one in traces for event in one.events for verdict in event.verdicts
    ):
        assert verdict.close is not None
        counted[verdict.export, verdict.close, verdict.outcome] += 1

    ledger = Ledger(story.sinks.ledger.store)
    expected: Counter[tuple[str, datetime, str]] = Counter()
    for export in story.sinks.exports:
        if export.name == "stores":  # they are nobody's
            continue
        for instant in ledger.closes(export.name):
            outcome = ledger.outcome(export.name, instant)
            assert outcome is not None
            for label, number in outcome.balance.items():
                expected[export.name, instant, label] += number
    # What waited is an input of each close; a trace tells the last one that judged it. And
    # deletions of rows that name no profile aren't any profile's.
    waiting = Outcome.WAITING.label
    assert {k: n for k, n in counted.items() if k[2] not in (waiting, "filtered")} == {
        k: n for k, n in expected.items() if n and k[2] not in (waiting, "filtered")
    }
    last = at(6, 29)
    assert {k: n for k, n in counted.items() if k[2] == waiting} == {
        k: n for k, n in expected.items() if n and k[1:] == (last, waiting)
    }


def test_one_close_of_a_profile_is_told_with_lines(story: OfflineShop) -> None:
    asked = TraceScope(("sent",), at(6, 28))

    (one,) = trace_profile(story.sinks, BOB, "shop", asked).events

    (verdict,) = one.verdicts
    assert (verdict.outcome, verdict.end, verdict.close) == (
        Outcome.WAITING.label,
        at(6),
        at(6, 28),
    )
    (one,) = trace_profile(story.sinks, 1, "shop", TraceScope(("texts",), at(6))).events
    assert [verdict.line for verdict in one.verdicts] == [2]


def test_of_some_exports_only_what_feeds_them_is_told(story: OfflineShop) -> None:
    (one,) = trace_profile(story.sinks, 3, "shop", TraceScope(("clicks", "stores"))).events

    assert (one.event.event_type, [verdict.export for verdict in one.verdicts]) == (
        "CLICKED",
        ["clicks"],
    )


def test_the_latest_events_of_a_profile_are_told_by_time(
    story: OfflineShop, traces: list[Trace]
) -> None:
    everything = traces[0].events
    times = [one.event.appended_at for one in everything]

    assert times == sorted(times)
    assert trace_profile(story.sinks, 1, "shop", TraceScope(most=3)).events == everything[-3:]


def test_after_an_erasure_the_drop_that_is_there_now_is_told(
    story: OfflineShop, tmp_path: Path
) -> None:
    shop = story.copied(tmp_path / "shop")
    before = {verdict.file for verdict in verdicts_of(shop, 1)}
    shop.sinks.eraser.run()

    after = {verdict.file for verdict in verdicts_of(shop, 1)}

    assert "sent_20260327_0600.csv.gz" in before
    assert "sent_20260327_0600-r1.csv.gz" in after


def verdicts_of(shop: OfflineShop, profile: int) -> list[Verdict]:
    told = trace_profile(shop.sinks, profile, "shop", TraceScope(("sent",), most=1000))
    return [verdict for one in told.events for verdict in one.verdicts]


@pytest.mark.parametrize("mark", [PLANTED, "ALIVE", "COLD"])
def test_no_trace_shows_anything_personal(
    story: OfflineShop, traces: list[Trace], mark: str
) -> None:
    shown = [*traces, trace_event(story.sinks, DELETION, Days())]

    assert sum(len(one.events) for one in shown) > 30
    for one in shown:
        assert mark not in str(one)
        assert mark not in json.dumps(one.to_json())


class Letters:
    """The dead-letter topic's place is taken by a list."""

    def __init__(self, *events: Poison) -> None:
        self.events = events

    def whole(self, wanted: object = None) -> Sequence[Poison]:
        return self.events

    def letters(self) -> list[Letter]:
        return [Letter(*identity_of(one), one.reason, 1) for one in self.events]


class NoKafka(Letters):
    """Nobody answers."""

    def whole(self, wanted: object = None) -> Sequence[Poison]:
        raise PartitionError("can't be reached", where="Kafka")


def reader(letters: Letters) -> LetterReader:
    return cast("LetterReader", letters)


def test_an_event_that_became_a_dead_letter_is_found_by_its_id(shop: OfflineShop) -> None:
    whole = b"\0\0\0\0\1H" + str(EVENT).encode() + f"\2{PLANTED}".encode()
    dead = Poison(EMAILS, 0, 3, 1_774_576_800_000, b"1", whole, "field 'x': is missing")
    other = Poison(EMAILS, 0, 4, 1_774_576_800_000, b"1", None, "null value")

    found = trace_event(shop.sinks, EVENT, Days(), reader(Letters(dead, other)))

    assert found.is_found
    assert [one.origin for one in found.elsewhere.dead_letters] == [f"{EMAILS}/0/3"]
    assert "field 'x': is missing; `deltadrop dead-letters show" in str(found)
    assert "counts as a dead letter in every export of its topic (SPEC §6, Bad input)" in str(found)
    assert PLANTED not in str(found) + json.dumps(found.to_json())


def test_an_event_that_isnt_stored_yet_is_found_in_kafka(shop: OfflineShop) -> None:
    mail(shop, "SENT", at(2))
    shop.store_all()
    offset = mail(shop, "SENT", at(3), event_id=EVENT, emailAddress=PLANTED)

    found = trace_event(shop.sinks, EVENT, Days(), reader(Letters()))

    (one,) = found.elsewhere.not_stored
    assert (one.topic, one.partition, one.offset) == (EMAILS, 0, offset)
    assert f"not stored yet: {EMAILS}/0, offset {offset}" in str(found)
    assert PLANTED not in str(found) + json.dumps(found.to_json())


def test_where_kafka_doesnt_answer_a_trace_says_what_it_didnt_look_at(shop: OfflineShop) -> None:
    found = trace_event(shop.sinks, EVENT, Days(), reader(NoKafka()))

    assert not found.is_found
    (remark,) = found.elsewhere.remarks
    assert remark == "dead letters can't be looked through now: Kafka: can't be reached"


Run = Callable[..., int]


@pytest.fixture
def run(shop: OfflineShop, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command; its exit code."""
    monkeypatch.setattr(Sinks, "of", lambda settings: shop.sinks)
    monkeypatch.setattr(trace_service, "_letters", lambda sinks: Letters())

    def run(event_id: str | None = None, **flags: object) -> int:
        try:
            config = shop.folder / "deltadrop.yaml"
            trace_command.trace(event_id, config=config, **flags)  # type: ignore[arg-type]
        except typer.Exit as left:
            return left.exit_code
        return 0

    return run


def test_what_isnt_found_exits_with_1(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(EVENT)) == 1
    assert f"no event {EVENT} is stored" in capsys.readouterr().err
    assert run(str(EVENT), as_json=True) == 1
    assert documented("trace", capsys.readouterr().out)["events"] == []


def test_a_trace_is_told_to_scripts(
    shop: OfflineShop, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    mail(shop, "SENT", at(2), event_id=EVENT)
    shop.store_all()
    shop.close("sent", at(6))
    capsys.readouterr()

    assert run(str(EVENT), as_json=True, day="2026-03-27") == 0

    (one,) = documented("trace", capsys.readouterr().out)["events"]
    assert one["appended_at"] == "2026-03-27T02:00:00.000+00:00"
    (verdict,) = one["exports"]
    assert (verdict["export"], verdict["outcome"], verdict["line"]) == ("sent", "exported", 2)


@pytest.mark.parametrize(
    ("event_id", "flags", "message"),
    [
        (None, {}, "trace: neither an event nor a profile is named; trace EVENT_ID, or"),
        (str(EVENT), {"profile": 1}, "trace: both are named"),
        ("nonsense", {}, "EVENT_ID: 'nonsense' isn't a UUID; write it as"),
        (str(EVENT), {"export": ["sent"]}, "--export: is for --profile only"),
        (str(EVENT), {"last": 3}, "--last: is for --profile only"),
        (str(EVENT), {"day": "yesterday"}, "--day: 'yesterday' isn't a day; write it as 2026"),
        (None, {"profile": 1, "day": "2026-03-27"}, "--day: is for an event only"),
        (None, {"profile": 1, "last": 0}, "--last: 0 isn't a number of events; 1 or more"),
        (None, {"profile": 1, "database": "shopp"}, "--database: there is no database 'shopp'"),
        (None, {"profile": 1, "export": ["snet"]}, "--export: there is no export 'snet'"),
        (None, {"profile": 1, "close": "now"}, "--close: names no export; add --export NAME"),
        (
            None,
            {"profile": 1, "export": ["sent"], "close": "now"},
            "--close: 'now' isn't an instant; write it with its zone, as `history` shows it",
        ),
        (
            None,
            {"profile": 1, "export": ["sent"], "close": "2026-03-27T07:00:00+00:00"},
            "--close: nothing was closed at 2026-03-27T07:00:00+00:00; the latest closes: none",
        ),
    ],
)
def test_a_wrong_flag_is_refused_with_what_would_be_right(
    run: Run, event_id: str | None, flags: dict[str, object], message: str
) -> None:
    with pytest.raises(DeltadropError) as refused:
        run(event_id, **flags)

    assert str(refused.value).startswith(message)
    assert refused.value.exit_code == 2


def test_days_are_looked_through_no_further_back_than_an_event_is_repeated_from(
    shop: OfflineShop,
) -> None:
    """An id that came long before is another event's."""
    mail(shop, "SENT", at(2), event_id=EVENT)
    for day in range(15, 20):
        mail(shop, "SENT", at(2) + timedelta(days=day), interactionId=day)
    mail(shop, "SENT", at(2) + timedelta(days=20), event_id=EVENT)
    shop.store_all()

    latest = trace_event(shop.sinks, EVENT, Days()).events
    first = trace_event(shop.sinks, EVENT, Days(at(0).date(), at(0).date())).events

    assert [one.event.appended_at for one in latest] == [at(2) + timedelta(days=20)]
    assert [one.event.appended_at for one in first] == [at(2)]
