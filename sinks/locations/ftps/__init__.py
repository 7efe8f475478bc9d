"""FTPS: FTP over TLS."""

from sinks.locations.ftps.location import Ftps, FtpsSettings
from sinks.locations.ftps.session import FtpsSession

__all__ = ["Ftps", "FtpsSession", "FtpsSettings"]
