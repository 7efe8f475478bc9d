"""A window follows one other, and a name is one export: no fact is in two drops (SPEC §3, §4)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import CloseError, DefinitionError
from schemas.events import Kind
from sinks.closing.drop import DropMaker
from sinks.closing.running import attempt
from sinks.instants import stamp
from sinks.ledger.chain import read_chain
from sinks.ledger.due import Due, due_closes
from sinks.repair.redrop import Redropper
from streams.storage.choice import Choice
from tests.shop.offline import OfflineShop, at, with_exports


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    """One export, closed at six; something has come since."""
    shop = OfflineShop(tmp_path, definitions=with_exports("sent"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    for number in range(3):
        shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(5 + number), interactionId=number)
    shop.store_all()
    shop.close("sent", at(6))
    return shop


def while_proving(shop: OfflineShop, what: Callable[[], object]) -> None:
    """Let something happen once, while the next close waits for the workers."""
    completeness = shop.sinks.closer.intentions.completeness
    original = completeness.prove
    left = [what]

    def prove(*needs: Any, **options: Any) -> tuple[Choice, ...]:
        if left:
            left.pop()()
        return original(*needs, **options)

    waiting = type("Waiting", (), {"__getattr__": lambda _, name: getattr(completeness, name)})()
    waiting.prove = prove
    intentions = replace(shop.sinks.closer.intentions, completeness=waiting)
    shop.sinks = replace(shop.sinks, closer=replace(shop.sinks.closer, intentions=intentions))


def lines(shop: OfflineShop) -> list[str]:
    files = sorted((shop.transferbox / "sent").glob("*.csv"))
    return [line for file in files for line in file.read_text().splitlines()[1:]]


@pytest.mark.parametrize(("first", "second"), [(8.5, 9), (9, 8.5)])
def test_two_closes_that_begin_at_once_at_different_instants_share_no_events(
    shop: OfflineShop, first: float, second: float
) -> None:
    definition = shop.folder / "exports" / "sent.yaml"
    definition.write_text(definition.read_text().replace("file: {compression: gzip}\n", ""))
    shop = shop.again()
    other = shop.again()
    while_proving(shop, lambda: other.close("sent", at(second)))

    with pytest.raises(CloseError) as refused:
        shop.close("sent", at(first))

    assert str(refused.value) == (
        f"export 'sent': another close of it, at {stamp(at(second))}, has begun with the same "
        f"events; finish it first: close sent --at {at(second).isoformat()}"
    )
    assert len(lines(other)) == 2


def test_a_close_that_was_killed_before_its_intent_is_due_first(shop: OfflineShop) -> None:
    shop.sinks.ledger.claim("sent", at(6), at(9))

    assert due_closes(shop.sinks.exports, shop.sinks.ledger, at(7, 28)) == [
        Due(at(9), "sent"),
        Due(at(6, 28), "sent"),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("event: SENT", "event: OPENED"), "email-activities/OPENED (database shop)"),
        (
            ("type: email-activities\nevent: SENT", "type: sms-activities\nevent: SENT"),
            "sms-activities/SENT (database shop)",
        ),
    ],
)
def test_another_export_doesnt_go_on_in_the_chain_of_one_of_its_name(
    shop: OfflineShop, change: tuple[str, str], told: str
) -> None:
    file = shop.folder / "exports" / "sent.yaml"
    file.write_text(file.read_text().replace(*change))
    changed = shop.again()

    with pytest.raises(DefinitionError) as refused:
        changed.close("sent", at(6, 28))

    assert refused.value.exit_code == 2
    assert str(refused.value) == (
        "export 'sent': is another export now: it was of email-activities/SENT (database shop), "
        f"and is of {told}; give it another name, for a chain of drops of its own; or take the "
        "change back"
    )
    assert list(changed.sinks.ledger.closes("sent")) == [at(6)]


def test_a_file_name_stays_its_windows_when_the_partner_has_taken_the_file(
    tmp_path: Path,
) -> None:
    definitions = with_exports("sent")
    text = definitions["exports/sent.yaml"]
    assert "_yyyyMMdd_HHmm" in text
    definitions["exports/sent.yaml"] = text.replace("_yyyyMMdd_HHmm", "_yyyyMMdd")
    shop = OfflineShop(tmp_path, definitions=definitions)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    shop.store_all()
    shop.close("sent", at(6))
    for file in (shop.transferbox / "sent").iterdir():
        file.unlink()

    with pytest.raises(CloseError, match=f"is taken by another window, {stamp(at(6))}"):
        shop.close("sent", at(7))


def test_a_close_that_a_run_beside_has_begun_since_is_no_other_window(shop: OfflineShop) -> None:
    export = next(export for export in shop.sinks.exports if export.name == "sent")
    shop.begin("sent", at(8))

    read_chain(shop.sinks.ledger, export).refuse_taken_name(at(8))


def test_a_file_name_is_its_windows_also_where_its_empty_file_was_skipped(tmp_path: Path) -> None:
    """SPEC §7: its manifest is there, under the name of the file that wasn't sent."""
    definitions = with_exports("sent")
    text = definitions["exports/sent.yaml"].replace("_yyyyMMdd_HHmm", "_yyyyMMdd")
    definitions["exports/sent.yaml"] = f"{text}when_empty: skip\n"
    shop = OfflineShop(tmp_path, definitions=definitions)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    shop.store_all()
    assert shop.close("sent", at(6)).file is None
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(7), interactionId=1, campaignId=22, profileId=7)
    shop.store_all()
    (manifest,) = (shop.transferbox / "sent").iterdir()
    manifest.unlink()

    with pytest.raises(CloseError, match=f"is taken by another window, {stamp(at(6))}"):
        shop.close("sent", at(8))

    assert shop.close("sent", at(6, 28)).rows == 1, "the next day has a name of its own"


def test_an_outcome_that_another_run_recorded_meanwhile_stands(shop: OfflineShop) -> None:
    """A closer that was frozen delivers nothing when it wakes."""
    other = shop.again()
    closer = shop.sinks.closer
    made = DropMaker.made

    class Frozen(DropMaker):
        def made(self, *what: Any) -> Any:
            for file in other.close("sent", at(9)).receipts and (other.transferbox / "sent").glob(
                "*0900*"
            ):
                file.unlink()  # the partner has taken it
            return made(self, *what)

    frozen = replace(closer, maker=Frozen(closer.maker.selection, closer.maker.scratch))
    (export,) = shop.sinks.exports

    assert attempt(frozen, export, at(9), lambda lags: None).file is not None

    assert list((shop.transferbox / "sent").glob("*0900*")) == []


def test_what_a_revision_replaces_is_removed_only_where_it_is_ours(shop: OfflineShop) -> None:
    (file,) = [one for one in (shop.transferbox / "sent").iterdir() if "manifest" not in one.name]
    file.unlink()
    file.write_text("another system's")
    definition = shop.folder / "exports" / "sent.yaml"
    definition.write_text(definition.read_text() + "columns: [interactionId]\n")
    again = shop.again()
    (today,) = again.sinks.exports

    Redropper(again.sinks.eraser.reviser).redrop("sent", at(6), "fewer columns", today)

    assert file.read_text() == "another system's"
