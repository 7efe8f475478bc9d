"""Files that hold a secret: how they are read, and what is wrong with them.

A secret that is empty or only white space is refused. A file that every user of the machine may
read is warned of.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from schemas.errors import Fault
from schemas.settings.withheld import file_named

__all__ = ["looked_at", "secret_files", "secret_in"]

log = logging.getLogger(__name__)

_PUBLIC: Final = frozenset({"ca_file", "certificate_file"})
"""Settings of files that hold no secret."""
_HINT: Final = "give it to the user that deltadrop runs as: mode 0600, or 0640 with a group"


def secret_in(file: Path) -> str:
    """Return a file's secret, without white space around it; raises OSError, UnicodeDecodeError.

    Logs a warning once for a file that everybody may read.
    """
    if _is_for_everybody(file):
        _warn_once(file)
    return file.read_text(encoding="utf-8").strip()


def secret_files(section: BaseModel, name: str) -> Iterator[tuple[str, Path]]:
    """Yield the settings of a section that name a file with a secret, and the files; name: the
    section's own name, such as `webhook`.
    """
    for field in type(section).model_fields:
        value = getattr(section, field)
        if isinstance(value, BaseModel):
            yield from secret_files(value, f"{name}.{field}")
        elif isinstance(value, Path) and field.endswith("_file") and field not in _PUBLIC:
            yield f"{name}.{field}", value


def looked_at(name: str, file: Path) -> tuple[Fault | None, Fault | None]:
    """Return (what refuses a secret's file, what is warned of); name: the setting.

    A file that isn't there is neither: definitions are checked on machines without secrets, too.
    """
    try:
        is_empty = not file.read_bytes().strip()
    except OSError:
        return None, None
    where = file_named(file)
    fault = Fault(name, f"{where} is empty", "it holds the secret") if is_empty else None
    if not _is_for_everybody(file):
        return fault, None
    return fault, Fault(name, f"everybody on this machine may read {where}", _HINT)


def _is_for_everybody(file: Path) -> bool:
    return bool(file.stat().st_mode & stat.S_IROTH)


@cache
def _warn_once(file: Path) -> None:
    log.warning("everybody on this machine may read the secret in %s; %s", file_named(file), _HINT)
