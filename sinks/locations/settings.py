"""Settings that every kind of location has, and the reading of secrets.

A secret is never in the settings. They name an environment variable or a file with the secret,
which is read when it is needed.
"""

from __future__ import annotations

import os
import ssl
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.definitions.definitions import AtError
from schemas.definitions.patterns import HOST_PATTERN, USER_PATTERN, worded
from schemas.settings.receivers import ReadyFile
from schemas.settings.secret_files import secret_in
from schemas.settings.withheld import file_named, variable_named
from sinks.locations.base import DeliveryError, DeliveryStep, Location, ReadBack, Terms

__all__ = [
    "UNSEEN",
    "LocationSettings",
    "RemoteSettings",
    "ServerFolder",
    "Text",
    "authorities",
    "secret",
]

UNSEEN: Final = (
    "the login must be able to look at its files; where it never may (SFTP): write_only: true"
)
"""The hint for a server that accepts files, but doesn't let the login look at them."""

_SERVER_FOLDER = worded(
    r"^(/?[A-Za-z0-9_][A-Za-z0-9._-]*)*/?$",
    "write it as drops/daily: folders of letters, digits, dots, dashes and underscores",
)
Text = Annotated[str, StringConstraints(min_length=1, strict=True)]
ServerFolder = Annotated[str, StringConstraints(pattern=_SERVER_FOLDER, strict=True)]
"""A folder of a server; without a slash at its start it is relative to the login's own folder."""


class LocationSettings(BaseModel, ABC):
    """Settings of one location; `kind` chooses the class for the other fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    manifests: bool = True
    checksum_file: bool = False
    ready_file: ReadyFile | None = None
    attempts: Annotated[int, Field(ge=1, le=20)] = 4
    retry_seconds: Annotated[float, Field(ge=0, le=600)] = 2
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    attempt_seconds: Annotated[float, Field(gt=0, le=86400)] = 1800
    total_seconds: Annotated[float, Field(gt=0, le=86400)] = 3600
    read_back: ReadBack | None = None

    @property
    def terms(self) -> Terms:
        """What a receiver gets there, and how often a delivery is attempted."""
        return Terms(
            self.manifests,
            self.ready_file,
            self.attempts,
            self.retry_seconds,
            self.total_seconds,
            checksum_file=self.checksum_file,
        )

    @abstractmethod
    def location(self, name: str, locks: Path) -> Location:
        """Make the location, without connecting; locks: a folder of this machine for locks."""


class RemoteSettings(LocationSettings):
    """Settings of a server with folders and a login."""

    host: Annotated[str, StringConstraints(pattern=HOST_PATTERN, strict=True)]
    username: Annotated[str, StringConstraints(pattern=USER_PATTERN, strict=True)]
    password_env: Text | None = None
    password_file: Path | None = None
    folder: ServerFolder = ""
    rename: bool = True

    @property
    def shows_files(self) -> bool:
        """Whether the login may look at files there, and read them."""
        return True

    @model_validator(mode="after")
    def _has_a_ready_signal(self) -> RemoteSettings:
        if not self.rename and self.ready_file is None:
            raise AtError(("rename",), "without renaming a ready_file must tell what is whole")
        return self


def secret(what: str, variable: str | None, file: Path | None, location: str) -> str | None:
    """Read a secret from an environment variable or a file; None if neither is named.

    what, location: for errors. Raises DeliveryError if the secret is missing, empty or can't be
    read. The error never contains the secret.
    """
    if variable is not None:
        found = os.environ.get(variable, "")
        if not found.strip():
            raise _missing(location, f"{variable_named(variable)} ({what}) isn't set")
        return found
    if file is None:
        return None
    try:
        text = secret_in(file)
    except OSError as error:
        reason = f"can't be read: {error.strerror}"
        raise _missing(location, f"{file_named(file)} ({what}) {reason}") from error
    except UnicodeDecodeError as error:
        raise _missing(location, f"{file_named(file)} ({what}) isn't text in UTF-8") from error
    if not text:
        raise _missing(location, f"{file_named(file)} ({what}) is empty")
    return text


def authorities(file: Path | None, location: str) -> str | None:
    """Return the path of a location's `ca_file`; None without one.

    Raises DeliveryError if it can't be used; the libraries' own errors repeat the path.
    """
    if file is None:
        return None
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        is_there = isinstance(error, ssl.SSLError)
        reason = "isn't a certificate in PEM" if is_there else f"can't be read: {error.strerror}"
        what = f"{file_named(file)} (ca_file) {reason}"
        raise DeliveryError(
            what, where=f"location '{location}'", step=DeliveryStep.TRUST
        ) from error
    return str(file)


def _missing(location: str, what: str) -> DeliveryError:
    hint = "secrets come from the variable or the file that the location's settings name"
    return DeliveryError(what, where=f"location '{location}'", hint=hint, step=DeliveryStep.LOGIN)
