"""What `deltadrop verify` finds in a drop that isn't what its manifest says (SPEC §7)."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.errors import WrongInputError
from sinks.drops.manifest import Manifest
from sinks.drops.verify import Verification, verify
from sinks.rendering.archive import archive
from sinks.rendering.compress import Compression, deflate
from tests.unit.drops.drops import export, write_drop

ROWS = pa.table(
    {
        "interactionId": pa.array([1, 2, 3], pa.int64()),
        "emailAddress": ['a "quoted", one', "", None],
    }
)
COLUMNS = ("interactionId", "emailAddress")


def found(verification: Verification) -> list[tuple[str, str]]:
    return [(finding.check, finding.what) for finding in verification.findings]


def spoil(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change a file, and its size and hash in the manifest too: only what is in it is wrong."""
    content = change(path.read_bytes())
    path.write_bytes(content)
    manifest = path.with_name(path.name + ".manifest.json")
    fields = json.loads(manifest.read_bytes())
    fields["file"] |= {"bytes": len(content)}
    manifest.write_text(json.dumps(fields))


@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize("separator", ["comma", "semicolon", "tab"])
def test_a_drop_as_it_was_written_is_well(tmp_path: Path, compression: str, separator: str) -> None:
    told = export(*COLUMNS, compression=compression, separator=separator)
    path, manifest = write_drop(tmp_path, told, ROWS)

    verification = verify(path)

    assert verification.is_well
    assert manifest.file is not None
    assert (verification.rows, verification.bytes, verification.sha256) == (
        3,
        manifest.file.bytes,
        manifest.file.sha256,
    )
    assert str(verification) == (
        f"{path}: as its manifest says: 3 rows, {manifest.file.bytes} bytes, "
        f"SHA-256 {manifest.file.sha256}"
    )


def test_the_manifest_may_be_named_instead_of_the_file(tmp_path: Path) -> None:
    path, _ = write_drop(tmp_path, export(*COLUMNS), ROWS)

    assert verify(path.with_name(path.name + ".manifest.json")).file == str(path)


def test_an_empty_drop_is_well(tmp_path: Path) -> None:
    path, _ = write_drop(tmp_path, export(*COLUMNS), ROWS.slice(0, 0))

    assert verify(path).is_well


def test_one_column_that_is_empty_is_a_row(tmp_path: Path) -> None:
    path, _ = write_drop(tmp_path, export("emailAddress"), ROWS.slice(2, 1))

    assert path.read_bytes() == b"emailAddress\n\n"
    assert verify(path).is_well


def test_a_drop_larger_than_a_piece_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.drops.verify._PIECE", 7)
    for compression in Compression:
        path, _ = write_drop(tmp_path, export(*COLUMNS, compression=compression), ROWS)

        assert verify(path).findings == ()


def test_other_bytes_are_found_by_the_hash(tmp_path: Path) -> None:
    path, manifest = write_drop(tmp_path, export(*COLUMNS), ROWS)
    path.write_bytes(path.read_bytes().replace(b"3,", b"4,"))

    verification = verify(path)

    assert manifest.file is not None
    assert found(verification) == [
        ("SHA-256", f"is {verification.sha256}, the manifest says {manifest.file.sha256}")
    ]
    assert not verification.is_well


def test_a_file_that_is_cut_off_is_found(tmp_path: Path) -> None:
    path, manifest = write_drop(tmp_path, export(*COLUMNS), ROWS)
    assert manifest.file is not None
    path.write_bytes(path.read_bytes()[:-1])

    checks = dict(found(verify(path)))

    assert (
        checks["bytes"]
        == f"found {manifest.file.bytes - 1}, the manifest says {manifest.file.bytes}"
    )
    assert checks["dialect"] == "the last line doesn't end: it may be cut off"
    assert set(checks) == {"bytes", "SHA-256", "dialect"}


