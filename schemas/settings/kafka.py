"""Settings of Kafka: its address, our login, and the configuration of our topics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.definitions.patterns import worded
from schemas.settings.reports import Secret, Section, secret_of
from schemas.topics import DEFAULT_PREFIX

__all__ = ["KafkaSecurity", "KafkaSettings"]

_DAY_MS = 24 * 60 * 60 * 1000

_LOGIN = ("mechanism", "username", "password", "password_file")
_CERTIFICATES = ("ca_file", "certificate_file", "key_file")

_PREFIX = worded(
    r"^[A-Za-z0-9._-]{1,40}$", "it has up to 40 letters, digits, dots, dashes and underscores"
)

_SERVERS = worded(
    r"^(\s*([^\s@/,:\[\]]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}\s*(,|$))+\s*$",
    "write it as kafka-1:9092,kafka-2:9092, without a login",
)
"""Names or addresses with ports."""

Positive = Annotated[int, Field(gt=0)]


class KafkaSecurity(Section):
    """How to log in to Kafka, and how to verify the broker.

    Certificates and host names are always verified. The password is never in the settings' file: it
    comes from DELTADROP_KAFKA__SECURITY__PASSWORD or a file of its own.
    """

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: Secret | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether connections use TLS."""
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def has_login(self) -> bool:
        """Whether we log in by name and password (SASL)."""
        return self.protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    def secret(self) -> str | None:
        """Return the password, read from its file if it is in one; raises OSError."""
        return secret_of(self.password, self.password_file)

    @model_validator(mode="after")
    def _nothing_is_missing(self) -> Self:
        if not self.has_login:
            return self
        given = self.password is not None or self.password_file is not None
        needed = {
            "mechanism": self.mechanism is not None,
            "username": bool(self.username),
            "password_file, or DELTADROP_KAFKA__SECURITY__PASSWORD": given,
        }
        missing = [name for name, is_there in needed.items() if not is_there]
        if missing:
            raise ValueError(f"{self.protocol} needs {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        if not self.has_login and (unused := self._given(_LOGIN)):
            raise ValueError(f"{self.protocol} has no login: {unused} would not be used")
        if not self.is_encrypted and (unused := self._given(_CERTIFICATES)):
            raise ValueError(f"{self.protocol} isn't encrypted: {unused} would not be used")
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("key_file needs its certificate_file")
        return self

    def _given(self, names: tuple[str, ...]) -> str:
        return ", ".join(name for name in names if getattr(self, name) is not None)


class KafkaSettings(Section):
    """The address of Kafka, and the configuration of our topics."""

    bootstrap_servers: Annotated[str, StringConstraints(pattern=_SERVERS)] = "localhost:9092"
    security: KafkaSecurity = KafkaSecurity()
    topic_prefix: Annotated[str, StringConstraints(pattern=_PREFIX)] = DEFAULT_PREFIX
    replication_factor: Positive = 3
    min_insync_replicas: Positive = 2
    partitions: Positive = 6
    clock_seconds: Annotated[float, Field(gt=0)] = Field(
        default=3600,
        description="how far brokers' clocks may be apart: an append time that is further ahead of"
        " a later one ends no window, and is told of",
    )
    retention_ms: int = Field(default=14 * _DAY_MS, ge=-1, description="-1 keeps everything")

    @property
    def servers(self) -> list[str]:
        """The bootstrap servers, each host:port."""
        given = self.bootstrap_servers.split(",")
        return [server.strip() for server in given if server.strip()]
