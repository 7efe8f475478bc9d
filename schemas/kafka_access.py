"""How kafka-python gets into Kafka, by the settings; aiokafka: `streams.kafka_access`."""

from __future__ import annotations

from schemas.credentials import password_of, tls_context
from schemas.kafka_settings import KafkaSecurity, KafkaSettings

__all__ = ["SECTION", "client_options"]

SECTION = "kafka.security"
"""Where the settings stand that this is about."""

_CONNECT_MS = 10_000
"""How long to wait for the first answer of Kafka, milliseconds."""


def client_options(kafka: KafkaSettings) -> dict[str, object]:
    """Options that kafka-python's producers, consumers and admin clients share.

    Raises DefinitionError where a file that the settings name can't be used.
    """
    security = kafka.security
    options: dict[str, object] = {
        "bootstrap_servers": kafka.servers,
        "bootstrap_timeout_ms": _CONNECT_MS,
        "security_protocol": security.protocol,
    }
    if security.is_encrypted:
        options["ssl_context"] = tls_context(
            SECTION, security.ca_file, security.certificate_file, security.key_file
        )
    if security.has_login:
        options["sasl_mechanism"] = security.mechanism
        options["sasl_plain_username"] = _name(security)
        options["sasl_plain_password"] = password_of(security, SECTION)
    return options


def _name(security: KafkaSecurity) -> str:
    """The user's name as SCRAM has it (RFC 5802, 5.1): kafka-python doesn't escape it."""
    name = security.username or ""
    if security.mechanism == "PLAIN":
        return name
    return name.replace("=", "=3D").replace(",", "=2C")