@pytest.mark.parametrize(
    ("change", "check", "what"),
    [
        (lambda c: c + b"4,x\n", "rows", "found 4, the manifest says 3"),
        (lambda c: c + b"4,x,y\n", "columns", "row 4 has 3 fields, not 2"),
        (lambda c: c + b"4\n", "columns", "row 4 has 1 field, not 2"),
        (
            lambda c: c.replace(b"emailAddress", b"mail"),
            "header",
            "is ['interactionId', 'mail'], the manifest says ['interactionId', 'emailAddress']",
        ),
        (lambda c: b"\xef\xbb\xbf" + c, "dialect", "begins with a byte order mark"),
        (
            lambda c: c.replace(b"\n", b"\r\n"),
            "dialect",
            "line 1 ends in CR LF, not LF",
        ),
        (lambda c: b'"' + c, "header", "there is no header line"),
        (
            lambda c: c.replace(b"3,", b'3,a"b'),
            "dialect",
            "row 3: a quote or line break out of place",
        ),
        (
            lambda c: c.replace(b"3,", b"3,a\rb"),
            "dialect",
            "row 3: a quote or line break out of place",
        ),
        (lambda c: c.replace(b"quoted", b"quot\xff"), "dialect", "isn't UTF-8 near byte 38"),
        (lambda _: b"", "header", "the file is empty"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(
    tmp_path: Path, change: Callable[[bytes], bytes], check: str, what: str
) -> None:
    path, _ = write_drop(tmp_path, export(*COLUMNS), ROWS)
    spoil(path, change)

    told = [one for one in found(verify(path)) if one[0] != "SHA-256"]

    assert told == [(check, what)]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda c: c[:-9], "the gzip data doesn't end: the file may be cut off"),
        (lambda c: c + b"\0", "there are bytes after the end of the gzip data"),
        (gzip.decompress, "isn't whole gzip data: Error"),
    ],
)
def test_spoilt_gzip_is_told(tmp_path: Path, change: Callable[[bytes], bytes], what: str) -> None:
    path, _ = write_drop(tmp_path, export(*COLUMNS, compression="gzip"), ROWS)
    spoil(path, change)

    (told,) = [one for one in found(verify(path)) if one[0] != "SHA-256"]

    assert told[0] == "compression"
    assert told[1].startswith(what)


INNER = "openings_20260329.csv"
CSV = b'interactionId,emailAddress\n1,"a ""quoted"", one"\n2,""\n3,\n'


@pytest.mark.parametrize(
    ("change", "check", "what"),
    [
        (lambda c: c[:40], "compression", "the archive doesn't end: the file may be cut off"),
        (lambda _: b"", "compression", "the archive doesn't end: the file may be cut off"),
        (lambda _: CSV, "compression", "isn't a zip archive"),
        (lambda c: c[:60], "compression", "the zip data doesn't end: the file may be cut off"),
        (lambda c: c[:-1], "compression", "the archive doesn't end: the file may be cut off"),
        (lambda c: c[:-30], "compression", "the archive doesn't end: the file may be cut off"),
        (lambda c: c + b"\0", "compression", "there are bytes after the end of the archive"),
        (
            lambda c: c.replace(b"PK\1\2", b"PK\1\3"),
            "compression",
            "the archive's checksum, sizes or directory don't fit it",
        ),
        (
            lambda c: c[:4] + b"\x3f" + c[5:],
            "compression",
            "isn't a zip archive as a drop is: of one deflated file",
        ),
        (
            lambda _: b"".join(archive("other.csv", [deflate(CSV)])),
            "inner name",
            f"is 'other.csv', the manifest says '{INNER}'",
        ),
        (
            lambda _: b"".join(archive(INNER, [deflate(CSV + b"4,x\n")])),
            "rows",
            "found 4, the manifest says 3",
        ),
    ],
)
def test_what_is_wrong_in_an_archive_is_told(
    tmp_path: Path, change: Callable[[bytes], bytes], check: str, what: str
) -> None:
    path, _ = write_drop(tmp_path, export(*COLUMNS, compression="zip"), ROWS)
    spoil(path, change)

    told = [one for one in found(verify(path)) if one[0] != "SHA-256"]

    assert told == [(check, what)]


