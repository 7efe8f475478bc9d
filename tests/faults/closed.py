"""An installation whose one window is closed while something goes wrong, and what it's held
against: a close that nothing happens to.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from sinks.ledger.ledger import Ledger
from streams.storage.folder import FolderStore
from tests.faults.closing import EXPORT, Ended, close
from tests.faults.injected import Fault
from tests.faults.partners import PLACES, Held, Reader, Server, held, located, secrets_of
from tests.integration.servers import root_of

MANIFEST = ".manifest.json"


@dataclass
class Site:
    """An installation, its places, and the servers that are there for all combinations."""

    folder: Path
    instant: dt.datetime
    servers: dict[str, Server]
    own: str  # the folder of this combination at each place
    settings: Mapping[str, Any]  # beside those of the locations

    def __post_init__(self) -> None:
        self.environment = secrets_of(self.servers)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def places(self) -> dict[str, Path]:
        """Where a partner looks."""
        roots = {name: root_of(server) / self.own for name, server in self.servers.items()}
        roots["transferbox"] = self.data / "transferbox"
        return {name: roots[name] / "crm" / EXPORT for name in PLACES}

    def settle(self) -> None:
        """Write the settings."""
        told = {"root": "data", **self.settings, "locations": located(self.servers, self.own)}
        (self.folder / "deltadrop.yaml").write_text(yaml.safe_dump(told, sort_keys=False))

    def close(
        self, said: Path, fault: Fault | None = None, environment: Mapping[str, str] | None = None
    ) -> Ended:
        """Run its close, in a process of its own."""
        variables = self.environment if environment is None else environment
        return close(self.folder, self.instant, said, variables, fault)

    def ledger(self) -> list[str]:
        """What the ledger has of the close, as names of entries."""
        folders = list((self.data / "ledger" / "exports" / EXPORT).glob("*"))
        assert len(folders) <= 1, "one window"
        return sorted(f.name for one in folders for f in one.iterdir() if f.name[0] != ".")

    def held(self) -> Held:
        """What each place has."""
        return held(self.places)


@dataclass(frozen=True)
class Undisturbed:
    """What a close that nothing happens to leaves."""

    files: Mapping[str, bytes]  # the drop, then its manifest
    ledger: list[str]
    waiting: list[dict[str, Any]]

    @property
    def drop(self) -> bytes:
        return next(iter(self.files.values()))

    @classmethod
    def of(cls, site: Site) -> Undisturbed:
        files = {name: file.read_bytes() for name, file in site.held()["transferbox"].items()}
        drop, manifest = files
        assert manifest == drop + MANIFEST
        told = json.loads(files[manifest])["file"]["sha256"]
        assert told == hashlib.sha256(files[drop]).hexdigest()
        return cls(files, site.ledger(), _waiting(site))

    def is_what_is_left(self, site: Site, reader: Reader, sent_before: Mapping[Path, int]) -> None:
        """Assert that a site has the same, and that its reader saw nothing else.

        sent_before: the inodes of what was there after the fault.
        """
        assert reader.wrong == []
        assert reader.looks > 5
        found = site.held()
        contents = {
            place: {name: file.read_bytes() for name, file in files.items()}
            for place, files in found.items()
        }
        assert contents == dict.fromkeys(PLACES, self.files)
        again = {file: inode for file, inode in inodes(found).items() if file in sent_before}
        assert again == sent_before, "nothing was sent again"
        assert site.ledger() == self.ledger
        assert _waiting(site) == self.waiting
        outcome = Ledger(FolderStore(site.data)).outcome(EXPORT, site.instant)
        assert outcome is not None
        assert outcome.sha256 == hashlib.sha256(self.drop).hexdigest()
        assert len(outcome.receipts) == 2 * len(PLACES)


def inodes(found: Held) -> dict[Path, int]:
    """What tells whether a file was sent again."""
    return {file: file.stat().st_ino for files in found.values() for file in files.values()}


def _waiting(site: Site) -> list[dict[str, Any]]:
    (file,) = site.data.glob("ledger/exports/*/*/waiting.parquet")
    return pq.read_table(file, partitioning=None).to_pylist()
