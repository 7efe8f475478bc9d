"""Jars from Maven Central: pinned, verified, and cached outside the checkout.

Each download has a Maven project file (``<name>.pom.xml``) and a list of SHA-256 sums
(``checksums/<name>.sha256``, in the format of ``sha256sum``). A download is refused if a file is
missing, isn't listed, or differs.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.parts.errors import PartError
from deploy.parts.process import output_of

_HERE = Path(__file__).parent
_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_TIMEOUT_S = 900
"""Seconds for one download: enough for 160 MB over a slow line; a stuck build hangs no longer."""


@dataclass(frozen=True, slots=True)
class Download:
    """A set of files that Maven downloads together."""

    name: str
    """The stem of the project and checksum files, with the version: ``kafka-4.2.0``."""

    def directory(self) -> Path:
        """Return the folder with the verified files; download them if the folder is missing.

        Concurrent calls are safe: one process downloads, the others wait. A download that was
        killed is repeated. An archive (``.tar.gz``) is unpacked in place.

        Raises PartError if Maven is missing or fails, or a checksum differs.
        """
        target = cache_directory() / self.name
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with only_one(target.with_name(f"{self.name}.lock")):
            if not target.is_dir():
                self._fill(target)
        return target

    def _fill(self, target: Path) -> None:
        print(f"downloading {self.name} from Maven Central, once", file=sys.stderr, flush=True)  # noqa: T201
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{self.name}.") as scratch:
            fetched = Path(scratch) / "files"
            _run_maven(_HERE / f"{self.name}.pom.xml", fetched)
            verify(fetched, _HERE / "checksums" / f"{self.name}.sha256")
            for archive in fetched.glob("*.tar.gz"):
                subprocess.run(["tar", "-xzf", archive.name], cwd=fetched, check=True)
                archive.unlink()
            fetched.rename(target)


def cache_directory() -> Path:
    """The folder of downloads: ``$XDG_CACHE_HOME/deltadrop``, or ``~/.cache/deltadrop``."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "deltadrop"


def verify(directory: Path, checksums: Path) -> None:
    """Check that a folder has exactly the files of a checksum list, byte for byte.

    Raises PartError with every file that is missing, not listed, or different.
    """
    wanted = {name: digest for digest, name in map(str.split, checksums.read_text().splitlines())}
    found = {path.name: _sha256(path) for path in directory.iterdir()}
    faults = [
        *(f"{name} is missing" for name in sorted(wanted.keys() - found.keys())),
        *(f"{name} isn't in the list" for name in sorted(found.keys() - wanted.keys())),
        *(
            f"{name} has SHA-256 {found[name]}, not {wanted[name]}"
            for name in sorted(found.keys() & wanted.keys())
            if found[name] != wanted[name]
        ),
    ]
    if faults:
        raise PartError(f"download differs from {checksums.name}: {'; '.join(faults)}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run_maven(project: Path, output: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise PartError(
            "Maven is missing, and the real parts are downloaded by it: run 'make setup' (on"
            " Debian or Ubuntu as root it installs it), or"
            " 'apt-get install maven default-jre-headless'; or give a running Kafka and registry"
            " by KAFKA_BOOTSTRAP_SERVERS and SCHEMA_REGISTRY_URL"
        )
    command = [maven, "-B", "-q", "-f", str(project), f"{_DEPENDENCY_PLUGIN}:copy-dependencies"]
    output_of(
        [*command, f"-DoutputDirectory={output}"],
        _TIMEOUT_S,
        too_slow=f"Maven did not fetch {project.name} within {_TIMEOUT_S} s",
        failed=f"Maven could not fetch {project.name}",
    )


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Wait until no other process is in the context of this lock file, and then hold the lock."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
