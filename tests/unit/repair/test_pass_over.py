"""A partition that can't go on is told, held for by what needs it, and passed over by a person's
word: once for all exports, and counted as lost (SPEC §6, *One trouble, one place*).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from schemas.errors import HeldError
from schemas.events import Kind
from sinks.commands import pass_over as command
from sinks.commands.status_text import status_text
from sinks.service.status import status_of
from sinks.setup import Sinks
from sinks.tracing.finding import Days
from sinks.tracing.trace import trace_event
from streams.dead_letters.read import LetterReader
from streams.recovery.set_aside import SetAside, SetAsides, passed_over_until
from streams.storage.layout import PASSED_OVER, CoveragePath, TopicPartition
from tests.shop import offline
from tests.shop.commands import exit_code_of
from tests.shop.json_page import documented
from tests.shop.offline import OfflineShop, at, with_exports

EMAILS, PROFILES = "deltadrop.shop.email-activity", "deltadrop.shop.profile"
BAD, BEHIND = 2, 4  # offsets of a batch that can't be read
FIRST, SECOND, THIRD = at(6), at(6, 28), at(6, 29)


class NoLetters:
    def whole(self) -> list[Any]:
        return []

    def letters(self) -> list[Any]:
        return []


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    """Of five e-mails the third and fourth can't be read; profiles are well."""
    shop = OfflineShop(tmp_path, definitions=with_exports("sent", "clicks", "profiles"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    shop.tell(Kind.PROFILE, "CREATED", at(1), profileId=1)
    for number in range(5):
        shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(2), interactionId=number, event_id=IDS[number])
    shop.log.unreadable[EMAILS] = (BAD, BEHIND)
    shop.stored[EMAILS] = 5
    shop.store_all()
    shop.batch(EMAILS, 0, BAD)
    return shop


IDS = [uuid4() for _ in range(5)]
OWNER = TopicPartition(EMAILS, offline.TOPIC_ID, 0)


def set_aside(shop: OfflineShop, topic: str = EMAILS) -> SetAside:
    """Let a worker set the partition aside."""
    owner = TopicPartition(topic, offline.TOPIC_ID, 0)
    one = SetAside(owner, BAD, BEHIND, "it can't be read", "mend it", "2026-03-27T03:00:00.000Z")
    return SetAsides(shop.sinks.streams.partitions).record(one)


PassOver = Callable[..., int]


@pytest.fixture
def pass_over(shop: OfflineShop, monkeypatch: pytest.MonkeyPatch) -> PassOver:
    monkeypatch.setattr(Sinks, "of", classmethod(lambda _, settings: shop.again().sinks))

    def run(
        to: int = BEHIND,
        *,
        topic: str = EMAILS,
        partition: int = 0,
        reason: str = "a disk was broken",
        as_json: bool = False,
    ) -> int:
        settings = shop.folder / "deltadrop.yaml"
        return exit_code_of(
            lambda: command.pass_over(topic, partition, to, reason, settings, as_json)
        )

    return run


def manifest(shop: OfflineShop, name: str) -> dict[str, Any]:
    [file] = shop.transferbox.rglob(f"{name}.manifest.json")
    return cast("dict[str, Any]", json.loads(file.read_text()))


def test_a_close_that_needs_it_is_held_at_once_with_the_command_that_settles_it(
    shop: OfflineShop,
) -> None:
    set_aside(shop)

    with pytest.raises(HeldError) as held:
        shop.close("sent", FIRST)

    assert str(held.value) == (
        f"{EMAILS}/0: can't go on from offset 2: it can't be read; mend it; to go on without it:"
        f" deltadrop pass-over {EMAILS} 0 --to 4 --reason '…'"
    )
    assert shop.close("profiles", FIRST).rows == 1


def test_a_close_whose_window_ends_before_it_goes_on(shop: OfflineShop) -> None:
    set_aside(shop)
    for number in range(BAD, 5):
        record = shop.log.records[EMAILS][number]
        shop.log.records[EMAILS][number] = offline.Record(
            int(at(8).timestamp() * 1000), record.key, record.value
        )

    assert shop.close("sent", FIRST).rows == 2


def test_once_passed_over_it_counts_as_lost_in_each_manifest(
    shop: OfflineShop, pass_over: PassOver
) -> None:
    set_aside(shop)
    assert pass_over() == 0
    shop.batch(EMAILS, BEHIND, 5)

    assert shop.close("sent", FIRST).rows == 3
    assert shop.close("clicks", FIRST).rows == 0

    for name in ("sent_20260327_0600.csv.gz", "clicks_20260327_0600.csv"):
        told = manifest(shop, name)
        assert told["lost"] == {
            "offsets": [
                {
                    "topic": EMAILS,
                    "topic_id": str(offline.TOPIC_ID),
                    "partition": 0,
                    "first": BAD,
                    "next": BEHIND,
                }
            ],
            "reason": "a disk was broken",
        }
        assert (
            f"offsets 2 to 4 of {EMAILS}/0 are in the window, and were passed over:"
            " a disk was broken" in told["warnings"]
        )


def test_a_later_window_and_the_state_beside_it_warn_and_have_lost_nothing(
    shop: OfflineShop, pass_over: PassOver
) -> None:
    set_aside(shop)
    pass_over()
    shop.batch(EMAILS, BEHIND, 5)
    shop.close("sent", FIRST)
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(9), interactionId=9)
    shop.batch(EMAILS, 5, 6)

    outcome = shop.close("sent", SECOND)

    assert outcome.rows == 1
    assert f"the state is without offsets 2 to 4 of {EMAILS}/0, which were passed over: a disk" in (
        " ".join(outcome.warnings)
    )
    assert "lost" not in manifest(shop, "sent_20260328_0600.csv.gz")


