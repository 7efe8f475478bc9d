"""A drop goes to each location of its export, each with its own receipt (SPEC §4, §7)."""

import dataclasses
import errno
import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest

from schemas.errors import CloseError, UnforeseenError
from schemas.events import Kind
from sinks.closing.deliveries import with_retries
from sinks.closing.running import attempt
from sinks.exports.definition import WhenEmpty
from sinks.locations import (
    TRANSFERBOX,
    Delivered,
    DeliveryError,
    Folder,
    PassingError,
    Receipt,
    Terms,
)
from tests.shop.offline import OfflineShop, at
from tests.shop.partner import PARTNER, Fickle, delivering


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    """One drop to make, for the transferbox and the partner."""
    (tmp_path / "site").mkdir()
    shop = OfflineShop(tmp_path / "site")
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(2), interactionId=1, campaignId=22, profileId=7)
    shop.store_all()
    return shop


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


DROP = "crm/sent/sent_20260327_0600.csv.gz"
DROP_NAME = Path(DROP).name


def test_a_drop_goes_to_all_its_locations_with_a_receipt_from_each(
    shop: OfflineShop, tmp_path: Path
) -> None:
    outcome = delivering(shop, tmp_path / PARTNER).close("sent", at(6))

    assert files(tmp_path / PARTNER) == [DROP, f"{DROP}.manifest.json"]
    assert files(shop.root / TRANSFERBOX) == [DROP, f"{DROP}.manifest.json"]
    assert [receipt.split(": ")[0] for receipt in outcome.receipts] == [
        PARTNER,
        PARTNER,
        TRANSFERBOX,
        TRANSFERBOX,
    ]


def test_a_location_that_fails_fails_the_close_and_not_the_others(
    shop: OfflineShop, tmp_path: Path
) -> None:
    failing = delivering(shop, tmp_path / PARTNER, refusals=3)

    with pytest.raises(CloseError, match=r"^partner: closed for lunch$"):
        failing.close("sent", at(6))

    assert files(shop.root / TRANSFERBOX) == [DROP, f"{DROP}.manifest.json"]
    assert failing.sinks.ledger.intent("sent", at(6)) is not None
    assert failing.sinks.ledger.outcome("sent", at(6)) is None


def test_the_next_run_delivers_what_failed_and_only_that(shop: OfflineShop, tmp_path: Path) -> None:
    with pytest.raises(CloseError):
        delivering(shop, tmp_path / PARTNER, refusals=3).close("sent", at(6))
    for file in (shop.root / TRANSFERBOX).rglob("*.gz"):
        file.unlink()  # its reader has taken it away

    outcome = delivering(shop, tmp_path / PARTNER).close("sent", at(6))

    assert files(tmp_path / PARTNER) == [DROP, f"{DROP}.manifest.json"]
    assert files(shop.root / TRANSFERBOX) == [f"{DROP}.manifest.json"], "it isn't sent twice"
    assert len(outcome.receipts) == 4


def test_all_failures_are_told_at_once(shop: OfflineShop, tmp_path: Path) -> None:
    failing = delivering(shop, tmp_path / PARTNER, refusals=3)
    (shop.root / TRANSFERBOX).write_text("a file where the folder should be")

    with pytest.raises(CloseError, match=r"2 locations failed: partner: .* \| .*Not a directory"):
        failing.close("sent", at(6))


class Broken(Fickle):
    """A place whose code fails in a way of its own."""

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        raise KeyError("lunch")


def test_a_location_that_fails_unforeseen_is_told_as_that_and_keeps_no_other_from_its_drop(
    shop: OfflineShop, tmp_path: Path
) -> None:
    failing = delivering(shop, tmp_path / PARTNER, kind=Broken)

    with pytest.raises(UnforeseenError) as failure:
        failing.close("sent", at(6))

    assert str(failure.value) == (
        "location 'partner': failed unforeseen: KeyError: 'lunch'; "
        "the log has the details; what was delivered stays, and running again is safe"
    )
    assert failure.value.cause == "unforeseen: KeyError"
    assert files(shop.root / TRANSFERBOX) == [DROP, f"{DROP}.manifest.json"]


