"""Records carry a format version and a checksum, and every reading checks them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.errors import LedgerError, PartitionError
from sinks.ledger.entry import read_entry
from streams.storage.checked import checked, create_checked, read_checked, with_checksum
from streams.storage.folder import FolderStore

NAME = "ledger/exports/openings/20260328T050000.000Z/outcome.json"
CONTENTS = (
    b'{\n "rows": 2,\n "sha256": "ab"\n}\n',
    b'{"rows":2}',
    b"{}",
    b'{"nested": {"format": 1, "checksum": "x"}}',
    b"20260328T050000.000Z\n",
)


def found(content: bytes) -> object:
    return content if not content.startswith(b"{") else json.loads(content)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def rewritten(store: FolderStore, content: bytes, name: str = NAME) -> None:
    store.write(name, lambda file: file.write(content))


def refusal(store: FolderStore, name: str = NAME) -> str:
    with pytest.raises(PartitionError) as refused:
        read_checked(store, name, found)
    assert str(refused.value).startswith(f"{store.address(name)}: ")
    return str(refused.value).removeprefix(f"{store.address(name)}: ")


@pytest.mark.parametrize("content", CONTENTS)
def test_a_record_is_read_back_without_format_and_checksum(
    store: FolderStore, content: bytes
) -> None:
    assert create_checked(store, NAME, content)

    assert read_checked(store, NAME, found) == found(content)


@pytest.mark.parametrize("content", CONTENTS[:4])
def test_a_record_stays_a_json_object_with_both_as_its_last_fields(content: bytes) -> None:
    fields = json.loads(with_checksum(NAME, content))

    assert list(fields)[-2:] == ["format", "checksum"]
    assert fields["format"] == 2


@pytest.mark.parametrize("content", CONTENTS[:4])
def test_no_changed_byte_of_a_record_is_read_as_other_content(content: bytes) -> None:
    whole = with_checksum(NAME, content)
    refused = 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        try:
            assert json.loads(checked(NAME, bytes(changed))) == json.loads(content)
        except ValueError:
            refused += 1

    assert refused >= len(whole) - 3  # white space after the checksum


@pytest.mark.parametrize("content", [CONTENTS[0], CONTENTS[1], CONTENTS[4]])
def test_a_record_that_was_edited_is_refused(store: FolderStore, content: bytes) -> None:
    rewritten(store, with_checksum(NAME, content).replace(b"2", b"3", 1))

    assert refusal(store) == (
        "this record was changed after it was written: its checksum is of other content; restore"
        " it from a backup"
    )


def test_a_record_that_was_copied_to_another_name_is_refused(store: FolderStore) -> None:
    rewritten(store, with_checksum(NAME, CONTENTS[0]), name := NAME.replace("28", "29"))

    assert "its checksum is of other content" in refusal(store, name)


def test_a_record_whose_checksum_was_removed_is_refused(store: FolderStore) -> None:
    fields = json.loads(with_checksum(NAME, CONTENTS[0]))
    del fields["checksum"]
    rewritten(store, json.dumps(fields).encode())

    assert "its checksum isn't at its end" in refusal(store)


def test_a_record_that_was_written_again_by_another_program_is_refused(store: FolderStore) -> None:
    fields = json.loads(with_checksum(NAME, CONTENTS[0]))
    rewritten(store, json.dumps({"checksum": fields.pop("checksum"), **fields}).encode())

    assert "its checksum isn't at its end" in refusal(store)


@pytest.mark.parametrize("content", [b'{"rows": 2}', b'{"format": 1, "rows": 2}', b"first\n"])
def test_a_record_by_a_release_that_had_no_checksums_is_read(
    store: FolderStore, content: bytes
) -> None:
    rewritten(store, content)

    assert read_checked(store, NAME, found) == found(content)


@pytest.mark.parametrize(
    "content",
    [
        b'{"format": 3, "rows": 2}',
        with_checksum(NAME, b'{"rows": 2}').replace(b'"format": 2', b'"format": 3'),
        with_checksum(NAME, b"first\n").replace(b"format 2", b"format 3"),
    ],
)
def test_a_record_of_a_later_format_is_refused_by_name(store: FolderStore, content: bytes) -> None:
    rewritten(store, content)

    assert refusal(store) == (
        "this record is of format 3, and this release knows formats up to 2; use the release that"
        " wrote it, or a later one"
    )


@pytest.mark.parametrize("content", [b"", b"\n", b"\0\0\0\0"])
def test_a_record_that_is_empty_or_garbled_is_refused_with_its_name(
    store: FolderStore, content: bytes
) -> None:
    rewritten(store, content)

    with pytest.raises(LedgerError) as refused:
        read_entry(store, NAME, json.loads)
    assert str(refused.value) == (
        f"{store.address(NAME)}: this entry of the ledger isn't as it was written, and can't be"
        " read; restore it from a backup"
    )


def test_reading_a_record_is_one_request(store: FolderStore) -> None:
    create_checked(store, NAME, CONTENTS[0])
    requests = []

    class Counting(FolderStore):
        def read(self, name: str) -> bytes:
            requests.append(name)
            return super().read(name)

    read_checked(Counting(store.root), NAME, found)

    assert requests == [NAME]
