"""The deliveries of a drop: to each of its export's locations, each with its own receipt.

Where the drop is brought to is kept in the ledger as soon as it's there: what one location failed
to take is tried again by the next run, and the others, whose partners may have taken their file
away by then, are left alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

import structlog

from schemas.errors import CloseError
from sinks.drops.manifest import MANIFEST_ENDING, Manifest
from sinks.ledger.receipts import Consignment, Receipts
from sinks.locations.base import DeliveryError, Folder, PassingError, Receipt, Terms
from sinks.locations.kinds import Destination

__all__ = ["Bring", "Deliveries", "Parcel"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

_LONGEST_PAUSE_SECONDS: Final = 60.0
"""Between two attempts: by then a server that was restarted answers."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is delivered of a drop."""

    drop: Consignment
    folder: Folder
    name: str
    file: Path | None  # None where an empty window's file is skipped
    manifest: Manifest


Bring = Callable[[str, Parcel, Path], Sequence[Receipt]]
"""Brings a drop to the location of a name; its manifest is a local file."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Brings drops to places."""

    destinations: Mapping[str, Destination]
    receipts: Receipts
    scratch: Path

    def deliver(self, parcel: Parcel, locations: Sequence[str]) -> tuple[Receipt, ...]:
        """Bring a drop to each of `locations`, and return the receipts of all its files.

        One that fails doesn't keep it from the others. Raises CloseError for those that failed;
        doing it again is safe.
        """
        return self._deliver(parcel, locations, self._unless_kept)

    def deliver_again(self, parcel: Parcel, locations: Sequence[str]) -> tuple[Receipt, ...]:
        """Bring a drop to each of `locations` that doesn't have it now, whatever the receipts of
        earlier deliveries say; see `deliver`.
        """
        return self._deliver(parcel, locations, self._to)

    def _deliver(
        self,
        parcel: Parcel,
        locations: Sequence[str],
        bring: Bring,
    ) -> tuple[Receipt, ...]:
        receipts: list[Receipt] = []
        failed: list[CloseError] = []
        with self._files(parcel) as manifest:
            for name in locations:
                try:
                    receipts += bring(name, parcel, manifest)
                except CloseError as error:
                    failed.append(error)
        if failed:
            raise _all_of(failed)
        return tuple(receipts)

    def deliver_where_found(self, parcel: Parcel, locations: Sequence[str]) -> tuple[Receipt, ...]:
        """Return the receipts of the locations that have a drop; it is brought to no other."""
        name = parcel.name if parcel.file else f"{parcel.name}{MANIFEST_ENDING}"
        return self._deliver(
            parcel, [one for one in locations if self._has(parcel, one, name)], self._unless_kept
        )

    def _has(self, parcel: Parcel, location: str, name: str) -> bool:
        return self.receipts.of(parcel.drop, location) is not None or any(
            self.taken(parcel.folder, name, [location])
        )

    def taken(self, folder: Folder, name: str, locations: Sequence[str]) -> Iterator[str]:
        """Yield the locations that have a file of this name.

        One that can't tell now is left out: what it has is never overwritten anyhow.
        """
        for location in locations:
            try:
                if self._destination(location).location.find(folder, name):
                    yield location
            except DeliveryError as error:
                log.warning("location can't be asked", location=location, why=str(error))

    def may_have(self, folder: Folder, name: str, locations: Sequence[str]) -> bool:
        """Whether any of the locations has a file of this name, or can't be asked."""
        try:
            return any(self._destination(one).location.find(folder, name) for one in locations)
        except DeliveryError:
            return True

    def _unless_kept(self, location: str, parcel: Parcel, manifest: Path) -> Sequence[Receipt]:
        kept = self.receipts.of(parcel.drop, location)
        return kept if kept is not None else self._to(location, parcel, manifest)

    def _to(self, location: str, parcel: Parcel, manifest: Path) -> Sequence[Receipt]:
        place, terms = self._destination(location), self._destination(location).terms
        until = time.monotonic() + terms.total_seconds
        receipts = [
            with_retries(
                terms, partial(place.location.deliver, local, parcel.folder, name), until=until
            )
            for local, name in _files_for(terms, parcel, manifest)
        ]
        self.receipts.record(parcel.drop, location, receipts)
        return receipts

    def _destination(self, name: str) -> Destination:
        """Give a place by its name: a recorded definition may name one that is gone by now."""
        if name not in self.destinations:
            raise DeliveryError(
                f"location '{name}' isn't in the settings any more",
                hint="put it back (section 'locations' of the settings); then run again",
            )
        return self.destinations[name]

    @contextmanager
    def _files(self, parcel: Parcel) -> Iterator[Path]:
        with TemporaryDirectory(dir=self.scratch) as scratch:
            manifest = Path(scratch) / "manifest.json"
            manifest.write_bytes(parcel.manifest.to_json())
            (Path(scratch) / "ready").touch()
            yield manifest


def with_retries(
    terms: Terms,
    action: Callable[[], T],
    pause: Callable[[float], object] = time.sleep,
    until: float = math.inf,
) -> T:
    """Do something again while it fails with PassingError, after pauses that get longer.

    until: on the monotonic clock; no attempt begins later, the first excepted.
    """
    for attempt in range(1, terms.attempts):
        try:
            return action()
        except PassingError as error:
            wait = min(terms.retry_seconds * 2 ** (attempt - 1), _LONGEST_PAUSE_SECONDS)
            if time.monotonic() + wait > until:
                raise
            log.warning("tried again", why=str(error), attempt=attempt, seconds=wait)
            pause(wait)
    return action()


def _files_for(terms: Terms, parcel: Parcel, manifest: Path) -> Iterator[tuple[Path, str]]:
    """What a location gets, in order: the ready file is the last (SPEC §7)."""
    if parcel.file is not None:
        yield parcel.file, parcel.name
    if terms.manifests:
        yield manifest, f"{parcel.name}{MANIFEST_ENDING}"
    if terms.ready_file is not None:
        yield manifest.with_name("ready"), f"{parcel.name}{terms.ready_file}"


def _all_of(failed: Sequence[CloseError]) -> CloseError:
    if len(failed) == 1:
        return failed[0]
    return CloseError(
        f"{len(failed)} locations failed: " + " | ".join(str(error) for error in failed),
        hint="what was delivered stays; run again for the others",
    )
