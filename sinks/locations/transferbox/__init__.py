"""The transferbox: a folder tree by entity and export."""

from sinks.locations.transferbox.location import TRANSFERBOX, Transferbox

__all__ = ["TRANSFERBOX", "Transferbox"]
