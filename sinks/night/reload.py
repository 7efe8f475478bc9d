"""The installation for a process that runs for months. Definitions are read again when their files
change, so that a changed definition applies from the next close (SPEC §4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import structlog

from schemas.errors import DefinitionError
from sinks.setup import Sinks

__all__ = ["Installed"]

log = structlog.get_logger(__name__)

_Signature: TypeAlias = tuple[tuple[str, int, int], ...]


class Installed:
    """Makes the parts of an installation, again whenever a definition's file has changed.

    make: makes the parts; raises DefinitionError if a definition is wrong. folders: the folders
    with definitions.
    """

    def __init__(self, make: Callable[[], Sinks], folders: Iterable[Path]) -> None:
        self._make = make
        self._folders = tuple(folders)
        self._seen = self._signature()
        self._sinks = make()

    @property
    def current(self) -> Sinks:
        """Return the parts as they were last made. No file is read, so any thread may call it."""
        return self._sinks

    def latest(self) -> Sinks:
        """Return the parts by today's definitions; if these are wrong, the parts made before."""
        signature = self._signature()
        if signature != self._seen:
            self._seen = signature
            try:
                self._sinks = self._make()
                log.info("definitions read anew", exports=len(self._sinks.exports))
            except (DefinitionError, OSError) as error:
                log.error("definitions refused: the former ones stay", error=str(error))
        return self._sinks

    def _signature(self) -> _Signature:
        files = sorted(file for folder in self._folders for file in folder.rglob("[!.]*.y*ml"))
        return tuple((str(file), *_written(file)) for file in files)


def _written(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:  # removed, or links to itself: its reader reports that
        return 0, 0
    return status.st_mtime_ns, status.st_size
