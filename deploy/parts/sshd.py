"""An SFTP server: OpenSSH's sshd from Debian's package."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.parts.jail import Jail, program, stop_with_logins
from deploy.parts.ports import HOST, free_port
from deploy.parts.process import ServerProcess

__all__ = ["SftpServer", "running_sshd"]

_CONFIGURATION = """
ListenAddress {host}
Port {port}
HostKey {host_key}
PidFile none
UsePAM no
UseDNS no
PasswordAuthentication yes
KbdInteractiveAuthentication no
PubkeyAuthentication yes
AuthorizedKeysFile /run/authorized_keys
StrictModes no
AllowUsers partner
MaxStartups 100
LogLevel VERBOSE
Subsystem sftp internal-sftp
ForceCommand internal-sftp
"""


@dataclass(frozen=True, slots=True)
class SftpServer:
    """A running SFTP server, and all that a client needs."""

    process: ServerProcess
    port: int
    jail: Jail
    known_hosts: Path
    fingerprint: str
    key: Path

    @property
    def home(self) -> Path:
        """The home folder of the login."""
        return self.jail.home_of(self.process)


@contextmanager
def running_sshd(directory: Path, *, disk_bytes: int = 0) -> Iterator[SftpServer]:
    """Run a server with its files in a folder; raises PartError if it isn't available."""
    directory.mkdir(parents=True, exist_ok=True)
    sshd = program("sshd", "openssh-server")
    host_key, key = _new_key(directory / "host_key"), _new_key(directory / "key")
    port = free_port()
    jail = Jail.made(directory / "jail", authorized_keys=public(key), disk_bytes=disk_bytes)
    configuration = directory / "sshd_config"
    configuration.write_text(_CONFIGURATION.format(host=HOST, port=port, host_key=host_key))
    known_hosts = directory / "known_hosts"
    known_hosts.write_text(f"[{HOST}]:{port} {public(host_key)}")
    process = ServerProcess(
        "sshd",
        jail.command(sshd, "-D", "-e", "-f", str(configuration)),
        directory / "sshd.log",
        lambda log: f"Server listening on {HOST} port {port}" in log,
    )
    process.start()
    try:
        yield SftpServer(process, port, jail, known_hosts, _fingerprint(host_key), key)
    finally:
        stop_with_logins(process)


def public(key: Path) -> str:
    """The line with a key's public half, as in authorized_keys."""
    return key.with_name(f"{key.name}.pub").read_text()


def _new_key(path: Path) -> Path:
    keygen = program("ssh-keygen", "openssh-client")
    command = [keygen, "-q", "-t", "ed25519", "-N", "", "-C", "deltadrop test", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def _fingerprint(key: Path) -> str:
    keygen = program("ssh-keygen", "openssh-client")
    answer = subprocess.run(
        [keygen, "-l", "-E", "sha256", "-f", f"{key}.pub"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return answer.split()[1]
