"""The script for receivers comes to the verdict of `deltadrop verify`, on every golden file."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from sinks.drops.verify import verify

ROOT: Final = Path(__file__).parents[3]
SCRIPT: Final = ROOT / "deploy" / "partner" / "verify.py"
GOLDEN: Final = sorted((ROOT / "tests" / "golden").glob("*/*/expected.csv"))
INSTANT: Final = {"utc": "2026-03-29T04:00:00.000+00:00", "local": "2026-03-29T06:00:00.000+02:00"}


def drop(folder: Path, golden: Path, packed: bytes | None = None, **entry: Any) -> Path:
    """A golden file as it is delivered, with its manifest, whose moments are those of a clock."""
    content = golden.read_bytes() if packed is None else packed
    file = folder / f"{golden.parent.parent.name}-{golden.parent.name}.csv"
    file.write_bytes(content)
    manifest = json.loads((golden.parent / "manifest.json").read_text(encoding="utf-8"))
    manifest |= {"drop": "export@20260329T040000.000Z", "previous_drop": None}
    manifest["window"] |= {"begin": INSTANT, "end": INSTANT, "hours": 23.0, "remark": None}
    for offsets in manifest["offsets"]:
        offsets["topic_id"] = "00000000-0000-0000-0000-000000000001"
    manifest["file"] |= {
        "name": file.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "compression": "none",
        **entry,
    }
    manifest["file"].pop("inner_name", None) if "inner_name" not in entry else None
    file.with_name(f"{file.name}.manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return file


def run(*files: Path) -> tuple[int, list[str]]:
    """The script as a receiver runs it: without any package, nor this project on its path."""
    command = [sys.executable, "-I", "-S", str(SCRIPT), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()


def test_it_finds_every_golden_file_as_its_manifest_says(tmp_path: Path) -> None:
    files = [drop(tmp_path, golden) for golden in GOLDEN]
    assert len(files) >= 40

    assert [file for file in files if not verify(file).is_well] == []
    assert run(*files) == (0, [f"{file}: as its manifest says" for file in files])


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda content: content[:-1] + b"x", "SHA-256"),
        (lambda content: content + b"1,2\n", "rows"),
        (lambda content: b"other" + content, "header"),
        (lambda content: content[:-4], "bytes"),
    ],
)
def test_it_finds_what_was_damaged_on_the_way(tmp_path: Path, damage: Any, found: str) -> None:
    files = [drop(tmp_path, golden) for golden in GOLDEN]
    for file in files:
        file.write_bytes(damage(file.read_bytes()))

    code, lines = run(*files)

    assert [file for file in files if verify(file).is_well] == []
    assert code == 1
    for file in files:
        own = [line for line in lines if line.startswith(f"{file}: ")]
        assert own, file
        assert f"{file}: as its manifest says" not in own
    assert any(found in line for line in lines)


def test_it_reads_gzip_and_zip(tmp_path: Path) -> None:
    golden = GOLDEN[0]
    content = golden.read_bytes()
    zipped = tmp_path / "made.zip"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("drop.csv", content)

    (tmp_path / "gzip").mkdir()
    files = [
        drop(tmp_path / "gzip", golden, gzip.compress(content), compression="gzip"),
        drop(tmp_path, golden, zipped.read_bytes(), compression="zip", inner_name="drop.csv"),
    ]

    assert run(*files) == (0, [f"{file}: as its manifest says" for file in files])


def test_a_window_that_was_skipped_has_no_file(tmp_path: Path) -> None:
    file = drop(tmp_path, GOLDEN[0])
    manifest = file.with_name(f"{file.name}.manifest.json")
    fields = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**fields, "file": None}), encoding="utf-8")

    with_file = run(file)
    file.unlink()

    assert with_file == (1, [f"{file}: is there, though its manifest says that it was skipped"])
    assert run(file) == (0, [f"{file}: as its manifest says"])


def test_what_cant_be_read_is_said_in_a_line(tmp_path: Path) -> None:
    code, lines = run(tmp_path / "nothing.csv")

    assert code == 2
    assert len(lines) == 1
    assert "can't be checked" in lines[0]
