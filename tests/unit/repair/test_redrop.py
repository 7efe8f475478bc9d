"""A drop is made again with the same bytes; with other content it is a revision with its reason
(SPEC §7, §9).
"""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import HeldError
from schemas.events import Kind
from sinks.commands import redrop as redrop_command
from sinks.commands import release as release_command
from sinks.commands import status as status_command
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.revision import Revision
from sinks.locations import OtherBytesError
from sinks.repair.redrop import Redrop, Redropper
from sinks.setup import Sinks
from tests.shop.commands import exit_code_of
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.partner import PARTNER, delivering
from tests.shop.planted import BOB, delete, finds, live

CLOSED = at(6, 28)
CLOSE = "20260328T060000.000Z"
FILE = "sent_20260328_0600.csv.gz"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """A window with Ann's and Bob's e-mail, delivered."""
    shop = OfflineShop(tmp_path_factory.mktemp("closed"), definitions=with_exports("sent"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    live(shop, 1, "ANN", 7)
    live(shop, BOB, "PLANTED", 8)
    shop.store_all()
    shop.close("sent", CLOSED)
    return shop


@pytest.fixture
def shop(closed: OfflineShop, tmp_path: Path) -> OfflineShop:
    """Its own copy."""
    return closed.copied(tmp_path / "shop")


@pytest.fixture
def redrop(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command on a shop; its exit code."""

    def run(shop: OfflineShop, close: str = CLOSE, **more: Any) -> int:
        monkeypatch.setattr(Sinks, "of", shop.sinks_of)
        config = shop.folder / "deltadrop.yaml"
        export = more.pop("export", "sent")
        command = partial(redrop_command.redrop, export, close=close, config=config, **more)
        return exit_code_of(command)

    return run


def files(shop: OfflineShop) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in shop.transferbox.rglob("*") if file.is_file()}


def outcome_of(shop: OfflineShop, revision: int = 0) -> CloseOutcome:
    ledger = shop.sinks.ledger
    found = ledger.outcome("sent", CLOSED, revision) if revision else ledger.outcome("sent", CLOSED)
    assert found is not None
    return found


def test_a_drop_that_is_there_is_proven_and_left_alone(
    shop: OfflineShop, redrop: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(shop)

    assert redrop(shop) == 0

    assert capsys.readouterr().out.splitlines()[-1] == (
        "  the same bytes, and it is there everywhere"
    )
    assert files(shop) == before


@pytest.mark.parametrize("taken", [[FILE], [f"{FILE}.manifest.json"], [FILE, FILE + ".manifest"]])
def test_what_is_missing_is_delivered_again_with_the_same_bytes(
    shop: OfflineShop,
    redrop: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    taken: list[str],
) -> None:
    before = files(shop)
    for file in shop.transferbox.rglob("*.*"):
        if file.name.startswith(tuple(taken)):
            file.unlink()

    assert redrop(shop) == 0

    assert "was missing, delivered to transferbox: " in capsys.readouterr().out
    assert files(shop) == before


def test_what_is_there_with_other_bytes_is_never_overwritten(
    shop: OfflineShop, redrop: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = [one for one in shop.transferbox.rglob("*") if one.name == FILE]
    file.unlink()
    file.write_bytes(b"another's")

    assert redrop(shop) == OtherBytesError.exit_code

    assert "is there already, with other bytes" in capsys.readouterr().out
    assert file.read_bytes() == b"another's"


def test_people_who_were_deleted_since_make_it_a_revision(
    shop: OfflineShop, redrop: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    delete(shop, BOB, 31)
    shop.store_all()

    assert redrop(shop) == 0

    assert "revision -r1" in capsys.readouterr().out
    revised = "sent_20260328_0600-r1.csv.gz"
    assert set(files(shop)) == {revised, f"{revised}.manifest.json"}
    manifest = json.loads(files(shop)[f"{revised}.manifest.json"])
    assert manifest["reason"] == "people were deleted since"
    assert finds(shop.root / "transferbox") == set()


def test_after_an_erasure_the_revision_is_what_is_made_again(
    shop: OfflineShop, redrop: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    delete(shop, BOB, 31)
    shop.store_all()
    shop.sinks.eraser.run()
    before = files(shop)
    for file in shop.transferbox.rglob("*.gz"):
        file.unlink()

    assert redrop(shop) == 0

    assert "the same bytes" in capsys.readouterr().out
    assert files(shop) == before


def test_a_revision_takes_the_place_of_the_files_beside_a_drop_too(
    tmp_path: Path, redrop: Callable[..., int]
) -> None:
    (tmp_path / "deltadrop.yaml").write_text(
        "root: data\ntransferbox: {ready_file: .ready, checksum_file: true}\n"
    )
    shop = OfflineShop(tmp_path, definitions=with_exports("sent"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    live(shop, 1, "ANN", 7)
    live(shop, BOB, "PLANTED", 8)
    shop.store_all()
    shop.close("sent", CLOSED)
    beside = [".manifest.json", ".ready", ".sha256"]
    assert set(files(shop)) == {FILE, *(f"{FILE}{ending}" for ending in beside)}
    delete(shop, BOB, 31)
    shop.store_all()

    assert redrop(shop) == 0

    revised = "sent_20260328_0600-r1.csv.gz"
    assert set(files(shop)) == {revised, *(f"{revised}{ending}" for ending in beside)}
    drop = shop.transferbox / "sent" / revised
    told = (shop.transferbox / "sent" / f"{revised}.sha256").read_text()
    assert told == f"{hashlib.sha256(drop.read_bytes()).hexdigest()}  {revised}\n"


def test_by_todays_definition_it_is_a_revision_with_its_reason(
    shop: OfflineShop, redrop: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    file = shop.folder / "exports/sent.yaml"
    file.write_text(file.read_text() + "columns: [interactionId, eventTime]\n")
    shop = shop.again()

    assert redrop(shop, current_definition=True, reason="fewer columns, as asked") == 0

    revised = "sent_20260328_0600-r1.csv.gz"
    assert set(files(shop)) == {revised, f"{revised}.manifest.json"}
    manifest = json.loads(files(shop)[f"{revised}.manifest.json"])
    assert [column["name"] for column in manifest["columns"]] == ["interactionId", "eventTime"]
    assert manifest["reason"] == "fewer columns, as asked"
    assert (manifest["file"]["revision"], manifest["file"]["rows"]) == (1, 2)
    capsys.readouterr()
    status_command.history(config=shop.folder / "deltadrop.yaml")
    assert "  -r1  sent_20260328_0600-r1.csv.gz  2 rows" in capsys.readouterr().out


def test_without_the_flag_the_definition_is_that_of_the_close(
    shop: OfflineShop, redrop: Callable[..., int]
) -> None:
    before = files(shop)
    file = shop.folder / "exports/sent.yaml"
    file.write_text(file.read_text() + "columns: [interactionId, eventTime]\n")

    assert redrop(shop.again()) == 0

    assert files(shop) == before


def test_todays_definition_with_the_same_bytes_makes_no_revision(
    shop: OfflineShop, redrop: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert redrop(shop, current_definition=True, reason="to see") == 0

    assert "the same bytes" in capsys.readouterr().out
    assert shop.sinks.ledger.revisions("sent", CLOSED) == []


def by_today(shop: OfflineShop, reason: str = "") -> Redrop:
    (today,) = shop.sinks.exports
    return Redropper(shop.sinks.reviser).redrop("sent", CLOSED, reason, today)


def partners(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def test_by_todays_definition_the_same_bytes_go_to_where_it_says_now(
    shop: OfflineShop, tmp_path: Path
) -> None:
    partner = tmp_path / PARTNER
    with_partner = delivering(shop, partner, last=True)

    done = by_today(with_partner)

    assert (done.revision, done.kept) == (0, ())
    assert [one.split(": ")[0] for one in done.delivered] == [PARTNER, PARTNER]
    assert partners(partner) == [FILE, f"{FILE}.manifest.json"]
    assert by_today(with_partner).delivered == (), "it is there everywhere now"


def test_where_a_redrop_has_brought_it_a_drop_belongs_from_then_on(
    shop: OfflineShop, tmp_path: Path
) -> None:
    """Nobody is left with people who were deleted since."""
    partner = tmp_path / PARTNER
    with_partner = delivering(shop, partner, last=True)
    by_today(with_partner)
    for file in partner.rglob("*.gz"):
        file.unlink()

    done = Redropper(with_partner.sinks.reviser).redrop("sent", CLOSED)

    assert [one.split(": ")[0] for one in done.delivered] == [PARTNER]
    delete(with_partner, BOB, 31)
    with_partner.store_all()

    done = Redropper(with_partner.sinks.reviser).redrop("sent", CLOSED)

    revised = "sent_20260328_0600-r1.csv.gz"
    assert done.revision == 1
    assert partners(partner) == [revised, f"{revised}.manifest.json", FILE, f"{FILE}.manifest.json"]


def test_where_todays_definition_doesnt_say_the_same_bytes_dont_go(
    shop: OfflineShop, tmp_path: Path
) -> None:
    partner = tmp_path / PARTNER
    by_today(delivering(shop, partner, last=True))
    for file in partner.rglob("*.gz"):
        file.unlink()

    assert by_today(shop.again()).delivered == ()


def test_what_the_same_bytes_keep_in_spite_of_todays_definition_is_told(
    shop: OfflineShop, redrop: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    file = shop.folder / "exports/sent.yaml"
    file.write_text(file.read_text().replace("_yyyyMMdd_HHmm", "_yyyy-MM-dd"))

    assert redrop(shop.again(), current_definition=True) == 0

    assert capsys.readouterr().out.endswith(
        "  the same bytes, and it is there everywhere\n"
        "  keeps its name; today's, crm/sent/sent_2026-03-28.csv.gz, is for drops to come\n"
    )
    assert FILE in files(shop)


def test_a_skipped_file_that_todays_definition_would_send_is_told(tmp_path: Path) -> None:
    definitions = with_exports("sent")
    text = definitions["exports/sent.yaml"]
    definitions["exports/sent.yaml"] = f"{text}when_empty: skip\n"
    shop = OfflineShop(tmp_path, definitions=definitions)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    shop.store_all()
    shop.close("sent", CLOSED)
    (shop.folder / "exports/sent.yaml").write_text(text)

    assert by_today(shop.again()).kept == (
        "when_empty: skip; today's, header, is for drops to come",
    )


def test_a_revision_of_a_revision_counts_on(shop: OfflineShop, redrop: Callable[..., int]) -> None:
    file = shop.folder / "exports/sent.yaml"
    text = file.read_text()
    for number, columns in enumerate(["interactionId", "eventTime"], 1):
        file.write_text(f"{text}columns: [{columns}]\n")
        shop = shop.again()
        assert redrop(shop, current_definition=True, reason=f"change {number}") == 0
        assert outcome_of(shop, number).rows == 2

    assert {name.removesuffix(".manifest.json") for name in files(shop)} == {
        "sent_20260328_0600-r2.csv.gz"
    }


def test_todays_definition_is_reason_enough(shop: OfflineShop, redrop: Callable[..., int]) -> None:
    file = shop.folder / "exports/sent.yaml"
    file.write_text(file.read_text() + "columns: [interactionId]\n")
    shop = shop.again()

    assert redrop(shop, current_definition=True) == 0

    manifest = json.loads(files(shop)["sent_20260328_0600-r1.csv.gz.manifest.json"])
    assert manifest["reason"] == "today's definition"


def test_another_export_under_the_name_is_refused(
    shop: OfflineShop, redrop: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    file = shop.folder / "exports/sent.yaml"
    file.write_text(file.read_text().replace("event: SENT", "event: OPENED"))

    assert redrop(shop.again(), current_definition=True, reason="a try") == 2

    assert "today's definition is another export" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        ({"export": "snet"}, 2, "there is no export 'snet'; choose from sent"),
        ({"close": "20260329T060000.000Z"}, 2, "no drop was delivered at 20260329T060000.000Z; "),
        ({"close": "28/03/2026"}, 2, "--close: '28/03/2026' isn't an instant"),
        ({"reason": " "}, 2, "--reason: is empty"),
    ],
)
def test_what_cant_be_made_again_is_refused_with_what_would_be_right(
    shop: OfflineShop,
    redrop: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    more: dict[str, Any],
    code: int,
    told: str,
) -> None:
    before = files(shop)

    assert redrop(shop, **more) == code

    assert told in capsys.readouterr().out
    assert files(shop) == before


def test_a_close_that_was_begun_is_told_with_what_finishes_it(
    shop: OfflineShop, redrop: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sinks.ledger.store.remove(f"ledger/exports/sent/{CLOSE}/outcome.json")

    assert redrop(shop) == 1

    assert capsys.readouterr().out == (
        f"export 'sent': no drop was delivered at {CLOSE}; it was begun: finish it, "
        "deltadrop close sent --at 2026-03-28T06:00:00+00:00\n"
    )


def test_a_held_drop_is_not_sent_by_a_redrop_and_a_released_one_is_made_again(
    tmp_path: Path, redrop: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    definitions = with_exports("sent")
    definitions["exports/sent.yaml"] += "guard_rails: {rows_at_least: 3}\n"
    shop = OfflineShop(tmp_path, definitions=definitions)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    live(shop, 1, "ANN", 7)
    live(shop, BOB, "PLANTED", 8)
    shop.store_all()
    with pytest.raises(HeldError):
        shop.close("sent", CLOSED)

    assert redrop(shop) == 3
    assert "deltadrop release sent --close" in capsys.readouterr().out
    assert shop.drops() == []

    delete(shop, BOB, 32)  # its release takes Bob out; so does its redrop
    shop.store_all()
    config = shop.folder / "deltadrop.yaml"
    release_command.release("sent", close=CLOSE, reason="a holiday", config=config)
    before = files(shop)
    for file in shop.transferbox.rglob("*.gz"):
        file.unlink()
    capsys.readouterr()

    assert redrop(shop) == 0
    assert "the same bytes" in capsys.readouterr().out
    assert files(shop) == before


def test_two_redrops_by_different_definitions_are_two_revisions(shop: OfflineShop) -> None:
    """Neither is told that the other's is its own."""

    def by(columns: str) -> OfflineShop:
        file = shop.folder / "exports" / "sent.yaml"
        lines = [one for one in file.read_text().splitlines() if not one.startswith("columns")]
        file.write_text("\n".join([*lines, f"columns: [{columns}]"]) + "\n")
        return shop.again()

    def redropped(told: OfflineShop) -> Redrop:
        (today,) = told.sinks.exports
        return Redropper(told.sinks.eraser.reviser).redrop("sent", CLOSED, "another", today)

    first, second = by("interactionId"), by("interactionId, campaignId")
    ledger = second.sinks.ledger
    record = ledger.record_revision

    def beaten(revision: Revision) -> Revision:
        ledger.record_revision = record  # type: ignore[method-assign]
        redropped(first)
        return record(revision)

    ledger.record_revision = beaten  # type: ignore[method-assign]

    assert redropped(second).revision == 2

    definitions = [ledger.revision("sent", CLOSED, number) for number in (1, 2)]
    assert [len(one.intent.definition["columns"]) for one in definitions if one] == [1, 2]
