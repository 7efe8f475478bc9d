"""The kinds of locations, and the locations of an installation (settings: `locations:`).

A new kind needs a folder with its settings, and an entry in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.definitions.definitions import Document, Faults, build, choices
from schemas.settings.settings import Settings
from schemas.settings.withheld import quote_of_settings, quoted
from sinks.locations.base import Location, Terms
from sinks.locations.ftps import FtpsSettings
from sinks.locations.s3 import S3Settings
from sinks.locations.settings import LocationSettings
from sinks.locations.sftp import SftpSettings
from sinks.locations.transferbox import TRANSFERBOX, Transferbox

__all__ = ["KINDS", "Destination", "Locations", "load_locations", "terms_of", "transferbox_of"]

KINDS: Final[Mapping[str, type[LocationSettings]]] = {
    "s3": S3Settings,
    "sftp": SftpSettings,
    "ftps": FtpsSettings,
}
"""The settings of each kind; those of the transferbox are in a section of their own."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A location, and what a receiver gets there."""

    location: Location
    terms: Terms
    settings: LocationSettings | None = None
    """Its own settings; the transferbox has none among the locations."""


Locations = Mapping[str, Destination]
"""All locations of an installation by their names, the transferbox first."""


def transferbox_of(settings: Settings) -> Transferbox:
    """Return the transferbox of an installation."""
    own = settings.transferbox
    return Transferbox(
        settings.root / TRANSFERBOX,
        file_mode=int(own.file_mode, 8) if own.file_mode else None,
        folder_mode=int(own.folder_mode, 8) if own.folder_mode else None,
    )


def load_locations(settings: Settings) -> Locations:
    """Make the transferbox and the locations of the settings.

    Nothing is connected, and no secret is read. Raises DefinitionError with every fault.
    """
    box, own = transferbox_of(settings), settings.transferbox
    terms = Terms(own.manifests, own.ready_file, checksum_file=own.checksum_file)
    found = {TRANSFERBOX: Destination(box, terms)}
    faults = Faults()
    for name, given in settings.locations.items():
        settings_read = _read(name, _within(settings.source, name, given), faults)
        if settings_read is not None:
            place = settings_read.location(name, settings.root / "locks")
            found[name] = Destination(place, settings_read.terms, settings_read)
    faults.raise_if_any()
    return found


def terms_of(locations: Locations) -> dict[str, Terms]:
    """The terms of each location, against which definitions are checked."""
    return {name: destination.terms for name, destination in locations.items()}


def _read(name: str, own: Document, faults: Faults) -> LocationSettings | None:
    if name == TRANSFERBOX:
        hint = "put its settings in the section 'transferbox', or name this one otherwise"
        faults.add(own.where(), f"location '{name}' is always there", hint)
        return None
    kind = own.data.get("kind")
    if kind is None:
        faults.add(own.where(), f"location '{name}': kind is missing", choices("", KINDS))
        return None
    if not isinstance(kind, str) or kind not in KINDS:
        what = f"location '{name}': {quoted(kind)} isn't a kind of location"
        faults.add(own.where(("kind",)), what, choices(str(kind), KINDS))
        return None
    model = build(own, KINDS[kind], faults, within=("locations", name), quote_of=quote_of_settings)
    return None if model is None else _anchored(model, own.path.parent)


def _within(settings: Document, name: str, given: Mapping[str, object]) -> Document:
    """The settings of one location as a document, with the lines of the settings' file."""
    lines = {at[2:]: n for at, n in settings.lines.items() if at[:2] == ("locations", name)}
    sources = {at[2:]: s for at, s in settings.sources.items() if at[:2] == ("locations", name)}
    return Document(settings.path, given, lines, sources)


def _anchored(model: LocationSettings, folder: Path) -> LocationSettings:
    """A copy of the settings, with relative paths resolved from the settings file's folder."""
    paths = {
        name: folder / value
        for name in type(model).model_fields
        if isinstance(value := getattr(model, name), Path)
    }
    return model.model_copy(update=paths)
