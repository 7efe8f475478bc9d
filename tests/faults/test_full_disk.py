"""A full disk is told as one, with what settles it, by whatever command ran into it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.events import Kind
from schemas.full_disk import what_is_full
from tests.faults.disk import FILLER, fill, small_disk
from tests.shop.offline import OfflineShop, at, with_exports

MIB = 1 << 20
TOLD = "No space left on device; free some space, or point `root` to a larger disk; then run again"


@pytest.mark.parametrize("command", [["preview", "profiles"], ["erase"]])
def test_a_command_on_a_full_disk_says_so_and_runs_once_there_is_space(
    tmp_path: Path, command: list[str]
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
    assert mended.returncode == 0, mended.stderr


def _run(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("deltadrop")
    return subprocess.run(
        [program, *command], cwd=folder, capture_output=True, text=True, check=False
    )


def _by_python(file: Path) -> None:
    file.write_bytes(bytes(2 * MIB))


def _by_arrow(file: Path) -> None:
    pq.write_table(pa.table({"a": np.random.default_rng(1).bytes(2 * MIB).hex().split("0")}), file)


def _by_duckdb(file: Path) -> None:
    query = "SELECT uuid() AS a FROM range(200000)"
    duckdb.sql(f"COPY ({query}) TO '{file}' (FORMAT parquet)")


@pytest.mark.parametrize("write", [_by_python, _by_arrow, _by_duckdb])
def test_a_full_disk_is_known_whatever_writes_to_it(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    with small_disk(tmp_path, MIB) as disk, pytest.raises(Exception) as failed:
        write(disk / "file")

    assert what_is_full(failed.value) == "No space left on device"


def test_another_fault_is_no_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError) as failed:
        _by_python(tmp_path)

    assert what_is_full(failed.value) is None
