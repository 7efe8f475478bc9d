"""Passwords and certificates, read from the places in the settings when a client is made."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol

from schemas.errors import DefinitionError, Fault
from schemas.settings.withheld import file_named

__all__ = ["HasPassword", "password_of", "tls_context"]


class HasPassword(Protocol):
    """Settings with a password, given directly or in a file."""

    @property
    def password_file(self) -> Path | None:
        """The password's file; None if the password isn't in a file."""

    def secret(self) -> str | None:
        """Return the password; raises OSError if its file can't be read."""


def password_of(settings: HasPassword, section: str) -> str:
    """Return the password of a section (`kafka.security`).

    Raises DefinitionError if its file can't be read, or if the password is empty.
    """
    try:
        secret = settings.secret()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(f"{section}.password_file", settings.password_file, error) from error
    if not secret:
        name = "password" if settings.password_file is None else "password_file"
        raise DefinitionError([Fault(f"{section}.{name}", "is empty")])
    return secret


def tls_context(
    section: str,
    ca_file: Path | None,
    certificate_file: Path | None = None,
    key_file: Path | None = None,
) -> ssl.SSLContext:
    """Return a TLS context that verifies certificates and host names, with our own certificate, if
    set.

    Without ca_file the system's authorities are trusted. Raises DefinitionError if a file of the
    section can't be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise _unusable(f"{section}.ca_file", ca_file, error) from error
    if certificate_file is None:
        return context
    own = {"certificate_file": certificate_file, "key_file": key_file or certificate_file}
    for name, file in own.items():
        try:
            file.read_bytes()
        except OSError as error:
            raise _unusable(f"{section}.{name}", file, error) from error
    try:
        # Without a password function, OpenSSL asks for a passphrase on the terminal.
        context.load_cert_chain(certificate_file, key_file, password=lambda: "")
    except ssl.SSLError as error:
        files = " and ".join(map(file_named, dict.fromkeys(own.values())))
        what = f"{files} can't be used"
        hint = "they must be PEM, the key without a passphrase, and belong together"
        raise DefinitionError([Fault(f"{section}.certificate_file", what, hint)]) from error
    return context


def _unusable(name: str, file: Path | None, error: Exception) -> DefinitionError:
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        reason = error.strerror or type(error).__name__
        return DefinitionError([Fault(name, f"{file_named(file)} can't be read: {reason}")])
    wanted = "text in UTF-8" if isinstance(error, UnicodeDecodeError) else "a certificate in PEM"
    return DefinitionError([Fault(name, f"{file_named(file)} isn't {wanted}")])
