"""Settings of report channels: the mail server and the webhook (SPEC §4, *Report*)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from schemas.definitions.patterns import ADDRESS_PATTERN, HOST_PATTERN
from schemas.settings.secret_files import secret_in
from schemas.settings.withheld import file_named

__all__ = ["MailSettings", "Secret", "Section", "WebhookSettings", "secret_of"]

_TOTAL_SECONDS: Final = 45.0
"""Seconds for one sending, whatever the server sends meanwhile: less than the reports' lease."""
_URL: Final = re.compile(r"https?://[^\s/]+\S*")


class Section(BaseModel):
    """A section of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _not_blank(given: SecretStr) -> SecretStr:
    if not given.get_secret_value().strip():
        raise ValueError("is empty")
    return given


Secret: TypeAlias = Annotated[SecretStr, AfterValidator(_not_blank)]
"""A secret that a variable gives; it isn't empty, and not only white space."""


def secret_of(given: SecretStr | None, file: Path | None) -> str | None:
    """Return a secret, read from its file if it is in one; raises OSError, UnicodeDecodeError."""
    if file is not None:
        return secret_in(file)
    return given.get_secret_value() if given else None


class MailSettings(Section):
    """The mail server for reports; without a host, no mails are sent.

    Certificates are always verified. The password is never in the settings' file: it comes from
    DELTADROP_MAIL__PASSWORD or a file of its own.
    """

    host: Annotated[str, StringConstraints(pattern=HOST_PATTERN)] | None = None
    port: Annotated[int, Field(gt=0, lt=65536)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: Annotated[str, StringConstraints(pattern=ADDRESS_PATTERN)] = "deltadrop@localhost"
    username: Annotated[str, StringConstraints(min_length=1)] | None = None
    password: Secret | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] = 20
    total_seconds: Annotated[float, Field(gt=0)] = _TOTAL_SECONDS

    @model_validator(mode="after")
    def _a_login_has_a_name_and_a_password(self) -> Self:
        has_password = self.password is not None or self.password_file is not None
        if has_password != (self.username is not None):
            raise ValueError(
                "a login needs both, username and a password: DELTADROP_MAIL__PASSWORD, or"
                " password_file"
            )
        return self

    @model_validator(mode="after")
    def _a_password_is_never_sent_in_the_clear(self) -> Self:
        if self.username is not None and self.security == "none":
            raise ValueError("a login needs `security: starttls` or `tls`")
        return self

    def secret(self) -> str | None:
        """Return the password, read from its file if it is in one; raises OSError."""
        return secret_of(self.password, self.password_file)


class WebhookSettings(Section):
    """The webhook that reports are posted to, as signed JSON; without a url, nothing is posted.

    The secret is never in the settings' file: it comes from DELTADROP_WEBHOOK__SECRET or a file. If
    the url itself grants access, it may also come from a file, or from DELTADROP_WEBHOOK__URL.
    """

    url: SecretStr | None = None
    url_file: Path | None = None
    secret: Secret | None = None
    secret_file: Path | None = None
    ca_file: Path | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] = 20
    total_seconds: Annotated[float, Field(gt=0)] = _TOTAL_SECONDS

    @field_validator("url")
    @classmethod
    def _is_of_the_web(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _URL.fullmatch(url.get_secret_value()):
            raise ValueError("is of the form https://host/path")
        return url

    @model_validator(mode="after")
    def _what_is_posted_is_signed(self) -> Self:
        if self.url is not None and self.url_file is not None:
            raise ValueError("url_file: url says where it is already")
        if self.is_set_up and self.secret is None and self.secret_file is None:
            raise ValueError("needs a secret: DELTADROP_WEBHOOK__SECRET, or secret_file")
        return self

    @property
    def is_set_up(self) -> bool:
        """Whether a URL is set, directly or in a file."""
        return self.url is not None or self.url_file is not None

    def address(self) -> str:
        """Return the URL, read from its file if it is in one; raises OSError, ValueError."""
        url = secret_of(self.url, self.url_file) or ""
        if not _URL.fullmatch(url):
            raise ValueError("what webhook.url_file names isn't of the form https://host/path")
        return url

    def shown(self) -> str:
        """Return the URL for logs and people: without its path, which may be a secret."""
        try:
            parts = urlsplit(self.address())
            port = f":{parts.port}" if parts.port else ""
        except (OSError, ValueError):
            if self.url_file is None:
                return "webhook.url"
            return f"webhook.url_file {file_named(self.url_file)}"
        return f"{parts.scheme}://{parts.hostname}{port}"

    def key(self) -> bytes:
        """Return the secret that reports are signed with; raises OSError, ValueError if there is
        none.
        """
        secret = secret_of(self.secret, self.secret_file)
        if not secret:
            raise ValueError("the secret in webhook.secret_file is empty")
        return secret.encode()
