"""Settings of the schema registry: its address, and our login."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints, model_validator

from schemas.definitions.patterns import USER_PATTERN, worded
from schemas.settings.reports import Secret, Section, secret_of

__all__ = ["RegistrySettings"]


_URL = worded(r"^https?://", "it begins with http:// or https://")


def _without_login(url: str) -> str:
    if "@" in url:
        raise ValueError(
            "has a login in it; set registry.username, and DELTADROP_REGISTRY__PASSWORD or"
            " registry.password_file"
        )
    try:
        is_right = bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        is_right = False
    if not is_right or re.search(r"[\s?#]", url):
        raise ValueError("isn't of the form https://host:port/path")
    return url


class RegistrySettings(Section):
    """The address of the Confluent-compatible schema registry, and how to log in (RFC 7617).

    Certificates are always verified. The password is never in the settings' file: it comes from
    DELTADROP_REGISTRY__PASSWORD or a file of its own.
    """

    url: Annotated[str, StringConstraints(pattern=_URL), AfterValidator(_without_login)] = (
        "http://localhost:8081"
    )
    username: Annotated[str, StringConstraints(pattern=USER_PATTERN)] | None = None
    password: Secret | None = None
    password_file: Path | None = None
    ca_file: Path | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether the registry is called over TLS."""
        return self.url.startswith("https:")

    def secret(self) -> str | None:
        """Return the password, read from its file if it is in one; raises OSError."""
        return secret_of(self.password, self.password_file)

    @model_validator(mode="after")
    def _nothing_is_missing_or_ignored(self) -> Self:
        has_password = self.password is not None or self.password_file is not None
        if has_password != (self.username is not None):
            raise ValueError("a login needs both, username and a password")
        if self.ca_file is not None and not self.is_encrypted:
            raise ValueError("ca_file would not be used: the url isn't https")
        return self
