"""An FTPS server: Debian's vsftpd with TLS. It requires that a data connection resumes the control
connection's TLS session.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.parts.certificates import Certificate
from deploy.parts.jail import Jail, program, stop_with_logins
from deploy.parts.ports import HOST, free_port
from deploy.parts.process import ServerProcess

__all__ = ["FtpsServer", "running_vsftpd"]

_CONFIGURATION = """
listen=YES
listen_ipv6=NO
listen_address={host}
listen_port={port}
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
local_umask=022
chroot_local_user=YES
allow_writeable_chroot=YES
pam_service_name=vsftpd
secure_chroot_dir=/run/vsftpd/empty
ssl_enable=YES
rsa_cert_file={certificate}
rsa_private_key_file={key}
implicit_ssl={implicit}
vsftpd_log_file={log}
log_ftp_protocol=YES
xferlog_enable=YES
"""


@dataclass(frozen=True, slots=True)
class FtpsServer:
    """A running FTPS server, and all that a client needs."""

    process: ServerProcess
    port: int
    jail: Jail
    certificate: Certificate

    @property
    def home(self) -> Path:
        """The home folder of the login."""
        return self.jail.home_of(self.process)


@contextmanager
def running_vsftpd(
    directory: Path, certificate: Certificate, *, implicit: bool = False, disk_bytes: int = 0
) -> Iterator[FtpsServer]:
    """Run a server with its files in a folder; raises PartError if it isn't available."""
    directory.mkdir(parents=True, exist_ok=True)
    vsftpd = program("vsftpd", "vsftpd")
    port = free_port()
    jail = Jail.made(directory / "jail", disk_bytes=disk_bytes)
    configuration = directory / "vsftpd.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            host=HOST,
            port=port,
            certificate=certificate.certificate,
            key=certificate.key,
            implicit="YES" if implicit else "NO",
            log=directory / "protocol.log",
        )
    )
    process = ServerProcess(
        "vsftpd",
        jail.command(vsftpd, str(configuration)),
        directory / "vsftpd.log",
        lambda log: _listens(port),
    )
    process.start()
    try:
        yield FtpsServer(process, port, jail, certificate)
    finally:
        stop_with_logins(process)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
