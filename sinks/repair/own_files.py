"""Find the files in the transferbox that are still those that were delivered (SPEC §7).

Only these may be removed, as others may have replaced them by their own files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

from schemas.settings.receivers import CHECKSUM_ENDING
from sinks.drops.checksum import checksum_file
from sinks.drops.manifest import MANIFEST_ENDING
from sinks.ledger.outcome import CloseOutcome
from sinks.locations import Transferbox
from sinks.locations.base import Receipt

__all__ = ["own_files"]

log = structlog.get_logger(__name__)


def own_files(
    transferbox: Transferbox, receipts: Iterable[Receipt], outcome: CloseOutcome
) -> Iterator[Path]:
    """Yield the files of a drop that still have the delivered bytes; other files are logged.

    receipts: the transferbox's receipts of the drop.
    """
    for receipt in receipts:
        file = transferbox.path_of(receipt)
        if file.is_file() and _is_ours(file, receipt, outcome):
            yield file
        elif file.exists():
            log.warning("left in the transferbox", file=str(file), why="isn't what was delivered")


def _is_ours(file: Path, receipt: Receipt, outcome: CloseOutcome) -> bool:
    """Whether a file is what was delivered.

    Sizes must agree. A drop is then known by its checksum, and a manifest by the drop and checksum
    in it, as a checksum file is. A ready file is empty, which no other file is.
    """
    if file.stat().st_size != receipt.bytes:
        return False
    if not receipt.bytes:
        return True
    if file.name.endswith(MANIFEST_ENDING):
        return _is_manifest_of(file, outcome)
    if file.name.endswith(CHECKSUM_ENDING):
        name = file.name.removesuffix(CHECKSUM_ENDING)
        return file.read_bytes() == checksum_file(outcome.sha256, name)
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == outcome.sha256


def _is_manifest_of(file: Path, outcome: CloseOutcome) -> bool:
    try:
        manifest = json.loads(file.read_bytes())
        sha256 = outcome.sha256 if manifest["file"] is None else manifest["file"]["sha256"]
        return bool((manifest["drop"], sha256) == (outcome.drop_id, outcome.sha256))
    except (ValueError, KeyError, TypeError):
        return False