def test_lost_state_of_another_topic_is_warned_of(shop: OfflineShop, pass_over: PassOver) -> None:
    shop.tell(Kind.PROFILE, "CREATED", at(2), profileId=2)
    shop.tell(Kind.PROFILE, "CREATED", at(3), profileId=3)
    shop.batch(PROFILES, 1, 2)
    set_aside(shop, PROFILES)
    shop.log.unreadable = {}
    shop.batch(EMAILS, BAD, 5)
    with pytest.raises(HeldError, match=f"pass-over {PROFILES} 0 --to"):
        shop.close("sent", FIRST)

    assert pass_over(3, topic=PROFILES) == 2  # within the batch
    shop.tell(Kind.PROFILE, "CREATED", at(4), profileId=4)
    assert pass_over(topic=PROFILES) == 0

    told = f"the state is without offsets 2 to 3 of {PROFILES}/0, which were passed over: a disk"
    assert told in " ".join(shop.close("sent", FIRST).warnings)


def test_what_was_stored_of_them_too_late_loses_against_it(
    shop: OfflineShop, pass_over: PassOver
) -> None:
    set_aside(shop)
    pass_over()
    shop.log.unreadable = {}
    shop.batch(EMAILS, 0, 5)  # a worker that woke up late

    assert shop.close("sent", FIRST).rows == 3
    assert manifest(shop, "sent_20260327_0600.csv.gz")["lost"]["reason"] == "a disk was broken"


def test_an_intent_that_was_recorded_before_keeps_its_choices(
    shop: OfflineShop, pass_over: PassOver
) -> None:
    shop.log.unreadable = {}
    shop.batch(EMAILS, BAD, 5)
    shop.close("sent", FIRST)
    before = shop.sinks.ledger.intent("sent", FIRST)
    path = CoveragePath(OWNER, BAD, BEHIND, PASSED_OVER)
    shop.sinks.streams.partitions.store.create(str(path), b"{}")

    assert shop.again().sinks.ledger.intent("sent", FIRST) == before
    redropped = shop.again().sinks.reviser
    assert redropped.latest("sent", FIRST) is not None
    assert before is not None
    with redropped.closer.maker.made(before) as drop:
        assert drop.rendered.rows == 5


def test_a_hole_with_a_batch_that_cant_be_read_sets_the_partition_aside(
    shop: OfflineShop, pass_over: PassOver
) -> None:
    """No worker reads it again: their commit is beyond."""
    shop.batch(EMAILS, BEHIND, 5)
    with pytest.raises(HeldError) as held:
        shop.close("sent", FIRST)
    assert f"deltadrop pass-over {EMAILS} 0 --to 4 --reason '…'" in str(held.value)
    assert "its checksum is wrong" in str(held.value)

    assert pass_over() == 0

    assert shop.close("sent", FIRST).rows == 3


def test_it_is_read_again_no_more(shop: OfflineShop, pass_over: PassOver) -> None:
    set_aside(shop)
    pass_over()
    shop.batch(EMAILS, BEHIND, 5)

    def read(*_: object) -> int:
        raise AssertionError("nothing is to be mended")

    shop.log.read = read  # type: ignore[method-assign]
    assert shop.close("sent", FIRST).rows == 3
    assert passed_over_until(shop.sinks.streams.partitions, OWNER, BAD) == BEHIND


def test_sweep_and_erase_leave_it(shop: OfflineShop, pass_over: PassOver) -> None:
    set_aside(shop)
    pass_over()
    partitions = shop.sinks.streams.partitions
    before = partitions.coverage(OWNER)

    shop.sinks.sweeper.sweep()
    shop.sinks.eraser.run()

    assert partitions.coverage(OWNER) == before
    assert PASSED_OVER not in partitions.topics_of_batches()


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"topic": "deltadrop.shop.emails"}, "there is no topic 'deltadrop.shop.emails'"),
        ({"partition": 9}, f"topic {EMAILS} has no partition 9; choose from 0 to 0"),
        ({"to": 2}, "--to: 2 isn't beyond 2, which it can't go on from"),
        ({"to": 3}, "--to: 3 is within what can't be read, offsets 2 to 4; choose 4"),
        ({"to": 6}, "--to: 6 is beyond the partition's end, 5; choose an offset up to 5"),
        ({"reason": "  "}, "--reason: is empty"),
        ({"topic": PROFILES, "to": 1}, f"{PROFILES}/0: isn't set aside"),
    ],
)
def test_what_cant_be_passed_over_is_refused_and_nothing_is_recorded(
    shop: OfflineShop,
    pass_over: PassOver,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    refusal: str,
) -> None:
    set_aside(shop)
    before = list(shop.sinks.ledger.store.names("coverage"))

    assert pass_over(**change) == 2

    assert refusal in capsys.readouterr().out
    assert list(shop.sinks.ledger.store.names("coverage")) == before


