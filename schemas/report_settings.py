"""Settings of those who are told: the mail server and the webhook (SPEC §4, *Report*)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from schemas.patterns import ADDRESS_PATTERN, worded

__all__ = ["MailSettings", "Section", "WebhookSettings", "secret_of"]

_URL = worded(r"^https?://[^\s/]+\S*$", "write it as https://hooks.shop.example/drops")


class Section(BaseModel):
    """A section of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def secret_of(given: SecretStr | None, file: Path | None) -> str | None:
    """Return a secret, read from its file if it is in one; raises OSError."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    return given.get_secret_value() if given else None


class MailSettings(Section):
    """Where report mails are handed over; without a host there are none.

    Certificates are verified (there is no way not to). The password is never in the settings' file:
    it comes from DELTADROP_MAIL__PASSWORD or a file of its own.
    """

    host: str | None = None
    port: Annotated[int, Field(gt=0, lt=65536)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: Annotated[str, StringConstraints(pattern=ADDRESS_PATTERN)] = "deltadrop@localhost"
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] = 20

    @model_validator(mode="after")
    def _a_password_is_never_sent_in_the_clear(self) -> Self:
        if self.username is not None and self.security == "none":
            raise ValueError("a login needs `security: starttls` or `tls`")
        return self

    def secret(self) -> str | None:
        """The password, read from its file if it is in one."""
        return secret_of(self.password, self.password_file)


class WebhookSettings(Section):
    """Where reports are posted as JSON, signed; without a url they aren't.

    The secret is never in the settings' file: it comes from DELTADROP_WEBHOOK__SECRET or a file.
    """

    url: Annotated[str, StringConstraints(pattern=_URL)] | None = None
    secret: SecretStr | None = None
    secret_file: Path | None = None
    ca_file: Path | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] = 20

    @model_validator(mode="after")
    def _what_is_posted_is_signed(self) -> Self:
        if self.url is not None and self.secret is None and self.secret_file is None:
            raise ValueError("needs a secret: DELTADROP_WEBHOOK__SECRET, or secret_file")
        return self

    def key(self) -> bytes:
        """The secret that bodies are signed with."""
        return (secret_of(self.secret, self.secret_file) or "").encode()
