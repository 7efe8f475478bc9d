"""A partner's folder that refuses drops, beside the transferbox."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from sinks.locations import (
    DeliveryError,
    DeliveryStep,
    Destination,
    Folder,
    Receipt,
    Terms,
    Transferbox,
)
from sinks.setup import Sinks
from tests.shop.offline import OfflineShop

PARTNER = "partner"


class Fickle(Transferbox):
    """A partner's folder that refuses as often as it's told to."""

    def __init__(self, root: Path, refusals: int, error: type[DeliveryError]) -> None:
        super().__init__(root)
        object.__setattr__(self, "refusals", [error("closed for lunch", where=PARTNER)] * refusals)

    @property
    def name(self) -> str:
        return PARTNER

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        if self.refusals:  # type: ignore[attr-defined]
            raise self.refusals.pop()  # type: ignore[attr-defined]
        return super().deliver(local, folder, name)

    def find(self, folder: Folder, name: str) -> bool:
        if self.refusals:  # type: ignore[attr-defined]
            raise DeliveryError("closed for lunch", where=PARTNER)
        return super().find(folder, name)

    def check(self) -> Iterator[DeliveryStep]:
        raise NotImplementedError


def delivering(
    shop: OfflineShop,
    folder: Path,
    refusals: int = 0,
    error: type[DeliveryError] = DeliveryError,
    terms: Terms = Terms(),  # noqa: B008  # it's frozen
    *,
    kind: type[Fickle] = Fickle,
    last: bool = False,
) -> OfflineShop:
    """The shop with its export going to the partner as well, first or last."""
    again = shop.again()
    closer = again.sinks.closer
    partner = {PARTNER: Destination(kind(folder, refusals, error), terms)}
    others = closer.deliveries.destinations
    places = {**others, **partner} if last else {**partner, **others}
    deliveries = dataclasses.replace(closer.deliveries, destinations=places)
    exports = tuple(
        dataclasses.replace(
            one, definition=one.definition.model_copy(update={"deliver": tuple(places)})
        )
        for one in again.sinks.exports
    )
    closer = dataclasses.replace(closer, deliveries=deliveries)
    reviser = dataclasses.replace(again.sinks.eraser.reviser, closer=closer)
    eraser = dataclasses.replace(again.sinks.eraser, reviser=reviser)
    again.sinks = _with(again.sinks, closer=closer, exports=exports, eraser=eraser)
    return again


def opened_again(shop: OfflineShop) -> None:
    """Let the partner refuse no more."""
    location = shop.sinks.closer.deliveries.destinations[PARTNER].location
    location.refusals.clear()  # type: ignore[attr-defined]


def _with(sinks: Sinks, **changes: object) -> Sinks:
    return dataclasses.replace(sinks, **changes)  # type: ignore[arg-type]