def test_it_says_what_was_done_and_nothing_more_when_it_is_run_again(
    shop: OfflineShop, pass_over: PassOver, capsys: pytest.CaptureFixture[str]
) -> None:
    set_aside(shop)

    assert pass_over() == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{EMAILS}/0: offsets 2 to 4 are passed over (2 offsets)",
        "  the worker reads on by itself; no restart is needed",
    ]
    assert pass_over(reason="another") == 0
    told = capsys.readouterr().out
    assert "they were before" in told
    assert pass_over(as_json=True) == 0
    fields = documented("pass-over", capsys.readouterr().out)
    assert (fields["offsets"], fields["reason"]) == ([[2, 4]], "a disk was broken")
    assert fields["before"] is True


def test_what_nobody_tried_to_read_is_told(
    shop: OfflineShop, pass_over: PassOver, capsys: pytest.CaptureFixture[str]
) -> None:
    set_aside(shop)

    assert pass_over(5) == 0

    told = capsys.readouterr().out
    assert "4 to 5 of them were not tried to be read: what is there is lost too" in told


def test_what_is_stored_of_the_offsets_stays_stored(shop: OfflineShop, pass_over: PassOver) -> None:
    set_aside(shop)
    shop.batch(EMAILS, BEHIND, 5)

    assert pass_over(5) == 0

    assert shop.close("sent", FIRST).rows == 3


def test_status_tells_it_with_the_command_and_afterwards_who_passed_it_over(
    shop: OfflineShop, pass_over: PassOver
) -> None:
    set_aside(shop)
    status = status_of(shop.sinks.installation, at(7))
    told = status_text(status, at(7))

    trouble = f"{EMAILS}/0: can't go on from offset 2: it can't be read"
    hint = f"mend it; to go on without it: deltadrop pass-over {EMAILS} 0 --to 4 --reason '…'"
    assert (
        f"set aside, the others go on:\n{trouble}, since 2026-03-27T03:00:00.000Z\n→ {hint}" in told
    )
    by_name = {one.export: one for one in status.exports}
    assert (by_name["sent"].trouble, by_name["sent"].hint) == (trouble, hint)
    assert by_name["profiles"].trouble == ""
    [fields] = status.to_json()["set_aside"]
    assert fields["command"] == f"deltadrop pass-over {EMAILS} 0 --to 4 --reason '…'"

    pass_over()

    after = status_of(shop.sinks.installation, at(7))
    assert after.set_aside == ()
    [over] = next(one for one in after.partitions if one.topic == EMAILS).passed_over
    assert (over.first, over.next, over.reason) == (2, 4, "a disk was broken")
    assert f"{EMAILS}/0: offsets 2 to 4 were passed over at {over.at} by {over.by}" in (
        status_text(after, at(7), all_partitions=True)
    )


def test_a_missing_topic_hides_no_other_from_status(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shop.log.identities(shop.sinks.streams.topics)
    del found[EMAILS]
    monkeypatch.setattr(shop.log, "existing", lambda names: found)

    status = status_of(shop.sinks.installation, at(7))

    assert len(status.partitions) == len(found)
    assert [(one.topic, one.partition, one.reason) for one in status.set_aside] == [
        (EMAILS, None, "the topic is missing")
    ]


@pytest.mark.parametrize("readable", [True, False])
def test_trace_tells_that_an_event_was_passed_over_and_why(
    shop: OfflineShop, pass_over: PassOver, readable: bool
) -> None:
    set_aside(shop)
    pass_over()
    if readable:
        shop.log.unreadable = {}

    found = trace_event(shop.sinks, IDS[3], Days(), cast("LetterReader", NoLetters()))

    told = str(found)
    assert found.is_found is readable
    assert "a disk was broken" in told
    if readable:
        assert f"passed over: {EMAILS}/0, offset 3" in told
        [fields] = found.to_json()["passed_over"]
        assert (fields["offset"], fields["reason"]) == (3, "a disk was broken")
        assert fields["rule"] == "SPEC §6, One trouble, one place"
    else:
        assert f"offsets 2 to 4 of {EMAILS}/0 were passed over" in told
        assert "it may be among them, which can't be looked through" in told


def test_a_record_that_was_settled_or_is_of_an_earlier_topic_isnt_told(shop: OfflineShop) -> None:
    set_aside(shop)
    shop.log.unreadable = {}
    shop.batch(EMAILS, BAD, 5)

    assert status_of(shop.sinks.installation, at(7)).set_aside == ()
    assert shop.close("sent", FIRST).rows == 5
