"""SFTP: files over SSH (RFC 4251 to 4254, draft-ietf-secsh-filexfer-02, which is version 3).

The server's host key is checked before the login: it must be in known_hosts, or have the configured
fingerprint. In version 3, a rename fails if the new name exists.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from schemas.definitions.definitions import AtError
from schemas.definitions.patterns import worded
from schemas.settings.withheld import file_named
from sinks.locations.base import DeliveryError, DeliveryStep, PassingError
from sinks.locations.limits import ended_after
from sinks.locations.remote import RemoteLocation
from sinks.locations.settings import RemoteSettings, Text, secret
from sinks.locations.sftp.session import SftpSession

if TYPE_CHECKING:
    import paramiko

__all__ = ["Sftp", "SftpSettings", "fingerprint_of"]

_FINGERPRINT: Final = worded(
    r"^SHA256:[A-Za-z0-9+/]{43}=?$",
    "write it as `ssh-keygen -lf` prints it: SHA256: and 43 characters",
)


class SftpSettings(RemoteSettings):
    """Settings of an SFTP server: one way to verify it, and one way to log in."""

    kind: Literal["sftp"]
    port: Annotated[int, Field(gt=0, lt=65536)] = 22
    known_hosts: Path | None = None
    fingerprint: Annotated[str, StringConstraints(pattern=_FINGERPRINT)] | None = None
    key_file: Path | None = None
    key_password_env: Text | None = None
    key_password_file: Path | None = None
    write_only: bool = False

    @property
    def shows_files(self) -> bool:
        """See RemoteSettings.shows_files. FTP has no such mode: its rename may overwrite."""
        return not self.write_only

    @model_validator(mode="after")
    def _is_consistent(self) -> SftpSettings:
        if (self.known_hosts is None) == (self.fingerprint is None):
            raise AtError((), "known_hosts or fingerprint (one of them) says which server it is")
        ways = (self.password_env, self.password_file, self.key_file)
        if sum(way is not None for way in ways) != 1:
            raise AtError((), "password_env, password_file or key_file (one) says how to log in")
        if self.key_password_env and self.key_password_file:
            raise AtError(("key_password_file",), "key_password_env says where it is already")
        if self.write_only and self.read_back is not None:
            raise AtError(("read_back",), "nothing can be read back where write_only is true")
        if self.write_only and not self.rename:
            raise AtError(
                ("rename",), "with write_only only a rename can refuse to overwrite a file"
            )
        return self

    def location(self, name: str, locks: Path) -> Sftp:
        """See LocationSettings.location."""
        return Sftp(name, locks, self)


@dataclass(frozen=True)
class Sftp(RemoteLocation):
    """An SFTP server."""

    settings: SftpSettings

    @property
    def server(self) -> str:
        """See RemoteLocation.server."""
        settings = self.settings
        return f"sftp://{settings.username}@{settings.host}:{settings.port}"

    @contextmanager
    def connect(self) -> Iterator[SftpSession]:
        """See RemoteLocation.connect."""
        import paramiko

        # paramiko also logs the errors that it raises, with a traceback.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
        # A transport that wasn't started doesn't close its socket.
        with contextlib.closing(self._dial()) as dialled:
            transport = paramiko.Transport(dialled)
            with (
                contextlib.closing(transport),
                ended_after(self.settings.attempt_seconds, transport.close, self.server),
            ):
                self._start(transport)
                self._login(transport)
                yield self._open(transport)

    def _dial(self) -> socket.socket:
        settings = self.settings
        try:
            return socket.create_connection(
                (settings.host, settings.port), settings.timeout_seconds
            )
        except OSError as error:
            raise PassingError(
                f"can't be reached: {error.strerror or error}",
                where=self.server,
                hint=f"check host and port of location '{self.name}', and the firewalls between",
                step=DeliveryStep.CONNECT,
            ) from error

    def _start(self, transport: paramiko.Transport) -> None:
        """Exchange keys with the server, and verify its host key."""
        import paramiko

        timeout = self.settings.timeout_seconds
        transport.banner_timeout = transport.handshake_timeout = timeout
        transport.auth_timeout = transport.channel_timeout = timeout
        known = self._known_keys()
        options = transport.get_security_options()
        if wanted := [kind for kind in options.key_types if _plain(kind) in known]:
            options.key_types = wanted
        try:
            transport.start_client(timeout=timeout)
            if not transport.initial_kex_done:  # paramiko raises nothing at a time-out
                raise TimeoutError(f"no answer within {timeout:g} s")
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise PassingError(
                f"no SSH server answers: {error}",
                where=self.server,
                hint=f"check host and port of location '{self.name}'",
                step=DeliveryStep.CONNECT,
            ) from error
        self._trust(transport.get_remote_server_key(), known)

    def _known_keys(self) -> dict[str, paramiko.PKey]:
        """The server's keys in the known_hosts file, by their type; empty without such a file.

        Raises DeliveryError if the file can't be read or has no key of the server.
        """
        import paramiko

        settings = self.settings
        if settings.known_hosts is None:
            return {}
        try:
            hosts = paramiko.HostKeys(str(settings.known_hosts))
        except (OSError, paramiko.SSHException) as error:
            reason = error.strerror if isinstance(error, OSError) else "it isn't in its format"
            what = f"{file_named(settings.known_hosts)} (known_hosts) can't be read: {reason}"
            raise DeliveryError(what, where=self.server, step=DeliveryStep.TRUST) from error
        name = settings.host if settings.port == 22 else f"[{settings.host}]:{settings.port}"
        found = hosts.lookup(name)
        if not found:
            raise DeliveryError(
                f"{file_named(settings.known_hosts)} (known_hosts) has no key of {name}",
                where=self.server,
                hint="ask its owner for the key, and add it",
                step=DeliveryStep.TRUST,
            )
        return dict(found.items())

    def _trust(self, key: paramiko.PKey, known: dict[str, paramiko.PKey]) -> None:
        found = fingerprint_of(key.asbytes())
        if self.settings.fingerprint is not None:
            wanted = self.settings.fingerprint.rstrip("=")
            if found == wanted:
                return
        else:
            expected = known.get(key.get_name())
            if expected is not None and expected.asbytes() == key.asbytes():
                return
            wanted = ", ".join(fingerprint_of(trusted.asbytes()) for trusted in known.values())
        raise DeliveryError(
            f"the server's host key is {found} ({key.get_name()}), not {wanted}",
            where=self.server,
            hint="it may be another server, and nothing was sent; ask its owner about the key",
            step=DeliveryStep.TRUST,
        )

    def _login(self, transport: paramiko.Transport) -> None:
        import paramiko

        settings = self.settings
        try:
            if settings.key_file is not None:
                transport.auth_publickey(settings.username, self._key(settings.key_file))
            else:
                password = secret(
                    "the password", settings.password_env, settings.password_file, self.name
                )
                transport.auth_password(settings.username, password or "")
        except paramiko.AuthenticationException as error:
            hint = (
                f"check username and {'key' if settings.key_file else 'password'} of '{self.name}'"
            )
            what = f"the login was refused: {error}".rstrip(". ")
            raise DeliveryError(
                what, where=self.server, hint=hint, step=DeliveryStep.LOGIN
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            what = f"the connection was cut at the login: {error}"
            raise PassingError(what, where=self.server, step=DeliveryStep.LOGIN) from error

    def _key(self, file: Path) -> paramiko.PKey:
        import paramiko

        settings = self.settings
        phrase = secret(
            "the key's password", settings.key_password_env, settings.key_password_file, self.name
        )
        try:
            return paramiko.PKey.from_path(file, phrase)
        except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            what = f"{file_named(file)} (the key) can't be read: {reason}"
            hint = "a private key in OpenSSH's or PEM form; its password by key_password_env"
            raise DeliveryError(
                what, where=self.server, hint=hint, step=DeliveryStep.LOGIN
            ) from error

    def _open(self, transport: paramiko.Transport) -> SftpSession:
        import paramiko

        try:
            client = paramiko.SFTPClient.from_transport(transport)
        except (paramiko.SSHException, EOFError, OSError) as error:
            what = f"the server has no SFTP for this login: {error}"
            raise DeliveryError(what, where=self.server, step=DeliveryStep.LOGIN) from error
        assert client is not None
        channel = client.get_channel()
        assert channel is not None
        channel.settimeout(self.settings.timeout_seconds)
        return SftpSession(client, self.server, self.settings.timeout_seconds)


def fingerprint_of(key: bytes) -> str:
    """A host key's fingerprint, as ssh-keygen -l writes it."""
    return f"SHA256:{base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip('=')}"


def _plain(kind: str) -> str:
    """The type of key for an algorithm of signatures: RSA keys have three (RFC 8332)."""
    return "ssh-rsa" if kind.startswith("rsa-sha2-") else kind
