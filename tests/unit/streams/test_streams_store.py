"""The stores: each keeps the contract, and what is its own beside."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import PartitionError
from streams.storage.folder import FolderStore
from streams.storage.store import Store
from tests.shop.bucket import Bucket, BucketStore
from tests.store_contract import StoreContract, put

METHODS = {name for name in vars(Store) if not name.startswith("_")}
ROOT = Path(__file__).parents[3]
SEEDS = (1, 2, 3)
FAULTS = 0.3


class TestFolder(StoreContract):
    implementation = FolderStore

    @pytest.fixture
    def store(self, tmp_path: Path) -> FolderStore:
        return FolderStore(tmp_path / "root")

    def test_what_a_kill_leaves_behind_is_no_file_and_removed_when_it_is_old(
        self, store: FolderStore
    ) -> None:
        put(store, "streams/a/whole", b"whole")
        left = store.root / "streams/a/.aside-0123"
        left.write_bytes(b"half")

        assert list(store.names("streams")) == ["streams/a/whole"]
        assert store.remove_unfinished("streams", 60) == 0, "it may still be written"
        assert store.remove_unfinished("bases", -60) == 0
        assert left.exists()
        assert store.remove_unfinished("streams", -60) == 1
        assert not left.exists()

    def test_nothing_is_left_aside_by_those_who_come_too_late(self, store: FolderStore) -> None:
        self.test_of_many_that_create_a_name_at_once_one_wins(store)

        assert not list(store.root.rglob(".*"))

    def test_a_file_in_the_place_of_a_folder_is_named(self, store: FolderStore) -> None:
        store.root.mkdir()
        (store.root / "streams").write_text("")

        expected = r"a file is in the place of a folder: move it away"
        with pytest.raises(PartitionError, match=expected):
            put(store, "streams/a/one", b"")

    def test_a_folder_that_cant_be_listed_isnt_empty(self, store: FolderStore) -> None:
        store.root.mkdir()
        (store.root / "coverage").symlink_to("coverage")  # as a disk that fails

        with pytest.raises(PartitionError, match="coverage: can't be listed: Too many levels"):
            list(store.names("coverage"))

    @pytest.mark.parametrize("name", ["../outside", "f/../../outside", "/etc/hostname", "f/.."])
    def test_a_name_that_leads_out_of_the_store_is_refused_by_name(
        self, store: FolderStore, name: str
    ) -> None:
        put(store, "f/one", b"x")
        asked: list[Callable[[], object]] = [
            lambda: store.read(name),
            lambda: store.read_range(name, 0, 1),
            lambda: store.stat(name),
            lambda: store.create(name, b"x"),
            lambda: put(store, name, b"x"),
            lambda: store.remove(name),
            lambda: store.local([name]),
        ]
        for ask in asked:
            with pytest.raises(PartitionError, match=f"'{name}' is not a name of a file in the"):
                ask()

    @pytest.mark.parametrize("linked", ["streams/a/day=1/one", "streams/a/day=1", "streams/a"])
    def test_a_link_to_another_place_is_refused_by_name(
        self, store: FolderStore, linked: str
    ) -> None:
        outside = store.root.parent / "outside"
        put(FolderStore(outside), "streams/a/day=1/one", b"x")
        (store.root / linked).parent.mkdir(parents=True)
        (store.root / linked).symlink_to(outside / linked)

        expected = f"{store.root}/streams/a/day=1/one: is a link to another place, or in a folder"
        with pytest.raises(PartitionError, match=expected):
            store.local(["streams/a/day=1/one"])

        (store.root / linked).unlink()
        put(store, "streams/a/day=1/one", b"y")  # it was put back
        assert store.local(["streams/a/day=1/one"])[0].read_bytes() == b"y"

    def test_the_root_and_its_folders_may_be_links_to_a_larger_disk(
        self, store: FolderStore
    ) -> None:
        larger = store.root.parent / "larger"
        larger.mkdir()
        store.root.mkdir()
        (store.root / "streams").symlink_to(larger)
        put(store, "streams/a/one", b"x")

        linked = FolderStore(store.root.parent / "linked")
        linked.root.symlink_to(store.root)
        assert linked.local(["streams/a/one"])[0].read_bytes() == b"x"

    def test_a_folder_in_the_place_of_a_file_is_named(self, store: FolderStore) -> None:
        (store.root / "f/one").mkdir(parents=True)

        for ask in (lambda: store.create("f/one", b"x"), lambda: store.read("f/one")):
            with pytest.raises(PartitionError, match=r"f/one: can't .*move .* away"):
                ask()

    def test_an_engine_reads_the_file_itself(self, store: FolderStore) -> None:
        put(store, "f/one", b"x")

        assert store.local(["f/one"]) == [store.root / "f/one"]


class TestBucket(StoreContract):
    implementation = BucketStore

    @pytest.fixture
    def store(self, tmp_path: Path) -> BucketStore:
        return BucketStore(Bucket(), tmp_path)


class TestBucketThatLosesAnswers(StoreContract):
    implementation = BucketStore

    @pytest.fixture(params=SEEDS, ids=lambda seed: f"seed {seed}")
    def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> BucketStore:
        """Whose requests are made again until they are answered."""
        return BucketStore(Bucket(request.param, FAULTS), tmp_path, attempts=100)

    def test_a_name_is_listed_though_answers_are_lost(self, store: BucketStore) -> None:
        for number in range(40):
            made = store.create(f"f/{number:02d}", b"x")
            assert made, "what was done without an answer is its own"

        assert [int(name[2:]) for name in store.names("f")] == list(range(40))
        assert store.bucket.lost > 0

    def test_who_gives_up_says_so_and_may_have_done_it(
        self, store: BucketStore, tmp_path: Path
    ) -> None:
        hasty, told = BucketStore(store.bucket, tmp_path), 0
        for number in range(40):
            try:
                hasty.create(f"f/{number:02d}", b"x")
            except PartitionError:
                told += 1

        assert 0 < told < 40
        assert 40 - told < len(list(store.names("f"))) < 40


def implementations() -> set[str]:
    """The classes of the packages that have all methods of a store, by name."""
    return {
        node.name
        for package in ("streams", "sinks")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and node.name != Store.__name__
        and {one.name for one in node.body if isinstance(one, ast.FunctionDef)} >= METHODS
    }


def test_every_store_is_held_to_the_contract() -> None:
    held = {kind.implementation.__name__ for kind in StoreContract.__subclasses__()}

    assert "FolderStore" in implementations()
    assert implementations() <= held
    assert len(METHODS) >= 8
