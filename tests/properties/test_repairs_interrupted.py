"""A hold, a release and a redrop that are killed before any of their writes, and run again, end
where ones that ran through do.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import HeldError
from schemas.events import Kind
from sinks.repair.redrop import Redropper
from sinks.repair.release import Releaser
from sinks.repair.revise import Reviser
from tests.shop.killed import CountedStore, KilledError, Steps, counted
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.planted import BOB, delete, live, state

HELD = at(6, 28)
CLOCKS = ("held_at", "released_at", "checksum")


def kept(root: Path) -> dict[str, object]:
    """All that an installation keeps, without the clock's part."""
    told = state(root)
    for name in told:
        if name.endswith(("held.json", "release.json")):
            fields: dict[str, Any] = json.loads((root / name).read_bytes())
            told[name] = {key: value for key, value in fields.items() if key not in CLOCKS}
    return told


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """One person's window, of which a guard rail expects more."""
    definitions = with_exports("sent")
    definitions["exports/sent.yaml"] += "guard_rails: {rows_at_least: 3}\n"
    shop = OfflineShop(tmp_path_factory.mktemp("before"), definitions=definitions)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    live(shop, BOB, "PLANTED", 8)
    shop.store_all()
    return shop


def copied(shop: OfflineShop, folder: Path, steps: Steps) -> tuple[OfflineShop, Reviser]:
    copy = shop.copied(folder, CountedStore(folder / "data", steps))
    return copy, counted(copy.sinks.reviser, copy.root, steps)


def hold(shop: OfflineShop, reviser: Reviser) -> None:
    with pytest.raises(HeldError):
        reviser.closer.close(shop.sinks.exports[0], HELD, lambda lags: None)


def release(shop: OfflineShop, reviser: Reviser) -> None:
    Releaser(reviser).release("sent", HELD, "a holiday")


def redrop(shop: OfflineShop, reviser: Reviser) -> None:
    Redropper(reviser).redrop("sent", HELD)


def redrop_by_today(shop: OfflineShop, reviser: Reviser) -> None:
    Redropper(reviser).redrop("sent", HELD, "fewer columns", shop.sinks.exports[0])


def interrupted_anywhere(
    shop: OfflineShop, folder: Path, act: Callable[[OfflineShop, Reviser], None], least: int
) -> OfflineShop:
    """Kill an act before each of its steps, run it again, and compare; returns where it ends."""
    steps = Steps(None)
    through, reviser = copied(shop, folder / "through", steps)
    act(through, reviser)
    expected = kept(through.root)
    assert steps.done >= least

    for number in range(steps.done):
        killed, reviser = copied(shop, folder / f"killed-{number}", Steps(number))
        with pytest.raises(KilledError):
            act(killed, reviser)
        again = killed.again()
        act(again, again.sinks.reviser)
        assert kept(killed.root) == expected, f"killed before step {number}"
        shutil.rmtree(killed.folder)
    return through


def test_what_was_killed_before_any_of_its_writes_is_run_again(
    before: OfflineShop, tmp_path: Path
) -> None:
    # Cuts, an intent, the hold; then its release, two files, their receipt, an outcome.
    held = interrupted_anywhere(before, tmp_path / "held", hold, least=5)
    released = interrupted_anywhere(held, tmp_path / "released", release, least=5)

    assert released.drops()[0] == "sent_20260328_0600.csv.gz"

    # The same bytes where they are missing: a file and its receipt, which is there.
    for file in released.transferbox.rglob("*.gz"):
        file.unlink()
    there = interrupted_anywhere(released, tmp_path / "redrop", redrop, least=2)
    assert there.drops()[0] == "sent_20260328_0600.csv.gz"

    # A revision: its intent, two files, their receipt, its outcome, the former manifest that goes.
    definition = released.folder / "exports/sent.yaml"
    definition.write_text(definition.read_text() + "columns: [interactionId]\n")
    revised = interrupted_anywhere(released, tmp_path / "revised", redrop_by_today, least=6)
    assert revised.drops()[0] == "sent_20260328_0600-r1.csv.gz"


def test_a_deletion_between_the_two_runs_of_a_release_makes_it_a_revision(
    before: OfflineShop, tmp_path: Path
) -> None:
    """The deletions are those of the release, which the first run recorded: what one location has
    by then keeps its bytes, and a revision without these people takes its place everywhere.
    """
    shop, reviser = copied(before, tmp_path / "held", Steps(None))
    hold(shop, reviser)
    killed, reviser = copied(shop, tmp_path / "killed", Steps(3))
    with pytest.raises(KilledError):
        release(killed, reviser)
    (sent,) = [file for file in killed.transferbox.rglob("*") if file.suffix == ".gz"]
    first = sent.read_bytes()
    again = killed.again()
    delete(again, BOB, 32)
    again.store_all()

    release(again, again.sinks.reviser)

    assert sent.read_bytes() == first
    assert again.sinks.sweeper.finish_revisions().revisions == ["sent@20260328T060000.000Z"]
    revision = "sent_20260328_0600-r1.csv.gz"
    assert again.drops() == [revision, f"{revision}.manifest.json"]
