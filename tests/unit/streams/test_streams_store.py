"""A file is there whole or not at all, and of many writers of one name one wins."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from schemas.errors import PartitionError
from streams.storage.store import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "root")


def crash(file: BinaryIO) -> None:
    file.write(b"half")
    raise KeyboardInterrupt


def test_of_many_that_create_a_name_at_once_one_wins(store: LocalStore) -> None:
    start = threading.Barrier(16)
    won: list[int] = []

    def create(number: int) -> None:
        start.wait()
        if store.create("coverage/one", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert store.read("coverage/one") == str(won[0]).encode()
    assert list(store.names("coverage")) == ["coverage/one"]
    assert list(store.leftovers("coverage")) == []


def test_what_is_interrupted_leaves_no_file(store: LocalStore) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.write("streams/one", crash)

    assert list(store.names("streams")) == []
    assert list(store.leftovers("streams")) == []


def test_what_a_kill_leaves_behind_is_no_file_but_a_leftover(store: LocalStore) -> None:
    store.write("streams/a/whole", lambda file: file.write(b"whole"))
    (store.root / "streams/a/.aside-0123").write_bytes(b"half")

    assert list(store.names("streams")) == ["streams/a/whole"]
    assert list(store.leftovers("streams")) == ["streams/a/.aside-0123"]


def test_writing_again_replaces_the_file_whole(store: LocalStore) -> None:
    store.write("streams/one", lambda file: file.write(b"long content"))

    assert store.write("streams/one", lambda file: file.write(b"short")) == 5
    assert store.read("streams/one") == b"short"


def test_a_file_in_the_place_of_a_folder_is_named(store: LocalStore) -> None:
    store.root.mkdir()
    (store.root / "streams").write_text("")

    with pytest.raises(PartitionError, match=r"a file is in the place of a folder: move it away"):
        store.write("streams/a/one", lambda file: file.write(b""))


def test_removing_what_isnt_there_is_no_error(store: LocalStore) -> None:
    store.remove("streams/none")


def test_names_of_a_folder_that_isnt_there_are_none(store: LocalStore) -> None:
    assert list(store.names("coverage/none")) == []
