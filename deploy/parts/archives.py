"""Class archives: a server's classes as they are after a start, so that each later start is cheap.

Java calls it the AOT cache (JEP 483 and 514). Java itself refuses an archive that doesn't fit its
version or the jars, and a truncated one, and starts without. A start of Kafka takes 1.2 instead of
2.4 s of processor time with its archive, one of the registry 2.5 instead of 4 s.
"""

import hashlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.parts.downloads import Download, cache_directory, only_one
from deploy.parts.java import QUICK_START_OPTIONS

_OLDEST_JAVA = 25
"""The oldest major version that makes an archive in one run (JEP 514)."""


@dataclass(frozen=True, slots=True)
class ClassArchive:
    """The archive of a download's server on a Java. The server can do without it."""

    download: Download
    java: Path
    """The launcher."""

    @property
    def file(self) -> Path | None:
        """Where the archive is, whether or not it has been made; None if the Java is too old.

        The name changes with the Java, the jars and the options of a quick start.
        """
        home = self.java.resolve().parent.parent
        release, modules = home / "release", home / "lib" / "modules"
        if not release.exists() or not modules.exists():
            return None
        version = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(), re.MULTILINE)
        if version is None or int(version.group(1)) < _OLDEST_JAVA:
            return None
        jars = self.download.directory()
        made_of = [release.read_text(), *QUICK_START_OPTIONS]
        made_of += [f"{path.stat().st_mtime_ns}" for path in (modules, jars)]
        key = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:12]
        return cache_directory() / f"{self.download.name}-{key}.aot"

    def options(self) -> tuple[str, ...]:
        """Return the options for a quick start, with the archive if it has been made."""
        file = self.file
        if file is None or not file.exists():
            return QUICK_START_OPTIONS
        return (*QUICK_START_OPTIONS, f"-XX:AOTCache={file}")

    def make(self, run: Callable[[tuple[str, ...]], None]) -> Path | None:
        """Make the archive if it is missing, and remove those of other Javas.

        run: starts the server with these options, and stops it with the time that it needs: Java
        writes the archive at its end. Return the archive; None if Java can't make it, or didn't.
        """
        file = self.file
        if file is None or file.exists():
            return file
        with only_one(file.with_suffix(".lock")):
            if not file.exists():
                self._make(file, run)
        return file if file.exists() else None

    def _make(self, file: Path, run: Callable[[tuple[str, ...]], None]) -> None:
        print(f"preparing quick starts of {self.download.name}, once", file=sys.stderr, flush=True)  # noqa: T201
        unfinished = file.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        run((*QUICK_START_OPTIONS, f"-XX:AOTCacheOutput={unfinished}"))
        if not unfinished.exists():
            return
        for other in file.parent.glob(f"{self.download.name}-*.aot"):
            other.unlink()
        unfinished.rename(file)
