"""How kafka-python gets into Kafka, by the settings; aiokafka: `streams.reading.kafka_access`."""

from __future__ import annotations

from typing import Final

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from schemas.settings.credentials import password_of, tls_context
from schemas.settings.kafka import KafkaSecurity, KafkaSettings

__all__ = ["BATCH_BYTES_SETTING", "SECTION", "client_options", "largest_batch_bytes"]

SECTION = "kafka.security"
"""Where the settings stand that this is about."""

BATCH_BYTES_SETTING: Final = "max.message.bytes"
"""A topic's setting for the bytes that a batch may have as it is sent."""

_DEFAULT_BATCH_BYTES: Final = 1_048_588
"""Kafka's own default of it."""

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


def largest_batch_bytes(kafka: KafkaSettings, topic: str) -> int:
    """Ask how many bytes a batch of a topic may have; Kafka's default where it doesn't say.

    It takes the right to describe the topic's configuration.
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
    """The user's name as SCRAM has it (RFC 5802, 5.1): kafka-python doesn't escape it."""
    name = security.username or ""
    if security.mechanism == "PLAIN":
        return name
    return name.replace("=", "=3D").replace(",", "=2C")
