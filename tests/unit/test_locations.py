"""What every location promises (sinks/locations/base.py), run on each kind.

A new kind is one more entry of `LOCATIONS`.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sinks.locations import (
    Delivered,
    DeliveryError,
    Folder,
    Location,
    OtherBytesError,
    Transferbox,
)

FOLDER = Folder("marketing", "openings")
NAME = "openings_20261125.csv"


def transferbox(tmp_path: Path) -> tuple[Location, Callable[[Folder], dict[str, bytes]]]:
    root = tmp_path / "transferbox"

    def seen(folder: Folder) -> dict[str, bytes]:
        place = root / folder.entity / folder.export
        return {path.name: path.read_bytes() for path in place.iterdir()} if place.exists() else {}

    return Transferbox(root), seen


LOCATIONS = [transferbox]
"""Makes a location, and a look at what a partner sees in a folder of it: names and bytes."""

Place = tuple[Location, Callable[[Folder], dict[str, bytes]]]


@pytest.fixture(params=LOCATIONS, ids=lambda make: make.__name__)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return request.param(tmp_path)


def local(tmp_path: Path, content: bytes, name: str = "local") -> Path:
    path = tmp_path / name
    path.unlink(missing_ok=True)  # what was delivered isn't written to again
    path.write_bytes(content)
    return path


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        if Path(folder).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("the temporary folder is on /dev/shm too: there is no other file system")
        yield Path(folder)


def test_a_file_is_delivered_with_its_bytes(place: Place, tmp_path: Path) -> None:
    location, seen = place

    receipt = location.deliver(local(tmp_path, b"a,b\n1,2\n"), FOLDER, NAME)

    assert seen(FOLDER) == {NAME: b"a,b\n1,2\n"}
    assert receipt.location == location.name
    assert receipt.address.endswith(f"marketing/openings/{NAME}")
    assert (receipt.delivered, receipt.bytes) == (Delivered.NOW, 8)


def test_a_file_that_is_there_with_the_same_bytes_is_not_sent_again(
    place: Place, tmp_path: Path
) -> None:
    location, seen = place
    location.deliver(local(tmp_path, b"same"), FOLDER, NAME)

    receipt = location.deliver(local(tmp_path, b"same"), FOLDER, NAME)

    assert receipt.delivered is Delivered.BEFORE
    assert seen(FOLDER) == {NAME: b"same"}


@pytest.mark.parametrize("other", [b"other bytes", b"tame", b""])
def test_other_bytes_are_never_overwritten(place: Place, tmp_path: Path, other: bytes) -> None:
    location, seen = place
    location.deliver(local(tmp_path, b"same"), FOLDER, NAME)

    with pytest.raises(OtherBytesError, match="is there already, with other bytes"):
        location.deliver(local(tmp_path, other), FOLDER, NAME)

    assert seen(FOLDER) == {NAME: b"same"}


def test_an_empty_file_can_be_delivered(place: Place, tmp_path: Path) -> None:
    location, seen = place

    location.deliver(local(tmp_path, b""), FOLDER, NAME)

    assert seen(FOLDER) == {NAME: b""}


def test_a_file_is_found_once_it_is_delivered(place: Place, tmp_path: Path) -> None:
    location, _ = place

    before = location.find(FOLDER, NAME)
    location.deliver(local(tmp_path, b"x"), FOLDER, NAME)

    assert (before, location.find(FOLDER, NAME)) == (False, True)
    assert not location.find(Folder("marketing", "clicks"), NAME)


def test_nobody_sees_a_part_of_a_file(place: Place, tmp_path: Path) -> None:
    location, seen = place
    content = b"0123456789abcdef" * 1_000_000
    path = local(tmp_path, content)
    done = threading.Event()
    looks: list[bytes] = []

    def look() -> None:
        while not done.is_set():
            try:
                looks.extend(v for name, v in seen(FOLDER).items() if name == NAME)
            except FileNotFoundError:  # a temporary name went away between listing and reading
                continue

    watcher = threading.Thread(target=look)
    watcher.start()
    location.deliver(path, FOLDER, NAME)
    done.set()
    watcher.join()

    assert all(found == content for found in looks)
    assert seen(FOLDER) == {NAME: content}


def test_of_two_that_deliver_other_bytes_at_once_one_is_refused(
    place: Place, tmp_path: Path
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


def test_a_local_file_that_is_missing_is_a_delivery_error(place: Place, tmp_path: Path) -> None:
    location, seen = place

    with pytest.raises(DeliveryError, match="can't be delivered: No such file or directory"):
        location.deliver(tmp_path / "missing", FOLDER, NAME)

    assert seen(FOLDER) == {}


# The transferbox's own troubles.


def test_a_transferbox_that_is_a_file_says_so(tmp_path: Path) -> None:
    box = Transferbox(local(tmp_path, b"", "transferbox"))

    with pytest.raises(DeliveryError) as refusal:
        box.deliver(local(tmp_path, b"x"), FOLDER, NAME)

    folder = f"{tmp_path}/transferbox/marketing/openings"
    assert str(refusal.value) == (
        f"{folder}/{NAME}: can't be delivered: Not a directory; "
        f"check the folder {folder} and the space on its disk; then run again"
    )


def test_a_file_of_another_file_system_is_copied(tmp_path: Path, elsewhere: Path) -> None:
    box, seen = transferbox(tmp_path)

    box.deliver(local(elsewhere, b"a,b\n1,2\n"), FOLDER, NAME)

    assert seen(FOLDER) == {NAME: b"a,b\n1,2\n"}


def test_a_copy_that_fails_leaves_nothing(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, seen = transferbox(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sinks.locations.transferbox.shutil.copyfileobj", full)

    with pytest.raises(DeliveryError, match="No space left on device"):
        box.deliver(local(elsewhere, b"x"), FOLDER, NAME)

    assert seen(FOLDER) == {}
