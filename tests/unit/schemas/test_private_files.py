"""What is new can be read by its owner and group alone, but for the transferbox."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.errors import DefinitionError
from schemas.private_files import make_folders
from schemas.settings.settings import load_settings
from sinks.locations import Folder, Transferbox, transferbox_of
from sinks.scratch import scratch_folder
from streams.storage.folder import FolderStore

OTHERS = 0o007


@pytest.fixture
def under() -> Iterator[Callable[[int], None]]:
    """Set the umask of the test's process."""
    before = os.umask(0o022)
    yield lambda umask: (os.umask(umask), None)[1]
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(top: Path) -> dict[str, str]:
    found = sorted(path for path in top.rglob("*"))
    return {str(path.relative_to(top)): f"{mode(path):04o}" for path in found}


@pytest.mark.parametrize(
    ("umask", "file", "folder"),
    [(0o022, 0o640, 0o750), (0o002, 0o660, 0o770), (0o077, 0o600, 0o700), (0o000, 0o660, 0o770)],
)
def test_what_is_stored_is_for_owner_and_group_as_the_umask_says(
    tmp_path: Path, under: Callable[[int], None], umask: int, file: int, folder: int
) -> None:
    under(umask)
    store = FolderStore(tmp_path / "data")

    store.create("ledger/chain/a/first", b"x")
    store.write("streams/a/day=2026-01-01/b.parquet", lambda opened: opened.write(b"x"))
    store.write("streams/a/day=2026-01-01/b.parquet", lambda opened: opened.write(b"y"))
    with scratch_folder(tmp_path / "data/scratch") as scratch:
        assert not mode(scratch) & OTHERS

    assert {mode(path) for path in (tmp_path / "data").rglob("*") if path.is_file()} == {file}
    assert {mode(path) for path in (tmp_path / "data").rglob("*") if path.is_dir()} == {folder}


def test_folders_that_exist_keep_their_modes(tmp_path: Path, under: Callable[[int], None]) -> None:
    under(0o022)
    (tmp_path / "data/ledger").mkdir(parents=True)

    FolderStore(tmp_path / "data").create("ledger/chain/first", b"x")

    assert modes(tmp_path / "data") == {
        "ledger": "0755",
        "ledger/chain": "0750",
        "ledger/chain/first": "0640",
    }


def test_a_folder_that_cannot_be_made_anywhere_is_refused_and_not_tried_for_ever() -> None:
    with pytest.raises(FileNotFoundError):
        make_folders(Path("/proc/deltadrop/below"))


def test_a_group_that_a_folder_hands_down_stays(
    tmp_path: Path, under: Callable[[int], None]
) -> None:
    under(0o002)
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o2770)

    FolderStore(tmp_path / "data").create("ledger/chain/first", b"x")

    assert modes(tmp_path / "data") == {
        "ledger": "2770",
        "ledger/chain": "2770",
        "ledger/chain/first": "0660",
    }


def delivered(box: Transferbox, tmp_path: Path) -> dict[str, str]:
    drop = tmp_path / "drop"
    drop.write_bytes(b"x")
    box.deliver(drop, Folder("shop", "texts"), "a.csv")
    return modes(box.root.parent)


@pytest.mark.parametrize(
    ("umask", "folder", "file"),
    [(0o022, "0755", "0644"), (0o002, "0775", "0664"), (0o027, "0755", "0644")],
)
def test_a_drop_can_be_picked_up_by_another_user_whatever_the_umask(
    tmp_path: Path, under: Callable[[int], None], umask: int, folder: str, file: str
) -> None:
    under(umask)
    (tmp_path / "data").mkdir()

    assert delivered(Transferbox(tmp_path / "data/transferbox"), tmp_path) == {
        "transferbox": folder,
        "transferbox/shop": folder,
        "transferbox/shop/texts": folder,
        "transferbox/shop/texts/a.csv": file,
    }


def with_settings(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "deltadrop.yaml").write_text(f"root: data\n{text}")
    return folder / "deltadrop.yaml"


def test_its_modes_can_be_set(tmp_path: Path, under: Callable[[int], None]) -> None:
    under(0o022)
    text = 'transferbox: {file_mode: "0660", folder_mode: "0770"}\n'
    settings = load_settings(with_settings(tmp_path / "site", text))
    settings.check_root()

    assert mode(settings.root) == 0o750
    assert delivered(transferbox_of(settings), tmp_path) == {
        "transferbox": "0770",
        "transferbox/shop": "0770",
        "transferbox/shop/texts": "0770",
        "transferbox/shop/texts/a.csv": "0660",
    }


def test_a_file_that_cannot_be_linked_is_copied_with_the_same_mode(
    tmp_path: Path, under: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    under(0o022)
    linked = Path.hardlink_to

    def refused(self: Path, target: Path) -> None:
        if target.name == "drop":
            raise OSError("another file system")
        linked(self, target)

    monkeypatch.setattr(Path, "hardlink_to", refused)
    box = Transferbox(tmp_path / "data/transferbox", file_mode=0o600)

    assert delivered(box, tmp_path)["transferbox/shop/texts/a.csv"] == "0600"
    assert mode(tmp_path / "drop") == 0o644


def test_others_get_through_a_new_root_to_the_transferbox_and_see_nothing_else(
    tmp_path: Path, under: Callable[[int], None]
) -> None:
    under(0o027)
    settings = load_settings(with_settings(tmp_path / "site", ""))

    settings.check_root()

    assert mode(settings.root) == 0o751


@pytest.mark.parametrize("given", ["644", '"644"', '"0999"', '"0044"', '"4755"', "rw-r--r--"])
@pytest.mark.parametrize("field", ["file_mode", "folder_mode"])
def test_a_mode_that_is_not_written_as_one_is_refused_with_what_would_be_right(
    tmp_path: Path, field: str, given: str
) -> None:
    file = with_settings(tmp_path / "site", f"transferbox: {{{field}: {given}}}\n")

    with pytest.raises(DefinitionError, match=f"field 'transferbox.{field}'"):
        load_settings(file)


def test_folders_that_an_earlier_release_left_open_are_told_with_the_command_that_closes_them(
    tmp_path: Path, under: Callable[[int], None]
) -> None:
    under(0o022)
    settings = load_settings(with_settings(tmp_path / "site", ""))
    assert settings.warning_of_root == ""
    settings.check_root()
    for folder in ("transferbox", "ledger", "streams"):
        (settings.root / folder).mkdir()
    FolderStore(settings.root).create("coverage/x", b"x")

    assert settings.warning_of_root == (
        f"every user of this machine may look into ledger, streams in {settings.root}, as an"
        " earlier release made them; to change that: chmod -R o="
        f" {settings.root}/ledger {settings.root}/streams"
    )

    settings.root.chmod(0o750)
    assert settings.warning_of_root == ""


def test_folders_of_definitions_beside_the_data_are_nobodys_secret(
    tmp_path: Path, under: Callable[[int], None]
) -> None:
    under(0o022)
    file = with_settings(tmp_path / "site", "")
    file.write_text("root: .\n")
    (file.parent / "exports").mkdir(exist_ok=True)
    (file.parent / "streams.d").mkdir(exist_ok=True)

    assert load_settings(file).warning_of_root == ""
