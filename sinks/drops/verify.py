"""Check of a delivered file against its manifest, for partners (SPEC §7).

It checks hash, bytes, compression, rows, header, columns, and the dialect of every line. The file
is read once, in pieces, so it needn't fit into memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.errors import CloseError, Fault, WrongInputError
from schemas.json_result import JsonResult
from schemas.one_line import joined, one_line
from sinks.drops.csv_check import CsvCheck, SpoiltError
from sinks.drops.manifest import MANIFEST_ENDING, FileEntry, Manifest
from sinks.drops.unpack import unpacked
from sinks.wording import counted

__all__ = ["Verification", "VerifyFinding", "verify"]

_PIECE: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class VerifyFinding(JsonResult):
    """One difference from the manifest."""

    check: str
    """What was looked at."""
    what: str
    """What was found."""


@dataclass(frozen=True, slots=True)
class Verification(JsonResult):
    """The result of a check; the file is as its manifest says if there are no findings."""

    file: str
    """The file."""
    manifest: str
    """Its manifest."""
    rows: int
    """Rows that were found."""
    bytes: int | None
    """Bytes that were found; null where there is no file, as it was skipped."""
    sha256: str | None
    """SHA-256 of these bytes; null without a file."""
    findings: tuple[VerifyFinding, ...]
    """What isn't as the manifest says."""

    JSON_PROPERTIES = (("well", "is_well"),)

    @property
    def is_well(self) -> bool:
        """Whether the file is what its manifest says."""
        return not self.findings

    def __str__(self) -> str:
        """The result for people: one line, or one line for each finding."""
        if not self.is_well:
            return joined(f"{self.file}: {found.check}: {found.what}" for found in self.findings)
        if self.bytes is None:
            return one_line(f"{self.file}: skipped: no file, as its manifest says")
        figures = f"{counted(self.rows, 'row')}, {counted(self.bytes, 'byte')}"
        return one_line(f"{self.file}: as its manifest says: {figures}, SHA-256 {self.sha256}")


def verify(path: Path) -> Verification:
    """Check a drop against the manifest beside it; path: the drop, or its manifest.

    Raises WrongInputError if the manifest or the file can't be read.
    """
    if path.is_dir():
        hint = "name the drop in it, or the manifest beside the drop"
        raise WrongInputError([Fault(str(path), "is a folder, not a drop", hint)])
    file = path.with_name(path.name.removesuffix(MANIFEST_ENDING) or path.name)
    manifest_path = file.with_name(file.name + MANIFEST_ENDING)
    manifest = _manifest(manifest_path)
    if manifest.file is None:
        return _verify_skipped(file, manifest_path)
    raw = _Raw()
    csv = CsvCheck([column.header for column in manifest.columns], manifest.dialect.separator)
    spoilt = _read(file, raw, csv, manifest.file)
    findings = [*_compare(manifest.file, file.name, raw), *spoilt]
    if not spoilt and csv.rows != manifest.file.rows:
        what = f"found {csv.rows}, the manifest says {manifest.file.rows}"
        findings.append(VerifyFinding("rows", what))
    return Verification(
        str(file),
        str(manifest_path),
        csv.rows,
        raw.bytes,
        raw.sha256.hexdigest(),
        tuple(findings),
    )


def _read(file: Path, raw: _Raw, csv: CsvCheck, entry: FileEntry) -> list[VerifyFinding]:
    """Read the whole file; check its content up to the first fault. Return the finding, if any."""
    try:
        with file.open("rb") as opened:
            pieces = raw.passing(iter(lambda: opened.read(_PIECE), b""))
            try:
                csv.read(unpacked(pieces, entry.compression, entry.inner_name))
            except SpoiltError as spoilt:
                return [VerifyFinding(spoilt.check, str(spoilt))]
            finally:
                for _ in pieces:
                    pass
    except OSError as error:
        raise _unreadable(file, error) from error
    return []


def _verify_skipped(file: Path, manifest: Path) -> Verification:
    """Check a window whose file was skipped: there must be no file."""
    findings: tuple[VerifyFinding, ...] = ()
    if file.exists():
        findings = (
            VerifyFinding("file", "is there, though its manifest says that it was skipped"),
        )
    return Verification(str(file), str(manifest), 0, None, None, findings)


def _manifest(path: Path) -> Manifest:
    hint = f"a drop is verified with the manifest beside it, <file>{MANIFEST_ENDING}"
    try:
        return Manifest.from_json(path.read_bytes(), str(path))
    except OSError as error:
        raise _unreadable(path, error, hint) from error
    except CloseError as error:
        raise WrongInputError([Fault(error.where, error.what, hint)]) from error


def _unreadable(path: Path, error: OSError, hint: str = "") -> WrongInputError:
    return WrongInputError([Fault(str(path), f"can't be read: {error.strerror}", hint)])


class _Raw:
    """Size and hash of the bytes that were read."""

    def __init__(self) -> None:
        self.bytes = 0
        self.sha256 = hashlib.sha256()

    def passing(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.bytes += len(piece)
            self.sha256.update(piece)
            yield piece


def _compare(expected: FileEntry, name: str, raw: _Raw) -> Iterator[VerifyFinding]:
    if name != expected.name:
        yield VerifyFinding("name", f"is {name!r}, the manifest is of {expected.name!r}")
    if raw.bytes != expected.bytes:
        yield VerifyFinding("bytes", f"found {raw.bytes}, the manifest says {expected.bytes}")
    if raw.sha256.hexdigest() != expected.sha256:
        found = raw.sha256.hexdigest()
        yield VerifyFinding("SHA-256", f"is {found}, the manifest says {expected.sha256}")