def test_a_full_disk_at_one_location_is_told_as_that(
    shop: OfflineShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = delivering(shop, tmp_path / PARTNER, kind=Broken)

    def full(*_: object) -> Receipt:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Broken, "deliver", full)

    with pytest.raises(CloseError, match=r"^location 'partner': can't be made: No space left"):
        failing.close("sent", at(6))

    assert files(shop.root / TRANSFERBOX) == [DROP, f"{DROP}.manifest.json"]


def test_what_fails_unforeseen_after_a_delivery_doesnt_say_that_nothing_was_sent(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("record")

    monkeypatch.setattr(type(shop.sinks.ledger), "record_outcome", broken)
    export = next(one for one in shop.sinks.exports if one.name == "sent")

    with pytest.raises(UnforeseenError) as failure:
        attempt(shop.sinks.closer, export, at(6), lambda lags: None)

    assert files(shop.root / TRANSFERBOX) == [DROP, f"{DROP}.manifest.json"]
    assert "nothing was sent" not in str(failure.value)


def test_a_ready_file_is_written_last_and_manifests_can_be_off(
    shop: OfflineShop, tmp_path: Path
) -> None:
    terms = Terms(manifests=False, ready_file=".ready")

    outcome = delivering(shop, tmp_path / PARTNER, terms=terms).close("sent", at(6))

    assert files(tmp_path / PARTNER) == [DROP, f"{DROP}.ready"]
    last = [receipt for receipt in outcome.receipts if receipt.startswith(PARTNER)][-1]
    assert last.endswith(".ready")


def test_neither_ready_nor_checksum_file_says_that_a_file_which_is_skipped_is_there(
    shop: OfflineShop, tmp_path: Path
) -> None:
    terms = Terms(ready_file=".ready", checksum_file=True)
    closing = delivering(shop, tmp_path / PARTNER, terms=terms)
    sent = next(one for one in closing.sinks.exports if one.name == "sent")
    skipping = sent.definition.model_copy(update={"when_empty": WhenEmpty.SKIP})
    empty = dataclasses.replace(sent, definition=skipping)
    closing.close("sent", at(6))

    assert closing.sinks.closer.close(empty, at(6, 28), lambda lags: None).file is None

    assert [name for name in files(tmp_path / PARTNER) if "0328" in name] == [
        "crm/sent/sent_20260328_0600.csv.gz.manifest.json"
    ]


def test_a_name_that_another_window_has_is_refused_before_it_starts(
    shop: OfflineShop, tmp_path: Path
) -> None:
    closing = delivering(shop, tmp_path / PARTNER)
    closing.close("sent", at(6))
    for place in (shop.root / TRANSFERBOX, tmp_path / PARTNER):
        for file in place.rglob("*.gz"):
            file.unlink()  # its reader has taken it away

    with pytest.raises(CloseError) as refused:
        closing.close("sent", at(6.001))

    assert str(refused.value) == (
        f"export 'sent': the file name {DROP_NAME} is taken by another window, "
        "20260327T060000.000Z; give the suffix a time, as _yyyyMMdd_HHmmss, "
        "for several windows a day"
    )
    assert shop.sinks.ledger.intent("sent", at(6.001)) is None


def test_a_name_that_a_file_of_others_has_is_refused_as_that_before_it_starts(
    shop: OfflineShop, tmp_path: Path
) -> None:
    taken = tmp_path / PARTNER / DROP
    taken.parent.mkdir(parents=True)
    taken.write_text("a file of the partner's own")

    with pytest.raises(CloseError) as refused:
        delivering(shop, tmp_path / PARTNER).close("sent", at(6))

    assert str(refused.value) == (
        f"export 'sent': the file name {DROP_NAME} is taken at 'partner' by a file that "
        "isn't of this export; it is never overwritten: ask whose it is, move it away, "
        "then run again"
    )
    assert shop.sinks.ledger.intent("sent", at(6)) is None


def test_a_checksum_file_that_sha256sum_accepts_comes_before_the_ready_file(
    shop: OfflineShop, tmp_path: Path
) -> None:
    terms = Terms(manifests=False, ready_file=".ready", checksum_file=True)

    outcome = delivering(shop, tmp_path / PARTNER, terms=terms).close("sent", at(6))

    theirs = [receipt for receipt in outcome.receipts if receipt.startswith(PARTNER)]
    assert [receipt.rpartition(DROP_NAME)[2] for receipt in theirs] == ["", ".sha256", ".ready"]
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", f"{DROP_NAME}.sha256"],
        cwd=(tmp_path / PARTNER / DROP).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, f"{DROP_NAME}: OK\n")


