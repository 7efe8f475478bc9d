"""Locations to which drops are delivered: one small interface, and a folder for each kind."""

from sinks.locations.base import (
    Delivered,
    DeliveryError,
    DeliveryStep,
    Folder,
    Location,
    OtherBytesError,
    PassingError,
    Receipt,
    Terms,
)
from sinks.locations.kinds import (
    KINDS,
    Destination,
    Locations,
    load_locations,
    terms_of,
    transferbox_of,
)
from sinks.locations.transferbox import TRANSFERBOX, Transferbox

__all__ = [
    "KINDS",
    "TRANSFERBOX",
    "Delivered",
    "DeliveryError",
    "DeliveryStep",
    "Destination",
    "Folder",
    "Location",
    "Locations",
    "OtherBytesError",
    "PassingError",
    "Receipt",
    "Terms",
    "Transferbox",
    "load_locations",
    "terms_of",
    "transferbox_of",
]
