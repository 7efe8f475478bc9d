"""A full disk is told as one, with what settles it, by whatever command ran into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from schemas.events import Kind
from tests.faults.disk import FILLER, fill, small_disk
from tests.shop.offline import OfflineShop, at, with_exports

MIB = 1 << 20
TOLD = "No space left on device; free some space, or point `root` to a larger disk; then run again"


@pytest.mark.parametrize(("command", "after"), [(["preview", "profiles"], 0), (["erase"], 0)])
def test_a_command_on_a_full_disk_says_so_and_runs_once_there_is_space(
    tmp_path: Path, command: list[str], after: int
) -> None:
    with small_disk(tmp_path, 8 * MIB) as disk:
        folder = tmp_path / "shop"
        folder.mkdir()
        (folder / "data").symlink_to(disk)
        (folder / "deltadrop.yaml").write_text("root: data\n")
        shop = OfflineShop(folder, definitions=with_exports("profiles"))
        shop.tell(Kind.PROFILE, "CREATED", at(7), profileId=1)
        shop.store_all()
        fill(disk)

        full = _run(folder, command)
        (disk / FILLER).unlink()
        mended = _run(folder, command)

    assert (full.returncode, full.stdout) == (1, "")
    assert full.stderr.splitlines()[-1].endswith(TOLD)
    assert "Traceback" not in full.stderr
    assert mended.returncode == after, mended.stderr


def _run(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("deltadrop")
    return subprocess.run(
        [program, *command], cwd=folder, capture_output=True, text=True, check=False
    )
