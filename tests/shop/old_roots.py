"""Installations that older releases left behind, kept in `tests/fixtures`: see the README there."""

from __future__ import annotations

import base64
import json
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streams.writing.dead_letter_topic import Poison
from tests.shop.offline import Log, OfflineShop, Record

__all__ = ["FIXTURES", "MENDED_RULES", "OldRoot", "TakenLetters", "kept_in", "taken_out_of"]

FIXTURES: Final = Path(__file__).parents[1] / "fixtures"
ARCHIVE: Final = "root.tar.gz"

_AT_CREATION: Final = "UPDATED at the creation's moment counts in a later window (SPEC §3, Rows)"

MENDED_RULES: Final[Mapping[str, Mapping[str, str]]] = {
    "root-0.1": {
        f"{export}@20260330T060000.000Z": _AT_CREATION
        for export in ("cards", "everybody", "profiles", "profiles-updated", "stores")
    }
}
"""What a rule that was mended since changes of the drops that an old root has recorded: for each
fixture, the drop's id (`profiles@20260330T060000.000Z`), and the rule by its name. Every other drop
is redropped with the same bytes.
"""


@dataclass
class TakenLetters:
    """Takes dead letters, and keeps them in memory."""

    taken: list[Poison] = field(default_factory=list)

    def send(self, events: Iterable[Poison]) -> None:
        self.taken += events


@dataclass
class OldRoot:
    """A fixture, unpacked: the installation as it was left, and what was delivered.

    shop: its root, its log, and the schemas that its events were written with; what lies behind
    `shop.stored` no worker has stored yet. delivered: every file that was ever in the transferbox,
    by its name, also where a revision has replaced it since. following: what the code that made the
    root delivers next, as the fixture's generator goes on (`night_after`).
    """

    name: str
    shop: OfflineShop
    delivered: Mapping[str, bytes] = field(repr=False)
    following: Mapping[str, bytes] = field(repr=False)

    @property
    def mended(self) -> Mapping[str, str]:
        """The rule that was mended since, by the id of each drop that it changes."""
        return MENDED_RULES[self.name]

    def copied(self, folder: Path) -> OfflineShop:
        """The installation in another folder, with a life of its own from here on."""
        return self.shop.copied(folder)


def kept_in(
    fixture: Path,
    shop: OfflineShop,
    delivered: Mapping[str, bytes],
    following: Mapping[str, bytes],
    aside: Path,
) -> None:
    """Keep an installation as a fixture, see OldRoot. aside: a folder for what is to be packed."""
    shutil.copytree(shop.root, aside / "data")
    for folder, files in (("delivered", delivered), ("following", following)):
        (aside / folder).mkdir()
        for name, content in files.items():
            (aside / folder / name).write_bytes(content)
    _write_log(shop, aside / "log.jsonl")
    topics = {
        topic: {"partitions": shop.log.count(topic), "schema": schema}
        for topic, schema in shop.schemas.items()
    }
    known = {"topics": topics, "stored": shop.stored}
    (aside / "topics.json").write_text(json.dumps(known, indent=1) + "\n")
    fixture.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fixture / ARCHIVE, "w:gz", compresslevel=9) as archive:
        for file in sorted(one for one in aside.rglob("*") if one.is_file()):
            archive.add(file, str(file.relative_to(aside)), filter=_anybody)


def taken_out_of(name: str, folder: Path) -> OldRoot:
    """Unpack a fixture into a folder."""
    shutil.copytree(FIXTURES / name / "definitions", folder, dirs_exist_ok=True)
    with tarfile.open(FIXTURES / name / ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    delivered, following = (
        {file.name: file.read_bytes() for file in (folder / own).iterdir()}
        for own in ("delivered", "following")
    )
    known = json.loads((folder / "topics.json").read_text())
    schemas = {topic: told["schema"] for topic, told in known["topics"].items()}
    log = Log()
    log.partitions.update({topic: told["partitions"] for topic, told in known["topics"].items()})
    for topic, partition, record in _records(folder / "log.jsonl"):
        log.partition(topic, partition).append(record)
    shop = OfflineShop(folder, log, None, known["stored"], {}, TakenLetters(), schemas)
    return OldRoot(name, shop, delivered, following)


def _write_log(shop: OfflineShop, file: Path) -> None:
    with file.open("w") as out:
        for topic in shop.sinks.streams.topics:
            for number in range(shop.log.count(topic)):
                for offset, record in enumerate(shop.log.partition(topic, number)):
                    out.write(json.dumps(_told(topic, number, offset, record)) + "\n")


def _told(topic: str, partition: int, offset: int, record: Record) -> Mapping[str, object]:
    return {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "appendedAt": record.appended_at,
        "key": base64.b64encode(record.key).decode(),
        "value": base64.b64encode(record.value).decode(),
    }


def _records(file: Path) -> Iterator[tuple[str, int, Record]]:
    for line in file.read_text().splitlines():
        told = json.loads(line)
        key, value = base64.b64decode(told["key"]), base64.b64decode(told["value"])
        yield told["topic"], told["partition"], Record(told["appendedAt"], key, value)


def _anybody(file: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out what is of the machine that packs: owner, rights and clock."""
    file.uid = file.gid = 0
    file.uname = file.gname = ""
    file.mode, file.mtime = 0o644, 0
    return file
