"""What every store promises (streams/storage/store.py), run on each implementation.

An implementation's tests are a class of this one, with a fixture `store`.
"""

import io
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streams.storage.parquet import parquet_file, parquet_schema
from streams.storage.store import Store, age_of, is_stored

THREADS = 16
ODD = [
    "f/a b",
    "f/a-b/x",
    "f/a.b",
    "f/a/x",
    "f/a/y/z",
    "f/a=b~c",
    "f/aB",
    "f/b%2Fc",
    "f/it's",
    "f/ü",
]
"""Names in their order: it is that of whole names, in which a slash counts as any character."""


def put(store: Store, name: str, content: bytes) -> None:
    store.write(name, lambda file: file.write(content))


def together(run: Callable[[int], None], threads: int = THREADS) -> None:
    """Run something in many threads at once; what one raises is raised."""
    start, raised = threading.Barrier(threads), list[BaseException]()

    def begin(number: int) -> None:
        start.wait()
        try:
            run(number)
        except BaseException as error:
            raised.append(error)

    running = [threading.Thread(target=begin, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    for error in raised:
        raise error


class StoreContract:
    implementation: type

    def test_what_is_written_is_read(self, store: Store) -> None:
        assert store.write("f/a/one", lambda file: file.write(b"some bytes")) == 10

        assert store.read("f/a/one") == b"some bytes"
        assert store.stat("f/a/one").size == 10
        assert list(store.names("f")) == ["f/a/one"]

    def test_writing_again_replaces_the_file_whole(self, store: Store) -> None:
        put(store, "f/one", b"long content")
        before = store.stat("f/one")

        put(store, "f/one", b"short")

        assert store.read("f/one") == b"short"
        assert store.stat("f/one").size == 5
        assert store.stat("f/one").version != before.version

    def test_what_is_created_stays_as_it_was(self, store: Store) -> None:
        assert store.create("f/one", b"first")
        before = store.stat("f/one")

        assert not store.create("f/one", b"second")
        assert not store.create("f/one", b"first"), "it isn't this call that made it"
        assert store.read("f/one") == b"first"
        assert store.stat("f/one") == before

    def test_of_many_that_create_a_name_at_once_one_wins(self, store: Store) -> None:
        for file in range(4):
            won: list[int] = []

            def create(number: int, file: int = file, won: list[int] = won) -> None:
                if store.create(f"f/{file}", str(number).encode()):
                    won.append(number)

            together(create)

            assert len(won) == 1
            assert store.read(f"f/{file}") == str(won[0]).encode()

    def test_each_of_many_that_count_by_creating_gets_numbers_of_its_own(
        self, store: Store
    ) -> None:
        taken: list[int] = []

        def count(number: int) -> None:
            for _ in range(3):
                at = 1
                while not store.create(f"f/{at:06d}", str(number).encode()):
                    at += 1
                taken.append(at)

        together(count, 6)

        assert sorted(taken) == list(range(1, 19))
        assert len(list(store.names("f"))) == 18

    def test_a_file_is_seen_whole_while_it_is_written(self, store: Store) -> None:
        contents = {bytes([letter]) * 100_000 for letter in b"abcd"}
        put(store, "f/one", min(contents))
        seen: set[bytes] = set()

        def work(number: int) -> None:
            if number % 2:
                put(store, "f/one", sorted(contents)[number % 4])
            else:
                seen.add(store.read("f/one"))

        together(work)

        assert seen <= contents

    def test_what_is_interrupted_leaves_no_file(self, store: Store) -> None:
        def crash(file: BinaryIO) -> None:
            file.write(b"half")
            raise KeyboardInterrupt

        put(store, "f/there", b"as it was")
        for name in ("f/there", "f/new"):
            with pytest.raises(KeyboardInterrupt):
                store.write(name, crash)

        assert list(store.names("f")) == ["f/there"]
        assert store.read("f/there") == b"as it was"

    def test_what_isnt_there_is_told(self, store: Store) -> None:
        put(store, "f/a/one", b"")

        for name in ("f/none", "f/a", "none/none"):
            with pytest.raises(FileNotFoundError):
                store.stat(f"{name}/none")
            for read in (store.read, lambda one: store.read_range(one, 0, 1)):
                with pytest.raises(FileNotFoundError):
                    read(f"{name}/none")
            assert not is_stored(store, f"{name}/none")
            assert age_of(store, f"{name}/none") == 0.0
        assert list(store.names("none")) == []
        assert list(store.names("f/a/one")) == []

    def test_names_come_in_order_behind_one_and_below_a_folder(self, store: Store) -> None:
        for name in reversed(ODD):
            put(store, name, name.encode())
        put(store, "fa/x", b"not below f")

        assert sorted(ODD) == ODD
        assert list(store.names("f")) == ODD
        assert list(store.names("f/a")) == ["f/a/x", "f/a/y/z"]
        for place, name in enumerate(ODD):
            assert list(store.names("f", after=name)) == ODD[place + 1 :]
        assert list(store.names("f", after="f/a/")) == ODD[ODD.index("f/a/x") :]
        assert list(store.names("f", after="f/a/y/zz")) == ODD[ODD.index("f/a=b~c") :]
        assert list(store.names("f", after="g")) == []
        assert [store.read(name).decode() for name in store.names("f")] == ODD

    def test_removing_is_done_once_and_no_error_again(self, store: Store) -> None:
        put(store, "f/one", b"x")
        put(store, "f/two", b"x")

        for _ in range(2):
            store.remove("f/one")
            store.remove("none/none")

        assert list(store.names("f")) == ["f/two"]
        assert not is_stored(store, "f/one")
        assert store.create("f/one", b"again")

    def test_a_range_is_read(self, store: Store) -> None:
        put(store, "f/one", b"0123456789")

        ranges = [(0, 3), (7, 3), (7, 30), (10, 1), (0, 0)]
        assert [store.read_range("f/one", *one) for one in ranges] == [
            b"012",
            b"789",
            b"789",
            b"",
            b"",
        ]

    def test_a_file_tells_when_it_was_written(self, store: Store) -> None:
        put(store, "f/one", b"x")

        assert abs(store.stat("f/one").written_at - time.time()) < 60
        assert 0 <= age_of(store, "f/one") < 60

    def test_files_are_given_to_engines_as_paths(self, store: Store) -> None:
        put(store, "f/one", b"one")
        put(store, "f/two", b"two")

        one, none, two = store.local(["f/one", "f/none", "f/two"])
        store.remove("f/two")

        assert one.read_bytes() == b"one"
        assert not none.exists()
        assert not two.exists() or two.read_bytes() == b"two"
        assert store.local([]) == []

    def test_the_address_names_the_file(self, store: Store) -> None:
        assert store.address("f/one").endswith("f/one")

    def test_what_is_whole_is_never_removed_as_unfinished(self, store: Store) -> None:
        put(store, "f/one", b"x")

        assert store.remove_unfinished("f", -60) == 0
        assert list(store.names("f")) == ["f/one"]

    @pytest.mark.parametrize("columns", [1, 2_000])
    def test_parquet_is_read_back_and_its_schema_without_the_rest(
        self, store: Store, columns: int
    ) -> None:
        rows = pa.table({f"a column of a long name, number {n}": [n] for n in range(columns)})
        written = io.BytesIO()
        pq.write_table(rows, written)
        put(store, "f/rows.parquet", written.getvalue())

        with parquet_file(store, "f/rows.parquet") as file:
            assert file.read() == rows
        assert parquet_schema(store, "f/rows.parquet") == rows.schema
        put(store, "f/broken.parquet", b"PAR1")
        with pytest.raises(pa.ArrowInvalid):
            parquet_schema(store, "f/broken.parquet")
