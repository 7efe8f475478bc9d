"""Places that drops are delivered to: one small interface, a folder for each kind."""

from sinks.locations.base import (
    Delivered,
    DeliveryError,
    Folder,
    Location,
    OtherBytesError,
    PassingError,
    Receipt,
    Step,
    Terms,
)
from sinks.locations.kinds import KINDS, Destination, Locations, load_locations, terms_of
from sinks.locations.transferbox import TRANSFERBOX, Transferbox

__all__ = [
    "KINDS",
    "TRANSFERBOX",
    "Delivered",
    "DeliveryError",
    "Destination",
    "Folder",
    "Location",
    "Locations",
    "OtherBytesError",
    "PassingError",
    "Receipt",
    "Step",
    "Terms",
    "Transferbox",
    "load_locations",
    "terms_of",
]
