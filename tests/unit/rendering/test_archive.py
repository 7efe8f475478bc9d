"""Zip archives as drops have them: one file, the same bytes each time, open to every reader."""

import hashlib
import io
import shutil
import subprocess
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sinks.drops.unpack import unpacked
from sinks.rendering import archive as archives
from sinks.rendering.archive import archive
from sinks.rendering.compress import Compression, Contents, deflate
from sinks.rendering.layout import Layout, RenderedColumn
from sinks.rendering.render import render

NAME = "openings_20261125.csv"
LINES = "".join(f"{i}\n" for i in range(200_000))
NUMBERS = pa.table({"number": pa.array(range(200_000), pa.int64())})
LAYOUT = Layout([RenderedColumn("number", "number")], compression=Compression.ZIP)
GIB = 2**30


def written(threads: int = 2) -> bytes:
    """A drop of several chunks."""
    out = io.BytesIO()
    render([NUMBERS], LAYOUT, out, inner_name=NAME, threads=threads)
    return out.getvalue()


def write(path: Path, parts: Iterable[bytes]) -> Path:
    with path.open("wb") as out:
        for part in parts:
            out.write(part)
    return path


def test_an_archive_holds_one_file_under_the_inner_name(tmp_path: Path) -> None:
    path = write(tmp_path / "openings_20261125.zip", [written()])

    with zipfile.ZipFile(path) as opened:
        assert opened.namelist() == [NAME]
        assert opened.read(NAME).decode() == f"number\n{LINES}"


def test_an_archives_bytes_depend_on_the_rows_alone() -> None:
    """No clock, no machine, no number of threads: what a drop made again must have."""
    made = written(threads=1)

    (entry,) = zipfile.ZipFile(io.BytesIO(made)).infolist()

    assert made == written(threads=3)
    assert entry.date_time == (1980, 1, 1, 0, 0, 0)
    assert (entry.create_system, entry.external_attr, entry.extra, entry.comment) == (
        0,
        0,
        b"",
        b"",
    )


def test_an_archive_is_written_without_going_back() -> None:
    """A stream that can't seek is enough: sizes come after the data."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.sha256 = hashlib.sha256()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.sha256.update(data)  # type: ignore[arg-type]
            return len(data)  # type: ignore[arg-type]

    pipe = Pipe()
    rendered = render([NUMBERS], LAYOUT, pipe, inner_name=NAME)  # type: ignore[arg-type]

    assert rendered.sha256 == pipe.sha256.hexdigest()
    assert rendered.sha256 == hashlib.sha256(written()).hexdigest()


def test_an_archive_needs_a_name_for_the_file_in_it() -> None:
    with pytest.raises(ValueError, match="a zip archive needs a name for the file in it"):
        render([NUMBERS], LAYOUT, io.BytesIO())


@pytest.mark.parametrize("wide", [False, True])
def test_unzip_finds_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wide: bool) -> None:
    if shutil.which("unzip") is None:
        pytest.skip("unzip isn't installed; Python's zipfile reads the same archives above")
    if wide:
        monkeypatch.setattr(archives, "_WIDE_FROM", 1)
    path = write(tmp_path / "drop.zip", [written()])

    tested = subprocess.run(["unzip", "-t", path], capture_output=True, text=True, check=False)

    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert f"testing: {NAME}" in tested.stdout
    assert tested.stderr == ""


def test_pandas_and_polars_read_an_archive(tmp_path: Path) -> None:
    path = write(tmp_path / "drop.zip", [written()])

    by_pandas = pd.read_csv(path)
    with zipfile.ZipFile(path) as opened:  # polars' read_csv and DuckDB's know no archives
        by_polars = pl.read_csv(opened.read(NAME))

    assert by_pandas["number"].tolist() == list(range(200_000))
    assert by_polars["number"].to_list() == list(range(200_000))


def test_sizes_of_64_bits_are_read_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The form of archives over 4 GiB, at a size that a test can have."""
    monkeypatch.setattr(archives, "_WIDE_FROM", 1)
    made = written()

    with zipfile.ZipFile(io.BytesIO(made)) as opened:
        (entry,) = opened.infolist()
        assert opened.read(NAME).decode() == f"number\n{LINES}"

    assert entry.extract_version == 45
    assert b"PK\6\6" in made
    assert b"PK\6\7" in made


def test_a_file_of_more_than_4_gib_is_in_an_archive_as_it_is(tmp_path: Path) -> None:
    block = deflate(b"1\n" * (128 * 1024 * 1024))
    path = write(tmp_path / "drop.zip", archive(NAME, [block] * 17))

    with zipfile.ZipFile(path) as opened:
        entry = opened.getinfo(NAME)
    with path.open("rb") as read:
        pieces = unpacked(iter(lambda: read.read(1_000_000), b""), Compression.ZIP, NAME)
        length = sum(len(piece) for piece in pieces)

    assert entry.file_size == length == 17 * GIB // 4
    assert entry.compress_size < 100_000_000


def test_the_directory_tells_where_it_begins_beyond_4_gib() -> None:
    """By the numbers alone: writing so many bytes would take a test too long."""
    contents = Contents(crc32=7, length=20 * GIB, packed=5 * GIB)

    ending = archives.ending(NAME, contents)

    descriptor, header = 24, 46 + len(NAME) + 20
    record = ending[descriptor + header :]
    offset = len(archives.beginning(NAME)) + 5 * GIB + descriptor
    assert record[:4] == b"PK\6\6"
    assert int.from_bytes(record[40:48], "little") == header
    assert int.from_bytes(record[48:56], "little") == offset
    locator = record[56:76]
    assert locator[:4] == b"PK\6\7"
    assert int.from_bytes(locator[8:16], "little") == offset + header
    assert record[76:80] == b"PK\5\6"
    assert record[92:96] == b"\xff" * 4


@pytest.mark.parametrize("at", [0, 1, 2_000])
def test_unpacking_takes_no_more_at_once_however_far_it_expands(
    monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr("sinks.drops.unpack._MOST", 1000)
    made = b"".join(archive(NAME, [deflate(b"x" * 1_000_000)]))
    pieces = iter([made[:at], made[at:]])

    parts = list(unpacked(pieces, Compression.ZIP, NAME))

    assert b"".join(parts) == b"x" * 1_000_000
    assert max(len(part) for part in parts) <= 1000
