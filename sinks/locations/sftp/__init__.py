"""SFTP: files over SSH."""

from sinks.locations.sftp.location import Sftp, SftpSettings, fingerprint_of
from sinks.locations.sftp.session import SftpSession

__all__ = ["Sftp", "SftpSession", "SftpSettings", "fingerprint_of"]
