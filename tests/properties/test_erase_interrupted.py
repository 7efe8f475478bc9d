"""An erase pass that is killed anywhere and run again ends where one that ran through does."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from schemas.events import Kind
from sinks.erasure.eraser import Eraser
from tests.shop.forked import ForkedProcess
from tests.shop.killed import CountedStore, KilledError, Steps, counted
from tests.shop.offline import OfflineShop, at
from tests.shop.planted import BOB, delete, finds, live, state


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """One person, one closed window of one export, and the person's deletion."""
    shop = OfflineShop(tmp_path_factory.mktemp("before"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    live(shop, BOB, "PLANTED", 2)
    shop.store_all()
    shop.close("sent", at(6))
    delete(shop, BOB, 7)
    shop.store_all()
    return shop


def copied(shop: OfflineShop, folder: Path, steps: Steps) -> tuple[OfflineShop, Eraser]:
    copy = shop.copied(folder, CountedStore(folder / "data", steps))
    eraser = copy.sinks.eraser
    reviser = counted(eraser.reviser, copy.root, steps)
    return copy, dataclasses.replace(eraser, reviser=reviser)


def test_a_pass_that_was_killed_before_any_of_its_steps_is_run_again(
    before: OfflineShop, tmp_path: Path
) -> None:
    steps = Steps(None)
    through, eraser = copied(before, tmp_path / "through", steps)
    eraser.run()
    expected = state(through.root)
    assert finds(through.root) == set()
    assert steps.done > 15, "tombstones, files, waiting facts, a revision, what is settled"

    for number in range(steps.done):
        shop, eraser = copied(before, tmp_path / f"killed-{number}", Steps(number))
        with pytest.raises(KilledError):
            eraser.run()
        report = shop.again().sinks.eraser.run()
        assert report.left == []
        assert state(shop.root) == expected, f"killed before step {number}"
        shutil.rmtree(shop.folder)


@pytest.mark.parametrize("tombstone", ["erasure/tombstones", "ledger/exports/sent"])
def test_a_pass_that_got_a_sigkill_is_run_again(
    before: OfflineShop, tmp_path: Path, tombstone: str
) -> None:
    """Killed as soon as the first file appears there: tombstones, and a revision."""
    through, eraser = copied(before, tmp_path / "through", Steps(None))
    eraser.run()
    shop, _ = copied(before, tmp_path / "killed", Steps(None))
    folder = shop.root / tombstone
    known = set(folder.rglob("*.*"))

    process = ForkedProcess([sys.executable, "-m", "tests.shop.erasing", str(shop.folder)])
    while process.poll() is None and set(folder.rglob("*.*")) <= known:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()

    shop.again().sinks.eraser.run()
    assert {k: v for k, v in state(shop.root).items() if not _is_left_behind(k)} == state(
        through.root
    )


def _is_left_behind(name: str) -> bool:
    """Half-written, and in its first hour."""
    return name.startswith("scratch/") or "/.aside-" in name or name.endswith(".part")
