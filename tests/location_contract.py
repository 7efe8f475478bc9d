"""What every location promises (sinks/locations/base.py), run on each kind.

A kind's tests are a class of this one, with a fixture `place` that gives the location and a look at
what a partner sees in a folder of it.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sinks.locations import (
    Delivered,
    DeliveryError,
    DeliveryStep,
    Folder,
    Location,
    OtherBytesError,
)

FOLDER = Folder("marketing", "openings")
NAME = "openings_20261125.csv"

Seen = Callable[[Folder], dict[str, bytes]]
"""What a partner sees in a folder: names and bytes."""
Place = tuple[Location, Seen]


def local(tmp_path: Path, content: bytes, name: str = "local") -> Path:
    path = tmp_path / name
    path.unlink(missing_ok=True)  # what was delivered isn't written to again
    path.write_bytes(content)
    return path


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of a folder that isn't there until the first comes, and whose files may go."""
    found = {}
    for path in folder.iterdir() if folder.exists() else ():
        try:
            if path.is_file():
                found[path.name] = path.read_bytes()
        except FileNotFoundError:  # a temporary name went away between listing and reading
            continue
    return found


class LocationContract:
    def test_a_file_is_delivered_with_its_bytes(self, place: Place, tmp_path: Path) -> None:
        location, seen = place

        receipt = location.deliver(local(tmp_path, b"a,b\n1,2\n"), FOLDER, NAME)

        assert seen(FOLDER) == {NAME: b"a,b\n1,2\n"}
        assert receipt.location == location.name
        assert receipt.address.endswith(f"marketing/openings/{NAME}")
        assert (receipt.delivered, receipt.bytes) == (Delivered.NOW, 8)

    def test_a_file_that_is_there_with_the_same_bytes_is_not_sent_again(
        self, place: Place, tmp_path: Path
    ) -> None:
        location, seen = place
        location.deliver(local(tmp_path, b"same"), FOLDER, NAME)

        receipt = location.deliver(local(tmp_path, b"same"), FOLDER, NAME)

        assert receipt.delivered is Delivered.BEFORE
        assert seen(FOLDER) == {NAME: b"same"}

    @pytest.mark.parametrize("other", [b"other bytes", b"tame", b""])
    def test_other_bytes_are_never_overwritten(
        self, place: Place, tmp_path: Path, other: bytes
    ) -> None:
        location, seen = place
        location.deliver(local(tmp_path, b"same"), FOLDER, NAME)

        with pytest.raises(OtherBytesError, match="is there already, with other bytes"):
            location.deliver(local(tmp_path, other), FOLDER, NAME)

        assert seen(FOLDER) == {NAME: b"same"}

    def test_an_empty_file_can_be_delivered(self, place: Place, tmp_path: Path) -> None:
        location, seen = place

        location.deliver(local(tmp_path, b""), FOLDER, NAME)

        assert seen(FOLDER) == {NAME: b""}

    def test_a_file_is_found_once_it_is_delivered(self, place: Place, tmp_path: Path) -> None:
        location, _ = place

        before = location.find(FOLDER, NAME)
        location.deliver(local(tmp_path, b"x"), FOLDER, NAME)

        assert (before, location.find(FOLDER, NAME)) == (False, True)
        assert not location.find(Folder("marketing", "clicks"), NAME)

    def test_nobody_sees_a_part_of_a_file(self, place: Place, tmp_path: Path) -> None:
        location, seen = place
        content = b"0123456789abcdef" * 1_000_000
        path = local(tmp_path, content)
        done = threading.Event()
        looks: list[bytes] = []

        def look() -> None:
            while not done.is_set():
                looks.extend(v for name, v in seen(FOLDER).items() if name == NAME)

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            location.deliver(path, FOLDER, NAME)
        finally:
            done.set()
            watcher.join()

        assert all(found == content for found in looks)
        assert seen(FOLDER) == {NAME: content}

    def test_of_two_that_deliver_other_bytes_at_once_one_is_refused(
        self, place: Place, tmp_path: Path
    ) -> None:
        location, seen = place
        files = [local(tmp_path, content * 500_000, content.decode()) for content in (b"a", b"b")]
        start = threading.Barrier(2)
        refused: list[Path] = []

        def deliver(path: Path) -> None:
            start.wait()
            try:
                location.deliver(path, FOLDER, NAME)
            except OtherBytesError:
                refused.append(path)

        threads = [threading.Thread(target=deliver, args=(path,)) for path in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        (loser,) = refused
        (winner,) = set(files) - {loser}
        assert seen(FOLDER) == {NAME: winner.read_bytes()}

    def test_a_local_file_that_is_missing_is_a_delivery_error(
        self, place: Place, tmp_path: Path
    ) -> None:
        location, seen = place

        with pytest.raises(DeliveryError, match="can't be delivered: No such file or directory"):
            location.deliver(tmp_path / "missing", FOLDER, NAME)

        assert seen(FOLDER) == {}

    def test_a_check_goes_through_all_steps_and_leaves_nothing(self, place: Place) -> None:
        location, seen = place

        steps = [str(step) for step in location.check()]

        assert steps
        assert steps == [step for step in DeliveryStep if step in steps], "in their order"
        assert {"write", "delete"} < set(steps)
        assert seen(Folder(".", ".")) == {}, "where the check tries to write"