@pytest.mark.parametrize("ending", [".manifest.json", ".sha256", ".ready"])
def test_a_name_is_taken_too_where_only_what_goes_beside_its_file_is_there(
    shop: OfflineShop, tmp_path: Path, ending: str
) -> None:
    taken = tmp_path / PARTNER / f"{DROP}{ending}"
    taken.parent.mkdir(parents=True)
    taken.write_text("a file of the partner's own")

    terms = Terms(ready_file=".ready", checksum_file=True)
    with pytest.raises(CloseError, match=f"the file name {taken.name} is taken at 'partner'"):
        delivering(shop, tmp_path / PARTNER, terms=terms).close("sent", at(6))

    assert shop.sinks.ledger.intent("sent", at(6)) is None
    assert files(shop.root / TRANSFERBOX) == []


def test_other_bytes_beside_a_begun_drop_are_told_with_what_settles_it(
    shop: OfflineShop, tmp_path: Path
) -> None:
    with pytest.raises(CloseError, match="closed for lunch"):
        delivering(shop, tmp_path / PARTNER, refusals=3).close("sent", at(6))
    taken = tmp_path / PARTNER / f"{DROP}.manifest.json"
    taken.parent.mkdir(parents=True)
    taken.write_text("a file of the partner's own")
    closing = delivering(shop, tmp_path / PARTNER)

    with pytest.raises(CloseError, match=r"with other bytes; .* move the file away, then run ag"):
        closing.close("sent", at(6))
    taken.unlink()

    assert len(closing.close("sent", at(6)).receipts) == 4


def test_a_location_that_is_gone_from_the_settings_fails_the_close_that_names_it(
    shop: OfflineShop, tmp_path: Path
) -> None:
    with pytest.raises(CloseError):
        delivering(shop, tmp_path / PARTNER, refusals=3).close("sent", at(6))

    with pytest.raises(CloseError, match="location 'partner' isn't in the settings any more"):
        shop.again().close("sent", at(6))


class Forgetful(Fickle):
    """A partner's folder whose partner takes a data file away at once, and refuses manifests."""

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        if name.endswith(".manifest.json"):
            raise DeliveryError("no manifests today", where=PARTNER)
        receipt = super().deliver(local, folder, name)
        Path(receipt.address).unlink()
        return receipt


def test_a_file_that_a_location_took_isn_t_sent_again_when_its_manifest_failed(
    shop: OfflineShop, tmp_path: Path
) -> None:
    failing = delivering(shop, tmp_path / PARTNER, kind=Forgetful)
    with pytest.raises(CloseError, match="no manifests today"):
        failing.close("sent", at(6))

    outcome = delivering(shop, tmp_path / PARTNER).close("sent", at(6))

    assert files(tmp_path / PARTNER) == [f"{DROP}.manifest.json"], "the data file isn't sent twice"
    assert [one.split(": ")[0] for one in outcome.receipts].count(PARTNER) == 2
    entries = (shop.root / "ledger").glob("*/sent/**/*.json")
    assert sorted(one.name for one in entries) == [
        "at.partner.json",
        "at.transferbox.json",
        "intent.json",
        "outcome.json",
    ]