def test_an_archive_with_another_checksum_is_told(tmp_path: Path) -> None:
    """Data that inflate well, but aren't those that were packed."""
    path, _ = write_drop(tmp_path, export(*COLUMNS, compression="zip"), ROWS)
    other = deflate(CSV.replace(b"3,", b"4,"))
    one = deflate(CSV)
    spoil(path, lambda _: b"".join(archive(INNER, [one])).replace(one.data, other.data))

    told = [one for one in found(verify(path)) if one[0] != "SHA-256"]

    assert told == [("compression", "the archive's checksum, sizes or directory don't fit it")]


def test_spoilt_deflate_data_in_an_archive_are_told(tmp_path: Path) -> None:
    path, _ = write_drop(tmp_path, export(*COLUMNS, compression="zip"), ROWS)
    begin = 30 + len(INNER)
    spoil(path, lambda c: c[:begin] + b"\xff" * 20 + c[begin + 20 :])

    told = [one for one in found(verify(path)) if one[0] != "SHA-256"]

    assert told[0][0] == "compression"
    assert told[0][1].startswith("isn't whole zip data: ")


def test_a_renamed_file_is_told(tmp_path: Path) -> None:
    path, _ = write_drop(tmp_path, export(*COLUMNS), ROWS)
    for one in (path, path.with_name(path.name + ".manifest.json")):
        one.rename(tmp_path / one.name.replace("openings", "clicks"))

    told = found(verify(tmp_path / "clicks_20260329.csv"))

    assert told == [
        ("name", "is 'clicks_20260329.csv', the manifest is of 'openings_20260329.csv'")
    ]


def test_a_skipped_window_has_a_manifest_alone(tmp_path: Path) -> None:
    path, manifest = write_drop(tmp_path, export(*COLUMNS), ROWS.slice(0, 0))
    skipped: Manifest = manifest.model_copy(update={"file": None})
    path.with_name(path.name + ".manifest.json").write_bytes(skipped.to_json())

    beside = verify(path)
    path.unlink()

    assert found(beside) == [("file", "is there, though its manifest says that it was skipped")]
    alone = verify(path)
    assert str(alone) == f"{path}: skipped: no file, as its manifest says"
    told = alone.to_json()
    assert (told["well"], told["rows"], told["bytes"], told["sha256"]) == (True, 0, None, None)


def test_a_file_without_a_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WrongInputError) as refused:
        verify(tmp_path / "a.csv")

    assert str(refused.value) == (
        f"{tmp_path}/a.csv.manifest.json: can't be read: No such file or directory; "
        "a drop is verified with the manifest beside it, <file>.manifest.json"
    )


def test_what_isn_t_a_drop_is_wrong_input(tmp_path: Path) -> None:
    path, _ = write_drop(tmp_path, export(*COLUMNS), ROWS)
    beside = "a drop is verified with the manifest beside it, <file>.manifest.json"

    def refusal(of: Path) -> str:
        with pytest.raises(WrongInputError) as refused:
            verify(of)
        return str(refused.value)

    assert refusal(tmp_path) == (
        f"{tmp_path}: is a folder, not a drop; name the drop in it, or the manifest beside the drop"
    )
    assert refusal(Path()) == (
        ".: is a folder, not a drop; name the drop in it, or the manifest beside the drop"
    )
    assert refusal(tmp_path / ".manifest.json").startswith(
        f"{tmp_path}/.manifest.json.manifest.json: can't be read: No such file or directory"
    )
    path.unlink()
    assert refusal(path) == f"{path}: can't be read: No such file or directory"
    manifest = path.with_name(path.name + ".manifest.json")
    manifest.write_text("{}")
    assert refusal(path) == f"{manifest}: isn't a manifest: drop: Field required; {beside}"


def test_the_json_of_a_verification_is_for_scripts(tmp_path: Path) -> None:
    path, _ = write_drop(tmp_path, export(*COLUMNS), ROWS)

    told = verify(path).to_json()

    assert set(told) == {"well", "file", "manifest", "rows", "bytes", "sha256", "findings"}
    assert (told["well"], told["rows"], told["findings"]) == (True, 3, [])
