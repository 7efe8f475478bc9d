"""Settings of the files that a receiver gets, for the transferbox and all locations (SPEC §7)."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from schemas.settings.withheld import quoted

__all__ = ["CHECKSUM_ENDING", "ReadyFile"]

CHECKSUM_ENDING: Final = ".sha256"
"""What the name of a checksum file adds to its drop's."""

_ENDING: Final = re.compile(r"[._-](?:[A-Za-z0-9._-]{0,29}[A-Za-z0-9])")
_REVISION: Final = re.compile(r".*-r[0-9]+")
_TAKEN: Final = (".manifest.json", CHECKSUM_ENDING, ".csv", ".gz", ".zip", ".part")
"""Endings of drops, what goes beside them, and incomplete files."""


def _ready_file(given: str) -> str:
    """Check an ending, ignoring case, as some servers don't distinguish case."""
    name = quoted(given)
    if not _ENDING.fullmatch(given):
        raise ValueError(
            f"{name} isn't an ending: a dot, dash or underscore, then up to 30 letters, digits, "
            "dots, dashes and underscores, a letter or digit last, as .ready"
        )
    taken = next((ending for ending in _TAKEN if given.lower().endswith(ending)), None)
    if taken is not None:
        raise ValueError(f"{name} ends as other files do ({taken}); choose another, as .ready")
    if _REVISION.fullmatch(given.lower()):
        raise ValueError(f"{name} ends as revisions do (-r1); choose another, as .ready")
    return given


ReadyFile = Annotated[str, Field(strict=True), AfterValidator(_ready_file)]
"""The ending that the last written file adds to the drop's name, such as `.ready`."""
