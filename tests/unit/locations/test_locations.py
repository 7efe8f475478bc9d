"""The transferbox keeps what every location promises, and has troubles of its own.

The kinds that need a server: tests/integration/test_locations.py.
"""

import errno
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from sinks.locations import DeliveryError, Folder, Transferbox
from sinks.locations.limits import Limit
from sinks.locations.s3.parts import UploadInParts
from sinks.locations.sftp import SftpSettings
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


@pytest.mark.parametrize("own", ["sender", f"partner~{FOLDER.entity}~{FOLDER.export}.lock"])
def test_a_lock_of_another_user_is_told_with_its_owner_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    """As after one command of root's."""
    key, locks = local(tmp_path, b"a key", "key"), tmp_path / "locks"
    settings = SftpSettings(
        kind="sftp",
        host="127.0.0.1",
        port=1,
        username="us",
        fingerprint=f"SHA256:{'A' * 43}",
        key_file=key,
    )
    opened = Path.open

    def refused(path: Path, *how: Any, **more: Any) -> Any:
        if path.name == own:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *how, **more)

    locks.mkdir()
    (locks / own).touch()
    monkeypatch.setattr(Path, "open", refused)

    with pytest.raises(DeliveryError) as refusal:
        settings.location("partner", locks).deliver(local(tmp_path, b"x"), FOLDER, NAME)

    assert str(refusal.value) == (
        f"{locks / own}: can't be used: Permission denied; it must belong to the user that the "
        "scheduler runs as: change its owner (chown), and run every command as that user"
    )


def test_a_note_of_an_upload_that_cant_be_kept_is_told_by_its_name(tmp_path: Path) -> None:
    class Client:
        def create_multipart_upload(self, **_: object) -> dict[str, str]:
            return {"UploadId": "1"}

    note = local(tmp_path, b"", "locks") / "bucket.upload"
    upload = UploadInParts(Client(), {}, {}, 5, note, Limit(9, "s3://bucket"))

    with pytest.raises(DeliveryError, match=r"can't be used: .*; check it, its folder and their d"):
        upload.put(local(tmp_path, b"x"))
