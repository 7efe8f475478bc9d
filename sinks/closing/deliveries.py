"""Deliver a drop to each of its export's locations, with a receipt for each.

The ledger records each file as soon as a location has it. If a location fails, the next run tries
it again and leaves the others alone: their partners may have fetched their files by then.
"""

from __future__ import annotations

import datetime as dt
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import structlog

from schemas.backoff import Backoff
from schemas.errors import CloseError, DeltadropError
from schemas.settings.receivers import CHECKSUM_ENDING
from sinks.closing.unexpected import unexpected_error
from sinks.drops.checksum import checksum_file
from sinks.drops.manifest import MANIFEST_ENDING, Manifest
from sinks.exports.export import Export
from sinks.ledger.receipts import Consignment, Receipts
from sinks.locations.base import DeliveryError, Folder, PassingError, Receipt, Terms
from sinks.locations.kinds import Destination
from sinks.locations.local import content_of
from sinks.locations.transferbox import TRANSFERBOX
from sinks.scratch import scratch_folder

__all__ = ["Bring", "Deliveries", "Delivery"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

Files: TypeAlias = Mapping[str, Path]
"""The files of a drop that a location gets, by their names there, in order."""
KnownReceipt: TypeAlias = Callable[[Consignment, str, str], Receipt | None]
"""Returns the receipt of a drop's file at a location, if there is one."""

_LONGEST_PAUSE_SECONDS: Final = 60.0
"""Longest pause between two attempts: by then a restarted server answers."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is delivered of a drop: its file and manifest, and which drop it is."""

    drop: Consignment
    folder: Folder
    name: str
    file: Path | None  # None if the file of an empty window is skipped
    manifest: Manifest


Bring: TypeAlias = Callable[[str, Delivery, Files], Sequence[Receipt]]
"""Delivers the files of a drop to the location of this name."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Delivers drops to locations."""

    destinations: Mapping[str, Destination]
    receipts: Receipts
    scratch: Path

    def deliver(self, delivery: Delivery, locations: Sequence[str]) -> tuple[Receipt, ...]:
        """Deliver a drop to each of `locations`, and return the receipts of all its files.

        If a location fails, for any reason, the others still get the drop; then DeltadropError is
        raised for those that failed. Running it again is safe.
        """
        return self._deliver(delivery, locations, self._unless_received)

    def deliver_again(self, delivery: Delivery, locations: Sequence[str]) -> tuple[Receipt, ...]:
        """Deliver a drop to each of `locations` that doesn't have it now; see `deliver`.

        Receipts of earlier deliveries don't count.
        """
        return self._deliver(delivery, locations, self._again)

    def _deliver(
        self,
        delivery: Delivery,
        locations: Sequence[str],
        bring: Bring,
    ) -> tuple[Receipt, ...]:
        receipts: list[Receipt] = []
        failed: list[DeltadropError] = []
        for name in locations:
            try:
                with self._files(delivery, name, is_alone=len(locations) == 1) as files:
                    receipts += bring(name, delivery, files)
            except DeltadropError as error:
                failed.append(error)
            except Exception as error:
                failed.append(unexpected_error(error, f"location '{name}'", file=delivery.name))
        if failed:
            raise _all_of(failed)
        return tuple(receipts)

    def deliver_where_found(
        self, delivery: Delivery, locations: Sequence[str]
    ) -> tuple[Receipt, ...]:
        """Return the receipts of the locations that have a drop already; no other location gets it.

        Files that such a location lacks are delivered to it.
        """
        name = delivery.name if delivery.file else f"{delivery.name}{MANIFEST_ENDING}"
        return self._deliver(
            delivery,
            [location for location in locations if self._has(delivery, location, name)],
            self._unless_received,
        )

    def _has(self, delivery: Delivery, location: str, name: str) -> bool:
        receipts = self.receipts
        return (
            receipts.of(delivery.drop, location) is not None
            or receipts.of_file(delivery.drop, location, name) is not None
            or self._found(delivery.folder, [name], location) is not None
        )

    def taken(
        self, folder: Folder, name: str, locations: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        """Yield the locations that have a file of a drop with this name, each with that file's
        name.

        A location that doesn't answer is left out: a delivery never overwrites what it has.
        """
        for location in locations:
            found = self._found(folder, self._names(name, location), location)
            if found is not None:
                yield location, found

    def refuse_foreign_file(self, export: Export, instant: dt.datetime) -> None:
        """Raise CloseError if a location has a file that isn't of an export, with the name of the
        file that its close at an instant will make.
        """
        folder, name = Folder(export.definition.entity, export.name), export.file_name(instant)
        for location, file in self.taken(folder, str(name), export.definition.deliver):
            raise CloseError(
                what=f"the file name {file} is taken at '{location}' by a file that isn't of this"
                " export",
                where=f"export '{export.name}'",
                hint="it is never overwritten: ask whose it is, move it away, then run again",
            )

    def _names(self, name: str, location: str) -> Iterator[str]:
        """Yield the names of the files that a location gets of a drop with this name, in order."""
        terms = self._destination(location).terms
        yield name
        if terms.manifests:
            yield f"{name}{MANIFEST_ENDING}"
        if terms.checksum_file:
            yield f"{name}{CHECKSUM_ENDING}"
        if terms.ready_file is not None:
            yield f"{name}{terms.ready_file}"

    def _found(self, folder: Folder, names: Iterable[str], location: str) -> str | None:
        """Return the first of these names that a location has; None also if it doesn't answer."""
        try:
            place = self._destination(location).location
            return next((name for name in names if place.find(folder, name)), None)
        except DeliveryError as error:
            log.warning("location can't be asked", location=location, why=str(error))
            return None

    def may_have(self, folder: Folder, name: str, locations: Sequence[str]) -> bool:
        """Whether any of the locations has a file of this name, or doesn't answer."""
        try:
            return any(self._destination(each).location.find(folder, name) for each in locations)
        except DeliveryError:
            return True

    def _unless_received(
        self, location: str, delivery: Delivery, files: Files
    ) -> Sequence[Receipt]:
        receipts = self.receipts.of(delivery.drop, location)
        if receipts is not None:
            self.receipts.forget_files(delivery.drop, location, list(files))
            return receipts
        return self._bring(location, delivery, files, self.receipts.of_file)

    def _again(self, location: str, delivery: Delivery, files: Files) -> Sequence[Receipt]:
        return self._bring(location, delivery, files, lambda *_: None)

    def _bring(
        self, location: str, delivery: Delivery, files: Files, known: KnownReceipt
    ) -> Sequence[Receipt]:
        """Deliver the files that have no receipt, and record a receipt for each.

        If a later file fails, the partner may fetch the earlier ones before the next run.
        """
        place, terms = self._destination(location), self._destination(location).terms
        until = time.monotonic() + terms.total_seconds
        receipts: list[Receipt] = []
        for name, local in files.items():
            receipt = known(delivery.drop, location, name) or with_retries(
                terms, partial(place.location.deliver, local, delivery.folder, name), until=until
            )
            receipts.append(receipt)
            if len(receipts) < len(files):
                self.receipts.record_file(delivery.drop, location, name, receipt)
        self.receipts.record(delivery.drop, location, receipts)
        self.receipts.forget_files(delivery.drop, location, list(files))
        return receipts

    def _destination(self, name: str) -> Destination:
        """Return a location by its name; raises DeliveryError if the settings no longer have it.

        A recorded definition may name a location that was removed since.
        """
        if name not in self.destinations:
            raise DeliveryError(
                f"location '{name}' isn't in the settings any more",
                hint="put it back (section 'locations' of the settings); then run again",
            )
        return self.destinations[name]

    @contextmanager
    def _files(self, delivery: Delivery, location: str, *, is_alone: bool) -> Iterator[Files]:
        """Provide the files that a location gets, in order; the ready file is the last (SPEC §7).

        The ready file says that the file may be read. If the file of an empty window is skipped,
        there is neither a ready file nor a checksum file.
        """
        terms, files = self._destination(location).terms, {}
        with scratch_folder(self.scratch) as scratch:
            if delivery.file is not None:
                files[delivery.name] = (
                    delivery.file if is_alone else _own(delivery, location, scratch)
                )
            if terms.manifests:
                manifest = scratch / "manifest.json"
                manifest.write_bytes(delivery.manifest.to_json())
                files[f"{delivery.name}{MANIFEST_ENDING}"] = manifest
            if terms.checksum_file and delivery.file is not None:
                checksum = scratch / "checksum"
                checksum.write_bytes(checksum_file(delivery.drop.sha256, delivery.name))
                files[f"{delivery.name}{CHECKSUM_ENDING}"] = checksum
            if terms.ready_file is not None and delivery.file is not None:
                ready = scratch / "ready"
                ready.touch()
                files[f"{delivery.name}{terms.ready_file}"] = ready
            yield files


def _own(delivery: Delivery, location: str, scratch: Path) -> Path:
    """Return a drop's file for one of several locations, after a check of its checksum.

    The transferbox links its file, and a consumer may change that file before the next location has
    it. So the transferbox gets a copy. Raises DeliveryError if the file was changed or can't be
    copied.
    """
    assert delivery.file is not None
    _, sha256 = content_of(delivery.file, location)
    if sha256 != delivery.drop.sha256:
        raise DeliveryError(
            f"the file was changed since it was made: sha256 {sha256}, not {delivery.drop.sha256}",
            where=f"{location}: {delivery.name}",
            hint="nothing of it was sent there; run again: it is made anew",
        )
    if location != TRANSFERBOX:
        return delivery.file
    try:
        return Path(shutil.copyfile(delivery.file, scratch / "drop"))
    except OSError as error:
        raise DeliveryError(
            f"can't be copied: {error.strerror}",
            where=f"{location}: {delivery.name}",
            hint=f"check the space on the disk of {scratch.parent}; then run again",
        ) from error


def with_retries(
    terms: Terms,
    action: Callable[[], T],
    pause: Callable[[float], object] = time.sleep,
    until: float = math.inf,
) -> T:
    """Repeat an action while it fails with PassingError, after pauses that get longer.

    until: a time of the monotonic clock; no attempt but the first begins after it.
    """
    backoff = Backoff(terms.retry_seconds, _LONGEST_PAUSE_SECONDS)
    for attempt in range(1, terms.attempts):
        try:
            return action()
        except PassingError as error:
            wait = backoff.pause(attempt)
            if time.monotonic() + wait > until:
                raise
            log.warning("tried again", why=str(error), attempt=attempt, seconds=wait)
            pause(wait)
    return action()


def _all_of(failed: Sequence[DeltadropError]) -> DeltadropError:
    if len(failed) == 1:
        return failed[0]
    return CloseError(
        f"{len(failed)} locations failed: " + " | ".join(str(error) for error in failed),
        hint="what was delivered stays; run again for the others",
    )