class Watched(Fickle):
    """A partner's folder that gets its drop after the transferbox's consumer had its fun."""

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        for file in (self.root.parent / "site" / "data" / TRANSFERBOX).rglob(name):
            file.write_bytes(b"")  # in place, as an editor or `> file` does
        return super().deliver(local, folder, name)


def test_what_a_consumer_changes_in_the_transferbox_changes_no_other_location_s_bytes(
    shop: OfflineShop, tmp_path: Path
) -> None:
    watched = delivering(shop, tmp_path / PARTNER, kind=Watched, last=True)

    outcome = watched.close("sent", at(6))

    sent = (tmp_path / PARTNER / DROP).read_bytes()
    assert hashlib.sha256(sent).hexdigest() == outcome.sha256
    assert (tmp_path / PARTNER / f"{DROP}.manifest.json").stat().st_size > 0
    assert (shop.root / TRANSFERBOX / DROP).read_bytes() == b""


def test_the_transferbox_alone_links_the_file_that_was_made(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a copy costs the close's speed")

    monkeypatch.setattr("sinks.closing.deliveries.shutil.copyfile", refused)

    shop.close("sent", at(6))

    assert DROP in files(shop.root / TRANSFERBOX)


class Spoiling(Fickle):
    """A place that changes the file it is handed."""

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        receipt = super().deliver(local, folder, name)
        local.write_bytes(b"spoilt")
        return receipt


def test_a_file_that_changed_since_it_was_made_is_delivered_nowhere_else(
    shop: OfflineShop, tmp_path: Path
) -> None:
    with pytest.raises(CloseError, match="the file was changed since it was made: sha256"):
        delivering(shop, tmp_path / PARTNER, kind=Spoiling).close("sent", at(6))

    assert files(shop.root / TRANSFERBOX) == []


# Trying again.


def test_what_may_pass_is_tried_again_after_pauses_that_double(tmp_path: Path) -> None:
    place = Fickle(tmp_path / PARTNER, 3, PassingError)
    local = tmp_path / "local"
    local.write_bytes(b"x")
    pauses: list[float] = []

    receipt = with_retries(
        Terms(attempts=4, retry_seconds=2),
        lambda: place.deliver(local, Folder("crm", "sent"), "x.csv"),
        pauses.append,
    )

    assert (receipt.delivered, pauses) == (Delivered.NOW, [2, 4, 8])


def test_trying_again_has_a_limit(tmp_path: Path) -> None:
    place = Fickle(tmp_path / PARTNER, 3, PassingError)
    pauses: list[float] = []

    with pytest.raises(PassingError):
        with_retries(
            Terms(attempts=3, retry_seconds=40),
            lambda: place.deliver(tmp_path, Folder("crm", "sent"), "x.csv"),
            pauses.append,
        )

    assert pauses == [40, 60], "no pause is longer than a minute"


def test_no_attempt_begins_after_all_the_time_that_a_location_has(tmp_path: Path) -> None:
    place = Fickle(tmp_path / PARTNER, 3, PassingError)
    pauses: list[float] = []

    with pytest.raises(PassingError):
        with_retries(
            Terms(attempts=3, retry_seconds=40),
            lambda: place.deliver(tmp_path, Folder("crm", "sent"), "x.csv"),
            pauses.append,
            until=time.monotonic() + 39,
        )

    assert pauses == []


def test_what_won_t_pass_by_itself_isn_t_tried_again(tmp_path: Path) -> None:
    place = Fickle(tmp_path / PARTNER, 1, DeliveryError)
    pauses: list[float] = []

    with pytest.raises(DeliveryError, match="closed for lunch"):
        with_retries(
            Terms(attempts=3, retry_seconds=1),
            lambda: place.deliver(tmp_path, Folder("crm", "sent"), "x.csv"),
            pauses.append,
        )

    assert pauses == []
