"""A sweep finishes what killed runs have begun, with the bytes that it was to have."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from schemas.errors import HeldError
from schemas.events import Kind
from sinks.commands import closes
from sinks.commands import sweep as sweep_command
from sinks.locations import Folder, Receipt, Transferbox
from sinks.repair.release import Releaser
from sinks.scratch import is_in_use, scratch_folder
from sinks.setup import Sinks
from tests.shop.json_page import documented
from tests.shop.killed import CountedStore, KilledError, Steps, counted
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.planted import BOB, delete, live, state

CLOSED = at(6, 28)
NAME = "sent@20260328T060000.000Z"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """A window with Ann's and Bob's e-mail, not closed."""
    definitions = with_exports("sent", "profiles")
    folder = tmp_path_factory.mktemp("stored")
    (folder / "deltadrop.yaml").write_text(
        "root: data\nclose: {wait_seconds: 0.1, delay_seconds: 0}\n"
    )
    shop = OfflineShop(folder, definitions=definitions)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    live(shop, 1, "ANN", 7)
    live(shop, BOB, "BOB", 8)
    shop.store_all()
    return shop


def copied(stored: OfflineShop, folder: Path, steps: Steps | None = None) -> OfflineShop:
    return stored.copied(folder, CountedStore(folder / "data", steps) if steps else None)


@pytest.fixture
def sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[OfflineShop], tuple[int, dict[str, Any]]]:
    """Run the command on a shop; its exit code and what it told."""

    def run(shop: OfflineShop) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(Sinks, "of", shop.sinks_of)
        capsys.readouterr()
        code = 0
        try:
            sweep_command.sweep(config=shop.folder / "deltadrop.yaml", as_json=True)
        except typer.Exit as left:
            code = left.exit_code
        told = capsys.readouterr().out
        return code, documented("sweep", told[told.index("{\n") :])

    return run


def killed_while_delivering(stored: OfflineShop, folder: Path) -> OfflineShop:
    """The close of `sent` was killed when its file was in the transferbox, not the manifest."""
    shop = copied(stored, folder)
    reviser = counted(shop.sinks.reviser, shop.root, Steps(1))
    export = next(one for one in shop.sinks.exports if one.name == "sent")
    with pytest.raises(KilledError):
        reviser.closer.close(export, CLOSED, lambda lags: None)
    assert [name.removesuffix(".gz") for name in shop.drops()] == ["sent_20260328_0600.csv"]
    return shop


def test_a_close_that_was_begun_is_finished_with_the_same_bytes(
    stored: OfflineShop, tmp_path: Path, sweep: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    through = copied(stored, tmp_path / "through")
    through.close("sent", CLOSED)
    shop = killed_while_delivering(stored, tmp_path / "killed")

    code, told = sweep(shop)

    assert (code, told["closes"], told["left"]) == (0, [NAME], [])
    assert state(shop.root) == state(through.root)


def test_also_that_of_an_export_that_is_no_longer_defined(
    stored: OfflineShop, tmp_path: Path, sweep: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    killed = killed_while_delivering(stored, tmp_path / "killed")
    (killed.folder / "exports/sent.yaml").unlink()
    shop = OfflineShop(killed.folder, killed.log, stored=killed.stored, definitions={})

    assert sweep(shop)[1]["closes"] == [NAME]

    assert shop.sinks.ledger.outcome("sent", CLOSED) is not None


def test_nothing_new_is_begun_and_a_second_sweep_has_nothing_to_do(
    stored: OfflineShop, tmp_path: Path, sweep: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    shop = killed_while_delivering(stored, tmp_path / "killed")
    sweep(shop)

    assert sweep(shop) == (
        0,
        {
            **{"closes": [], "revisions": [], "held": [], "leftovers": 0, "left": []},
            **{"strange": [], "wrong": []},
        },
    )

    assert list(shop.sinks.ledger.closes("profiles")) == []


@pytest.mark.parametrize("finish", ["sweep", "close"])
def test_a_revision_that_was_begun_is_finished_by_a_sweep_and_by_the_next_close(
    stored: OfflineShop,
    tmp_path: Path,
    sweep: Callable[..., tuple[int, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    finish: str,
) -> None:
    """Killed before its first delivery, and before it removed what it replaces."""
    for step in (0, 2):
        shop = copied(stored, tmp_path / f"killed-{step}")
        shop.close("sent", CLOSED)
        shop.close("profiles", CLOSED)
        delete(shop, BOB, 31)
        shop.store_all()
        reviser = counted(shop.sinks.reviser, shop.root, Steps(step))
        with pytest.raises(KilledError):
            reviser.revise("sent", CLOSED, "a reason")

        if finish == "sweep":
            assert sweep(shop)[1]["revisions"] == [NAME]
        else:
            monkeypatch.setattr(Sinks, "of", shop.sinks_of)
            closes.close(["sent"], at=CLOSED.isoformat(), config=shop.folder / "deltadrop.yaml")

        names = [name for name in shop.drops() if name.startswith("sent")]
        revised = "sent_20260328_0600-r1.csv.gz"
        assert [one.removesuffix(".manifest.json") for one in names] == [revised] * len(names)
        assert shop.sinks.ledger.outcome("sent", CLOSED, 1) is not None


def test_what_is_held_waits_and_is_told(
    stored: OfflineShop, tmp_path: Path, sweep: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    shop = copied(stored, tmp_path / "held")
    file = shop.folder / "exports/sent.yaml"
    file.write_text(file.read_text() + "guard_rails: {rows_at_least: 3}\n")
    shop = shop.again()
    with pytest.raises(HeldError):
        shop.close("sent", CLOSED)

    code, told = sweep(shop)

    assert (code, told["held"]) == (0, [f"{NAME}: 2 rows, at least 3 are expected"])
    assert shop.drops() == []


def test_a_release_that_was_killed_is_finished(
    stored: OfflineShop, tmp_path: Path, sweep: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    shop = copied(stored, tmp_path / "held")
    file = shop.folder / "exports/sent.yaml"
    file.write_text(file.read_text() + "guard_rails: {rows_at_least: 3}\n")
    shop = shop.again()
    with pytest.raises(HeldError):
        shop.close("sent", CLOSED)
    releaser = Releaser(counted(shop.sinks.reviser, shop.root, Steps(0)))
    with pytest.raises(KilledError):
        releaser.release("sent", CLOSED, "a holiday")

    assert sweep(shop)[1]["closes"] == [NAME]

    assert shop.drops() != []


def test_what_cant_be_finished_is_told_and_doesnt_keep_the_others(
    stored: OfflineShop, tmp_path: Path, sweep: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    shop = killed_while_delivering(stored, tmp_path / "killed")
    shop.begin("profiles", CLOSED)
    for file in shop.transferbox.rglob("profiles"):
        shutil.rmtree(file)
    blocked = shop.transferbox / "profiles"
    blocked.write_text("a file where the folder should be")

    code, told = sweep(shop)

    assert (code, told["closes"]) == (3, [NAME])
    assert told["left"][0].startswith("profiles@20260328T060000.000Z can't be finished: ")


def test_half_written_files_go_when_they_are_older_than_an_hour(
    stored: OfflineShop, tmp_path: Path, sweep: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    shop = copied(stored, tmp_path / "shop")
    shop.close("sent", CLOSED)
    folder = shop.transferbox / "sent"
    old, young = folder / f".a.csv.{'1' * 32}.part", folder / f".b.csv.{'2' * 32}.part"
    for file in (old, young):
        file.write_text("half")
    scratch = shop.root / "scratch" / "tmp-of-a-killed-run"
    scratch.mkdir(parents=True)
    two_hours_ago = time.time() - 7200
    for path in (old, scratch):
        os.utime(path, (two_hours_ago, two_hours_ago))

    assert sweep(shop)[1]["leftovers"] == 2

    assert [file.exists() for file in (old, young, scratch)] == [False, True, False]


def test_in_the_transferbox_only_our_own_half_written_files_are_leftovers(
    stored: OfflineShop, tmp_path: Path, sweep: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    shop = copied(stored, tmp_path / "shop")
    box = shop.transferbox
    ours = [box / "sent" / f".a.csv.{'0' * 32}.part"]
    ours += [box / f".check.{'0' * 32}.part", box / f".check.{'0' * 32}.renamed.part"]
    theirs = [box / "sent" / ".upload-of-partner.part", box / "sent" / ".a.csv.01.part"]
    folder = box / "sent" / f".theirs.{'0' * 32}.part"
    folder.mkdir(parents=True)
    for file in (*ours, *theirs, folder / "kept"):
        file.write_text("half")
    for path in (*ours, *theirs, folder / "kept", folder):
        os.utime(path, (0, 0))

    code, told = sweep(shop)

    assert (code, told["leftovers"]) == (0, len(ours))
    assert [path.exists() for path in (*ours, *theirs, folder)] == [False] * 3 + [True] * 3


def test_a_scratch_folder_stays_while_its_run_lives_however_old_it_is(
    stored: OfflineShop, tmp_path: Path, sweep: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    """As beside a delivery, or a large drop's making, that takes hours."""
    shop = copied(stored, tmp_path / "shop")
    with scratch_folder(shop.root / "scratch") as folder:
        (folder / "sent.csv").write_text("on its way")
        for path in (folder / "sent.csv", folder):
            os.utime(path, (0, 0))

        assert sweep(shop)[1]["leftovers"] == 0

        assert (folder / "sent.csv").exists()


def test_a_close_has_its_scratch_folders_locked_while_it_delivers(
    stored: OfflineShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = copied(stored, tmp_path / "shop")
    in_use: list[bool] = []

    def deliver(box: Transferbox, local: Path, folder: Folder, name: str) -> Receipt:
        in_use.extend(is_in_use(one) for one in (shop.root / "scratch").iterdir() if one.is_dir())
        return delivered(box, local, folder, name)

    delivered = Transferbox.deliver
    monkeypatch.setattr(Transferbox, "deliver", deliver)
    shop.close("sent", CLOSED)

    assert in_use
    assert all(in_use)
