"""Boxes of partners whose permissions are odd, or that change what they store (SPEC §7)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sinks.locations import Delivered, DeliveryError, DeliveryStep, PassingError
from sinks.locations.rename_note import RenameNote, Renaming
from sinks.locations.sftp.location import Sftp, SftpSettings
from tests.location_contract import FOLDER, files_in, local
from tests.unit.locations.sftp_box import Box

CONTENT = b"profileId,openedAt\r\n17,2026-03-28T06:00:00Z\r\n" * 5000

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNER_PASSWORD", "password")


def partner(box: Box, folder: Path, **settings: object) -> Sftp:
    given = {
        "kind": "sftp",
        "host": "127.0.0.1",
        "port": box.port,
        "username": "deltadrop",
        "password_env": "PARTNER_PASSWORD",
        "fingerprint": box.key.fingerprint,
        "folder": "drops/ours",
        **settings,
    }
    return Sftp("partner", folder / "locks", SftpSettings.model_validate(given))


def box_in(folder: Path, **faults: object) -> Box:
    root = folder / "box"
    (root / "drops" / "ours").mkdir(parents=True)
    return Box(root, **faults)  # type: ignore[arg-type]


def delivered(box: Box) -> dict[str, bytes]:
    return files_in(box.root / "drops" / "ours" / "marketing" / "openings")


def test_a_folder_above_ours_need_not_be_looked_at(tmp_path: Path) -> None:
    with box_in(tmp_path, hidden=frozenset({"drops"})).running() as box:
        location = partner(box, tmp_path)

        steps = list(location.check())
        receipt = location.deliver(local(tmp_path, CONTENT), FOLDER, "openings.csv")

    assert steps[-1] is DeliveryStep.DELETE
    assert receipt.delivered is Delivered.NOW
    assert delivered(box) == {"openings.csv": CONTENT}


def test_a_check_of_a_write_only_box_fails_as_a_delivery_would(tmp_path: Path) -> None:
    with box_in(tmp_path, write_only=True).running() as box:
        location = partner(box, tmp_path)

        with pytest.raises(DeliveryError) as of_check:
            list(location.check())
        with pytest.raises(DeliveryError) as of_delivery:
            location.deliver(local(tmp_path, CONTENT), FOLDER, "openings.csv")

    assert of_check.value.step is of_delivery.value.step is DeliveryStep.WRITE
    assert "write_only: true" in of_check.value.hint
    assert "write_only: true" in of_delivery.value.hint


def test_a_write_only_box_is_delivered_to_where_the_settings_say_so(tmp_path: Path) -> None:
    with box_in(tmp_path, write_only=True).running() as box:
        location = partner(box, tmp_path, write_only=True)

        steps = list(location.check())
        receipt = location.deliver(local(tmp_path, CONTENT), FOLDER, "openings.csv")
        with pytest.raises(DeliveryError, match="a write-only location shows no files"):
            location.find(FOLDER, "openings.csv")

    assert steps[-2:] == [DeliveryStep.WRITE, DeliveryStep.RENAME]  # removing is refused there
    assert receipt.delivered is Delivered.NOW
    assert delivered(box) == {"openings.csv": CONTENT}


def test_what_a_killed_run_delivered_to_a_write_only_box_is_delivered(tmp_path: Path) -> None:
    with box_in(tmp_path, write_only=True).running() as box:
        location = partner(box, tmp_path, write_only=True)
        location.deliver(
            local(tmp_path, CONTENT), FOLDER, "openings.csv"
        )  # its receipt was never written

        receipt = location.deliver(local(tmp_path, CONTENT), FOLDER, "openings.csv")

    assert receipt.delivered is Delivered.BEFORE


def test_a_rename_that_is_refused_for_another_reason_was_not_done_before(tmp_path: Path) -> None:
    with box_in(tmp_path, write_only=True, denies_rename=True).running() as box:
        location = partner(box, tmp_path, write_only=True)
        note = RenameNote.of(
            tmp_path / "locks",
            "partner",
            "drops/ours/marketing/openings/openings.csv",
            hashlib.sha256(CONTENT).hexdigest(),
        )
        note.write(Renaming.BEGUN)

        with pytest.raises(DeliveryError, match="refused to rename"):
            location.deliver(local(tmp_path, CONTENT), FOLDER, "openings.csv")

        assert note.read() is Renaming.BEGUN


def test_a_check_of_a_write_only_box_fails_where_a_rename_overwrites(tmp_path: Path) -> None:
    with box_in(tmp_path, write_only=True, overwrites=True).running() as box:
        with pytest.raises(
            DeliveryError, match="a rename overwrites a file that exists"
        ) as refused:
            list(partner(box, tmp_path, write_only=True).check())

        assert refused.value.step is DeliveryStep.RENAME


def test_a_write_only_box_that_has_such_a_file_refuses_another(tmp_path: Path) -> None:
    with box_in(tmp_path, write_only=True).running() as box:
        location = partner(box, tmp_path, write_only=True)
        location.deliver(local(tmp_path, CONTENT), FOLDER, "openings.csv")

        with pytest.raises(DeliveryError, match="refused to rename"):
            location.deliver(local(tmp_path, b"other"), FOLDER, "openings.csv")

    assert delivered(box)["openings.csv"] == CONTENT


def test_a_rename_whose_answer_was_lost_is_known_by_the_next_attempt(tmp_path: Path) -> None:
    with box_in(tmp_path, write_only=True, cuts_after_rename=True).running() as box:
        location = partner(box, tmp_path, write_only=True)
        with pytest.raises(PassingError):
            location.deliver(local(tmp_path, CONTENT), FOLDER, "openings.csv")

        receipt = location.deliver(local(tmp_path, CONTENT), FOLDER, "openings.csv")

    assert receipt.delivered is Delivered.BEFORE
    assert delivered(box)["openings.csv"] == CONTENT


def test_a_file_that_is_gone_after_its_rename_was_fetched(tmp_path: Path) -> None:
    with box_in(tmp_path, is_fetched=True).running() as box:
        receipt = partner(box, tmp_path).deliver(local(tmp_path, CONTENT), FOLDER, "openings.csv")

    assert receipt.delivered is Delivered.NOW
    assert delivered(box) == {}


@pytest.mark.parametrize("read_back", ["ends", "whole"])
def test_what_is_changed_while_it_is_stored_is_found_before_it_has_its_name(
    tmp_path: Path, read_back: str
) -> None:
    with box_in(tmp_path, stores=bytes.upper).running() as box:
        location = partner(box, tmp_path, read_back=read_back)

        with pytest.raises(DeliveryError, match="what the server has isn't what was sent"):
            location.deliver(local(tmp_path, CONTENT), FOLDER, "openings.csv")

    assert delivered(box) == {}


def test_a_check_reads_back_what_it_sent(tmp_path: Path) -> None:
    with (
        box_in(tmp_path, stores=bytes.upper).running() as box,
        pytest.raises(DeliveryError, match="what the server has isn't what was sent"),
    ):
        list(partner(box, tmp_path).check())

    assert files_in(box.root / "drops" / "ours") == {}


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 300_000])
@pytest.mark.parametrize("read_back", ["ends", "whole"])
def test_what_is_read_back_is_the_same_whatever_its_size(
    tmp_path: Path, read_back: str, size: int
) -> None:
    with box_in(tmp_path).running() as box:
        location = partner(box, tmp_path, read_back=read_back)

        receipt = location.deliver(local(tmp_path, bytes(size)), FOLDER, "openings.csv")

    assert (receipt.delivered, receipt.bytes) == (Delivered.NOW, size)
    assert delivered(box) == {"openings.csv": bytes(size)}
