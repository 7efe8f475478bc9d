"""The transferbox keeps what every location promises, and has troubles of its own.

The kinds that need a server: tests/integration/test_locations.py.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sinks.locations import DeliveryError, Folder, Transferbox
from tests.location_contract import FOLDER, NAME, LocationContract, Place, Seen, files_in, local


class TestTransferbox(LocationContract):
    """A folder tree."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        box = Transferbox(tmp_path / "transferbox")
        return box, seen_in(box)


def seen_in(box: Transferbox) -> Seen:
    def seen(folder: Folder) -> dict[str, bytes]:
        return files_in(box.root / folder.entity / folder.export)

    return seen


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        if Path(folder).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("the temporary folder is on /dev/shm too: there is no other file system")
        yield Path(folder)


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
    box = Transferbox(tmp_path / "transferbox")

    box.deliver(local(elsewhere, b"a,b\n1,2\n"), FOLDER, NAME)

    assert seen_in(box)(FOLDER) == {NAME: b"a,b\n1,2\n"}


def test_a_copy_that_fails_leaves_nothing(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Transferbox(tmp_path / "transferbox")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sinks.locations.transferbox.location.shutil.copyfileobj", full)

    with pytest.raises(DeliveryError, match="No space left on device"):
        box.deliver(local(elsewhere, b"x"), FOLDER, NAME)

    assert seen_in(box)(FOLDER) == {}
