"""An account for servers with logins, which exists for one process only.

The process gets a mount namespace of its own. There, /etc/passwd, /etc/shadow and /etc/group have
an additional account, whose home is a given folder. The machine itself doesn't change. This needs
root and Linux.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.parts.errors import PartError
from deploy.parts.process import ServerProcess

__all__ = ["Jail", "program", "stop_with_logins"]

_USER_ID = 47_011
"""A user id that a usual machine doesn't have."""
_MOUNT = """
set -e
for name in passwd shadow group; do mount --bind "$0/$name" "/etc/$name"; done
if [ "$2" = 0 ]; then mount --bind "$1" /mnt
else mount -t tmpfs -o "size=$2,mode=755,uid=$(stat -c %u "$1"),gid=$(stat -c %g "$1")" tmpfs /mnt
fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /run/vsftpd/empty
cp "$0/authorized_keys" /run/authorized_keys
chmod 644 /run/authorized_keys
shift 2
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Jail:
    """A folder with the account's files, and the account's home, mounted as /mnt in the process."""

    directory: Path
    home: Path
    user: str
    password: str
    disk_bytes: int = 0
    """Unless it is 0, the home is a disk of this size, which ends with the process."""

    @classmethod
    def made(cls, directory: Path, authorized_keys: str = "", disk_bytes: int = 0) -> "Jail":
        """Make the files; raises PartError if this machine or user can't run such a process."""
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            raise PartError("sshd and vsftpd, as tests use them, need root and Linux's 'unshare'")
        jail = cls(directory, directory / "home", "partner", "a pass+word: 'for' tests", disk_bytes)
        jail.home.mkdir(parents=True)
        os.chown(jail.home, _USER_ID, _USER_ID)
        crypted = subprocess.run(
            [program("openssl", "openssl"), "passwd", "-6", jail.password],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.strip()
        account = f"{jail.user}:x:{_USER_ID}:{_USER_ID}::/mnt:/bin/sh\n"
        for name, line in (
            ("passwd", account),
            ("shadow", f"{jail.user}:{crypted}:20000:0:99999:7:::\n"),
            ("group", f"{jail.user}:x:{_USER_ID}:\n"),
        ):
            there = Path("/etc", name)
            copy = directory / name
            shutil.copy2(there, copy)
            copy.write_text(there.read_text() + line)
        (directory / "authorized_keys").write_text(authorized_keys)
        return jail

    def command(self, *command: str) -> list[str]:
        """The command line that runs a command in the jail."""
        inside = ["sh", "-c", _MOUNT, str(self.directory), str(self.home), str(self.disk_bytes)]
        inside += command
        return ["unshare", "--mount", *inside]

    def home_of(self, process: ServerProcess) -> Path:
        """The path of the account's home from outside the process."""
        return Path(f"/proc/{process.pid}/root/mnt") if self.disk_bytes else self.home


def stop_with_logins(process: ServerProcess) -> None:
    """Stop a server, and kill processes of its logins that outlive it."""
    logins = _below(process.pid) if process.pid is not None else []
    process.stop()
    for login in logins:
        with contextlib.suppress(ProcessLookupError):
            os.kill(login, signal.SIGKILL)


def _below(pid: int) -> list[int]:
    """The ids of all descendants of a process."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:  # the process has just ended
        return []
    return [process for child in map(int, children) for process in (child, *_below(child))]


def program(name: str, package: str) -> str:
    """Find a server's program; if it is missing, raise PartError with its Debian package."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise PartError(
            f"{name} is missing: run 'make setup' (on Debian or Ubuntu as root it installs it), or"
            f" 'apt-get install {package}'"
        )
    return found
