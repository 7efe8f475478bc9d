"""kafka-python's options from the settings; `streams.reading.kafka_access` has aiokafka's."""

from __future__ import annotations

from typing import Final

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from schemas.settings.credentials import password_of, tls_context
from schemas.settings.kafka import KafkaSecurity, KafkaSettings

__all__ = ["BATCH_BYTES_SETTING", "SECTION", "client_options", "largest_batch_bytes"]

SECTION = "kafka.security"
"""The section of the settings with these options."""

BATCH_BYTES_SETTING: Final = "max.message.bytes"
"""A topic's setting for the most bytes that a batch may have as it is sent."""

_DEFAULT_BATCH_BYTES: Final = 1_048_588
"""Kafka's own default for this setting."""

_CONNECT_MS = 10_000
"""Milliseconds to wait for Kafka's first answer."""


def client_options(kafka: KafkaSettings) -> dict[str, object]:
    """Return the options that kafka-python's producers, consumers and admin clients share.

    Raises DefinitionError if a file that the settings name can't be used.
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


def largest_batch_bytes(kafka: KafkaSettings, topic: str) -> int:
    """Return how many bytes a batch of a topic may have; Kafka's default if the topic doesn't say.

    Needs the right to describe the topic's configuration.
    """
    try:
        admin = KafkaAdminClient(**client_options(kafka))
        try:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            answer = admin.describe_configs([resource], config_filter="all")
            return int(answer["topic"][topic][BATCH_BYTES_SETTING]["value"])
        finally:
            admin.close()
    except (KafkaError, OSError, LookupError, TypeError, ValueError):
        return _DEFAULT_BATCH_BYTES


def _name(security: KafkaSecurity) -> str:
    """Return the user's name escaped for SCRAM (RFC 5802, 5.1), which kafka-python doesn't do."""
    name = security.username or ""
    if security.mechanism == "PLAIN":
        return name
    return name.replace("=", "=3D").replace(",", "=2C")
