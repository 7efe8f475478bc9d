"""Places that drops are delivered to: one small interface, one module for each kind."""

from sinks.locations.base import (
    Delivered,
    DeliveryError,
    Folder,
    Location,
    OtherBytesError,
    Receipt,
)
from sinks.locations.transferbox import TRANSFERBOX, Transferbox

__all__ = [
    "TRANSFERBOX",
    "Delivered",
    "DeliveryError",
    "Folder",
    "Location",
    "OtherBytesError",
    "Receipt",
    "Transferbox",
]
