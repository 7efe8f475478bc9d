"""Options with which aiokafka and Faust connect to Kafka, from the settings.

Those of kafka-python are in `schemas.settings.kafka_access`. Faust passes its credentials to its
consumer and its producer; it has no other client.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any, Final

from aiokafka.errors import KafkaError
from faust.auth import Credentials, SASLCredentials, SSLCredentials

from schemas.settings.credentials import password_of, tls_context
from schemas.settings.kafka import KafkaSecurity, KafkaSettings
from schemas.settings.kafka_access import SECTION
from schemas.settings.reachable import errors_as

__all__ = ["aiokafka_errors_as", "aiokafka_options", "faust_credentials"]

aiokafka_errors_as: Final = partial(errors_as, foreign=KafkaError)
"""Raise aiokafka's errors as ours."""


def aiokafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Options of an aiokafka client; raises DefinitionError if a file can't be used."""
    security = kafka.security
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.servers,
        "security_protocol": security.protocol,
        "ssl_context": _context(security),
    }
    if security.has_login:
        options["sasl_mechanism"] = security.mechanism
        options["sasl_plain_username"] = security.username
        options["sasl_plain_password"] = password_of(security, SECTION)
    return options


def faust_credentials(kafka: KafkaSettings) -> Credentials | None:
    """Faust's `broker_credentials`, None without security; DefinitionError for an unusable file."""
    security = kafka.security
    context = _context(security)
    if security.has_login:
        return SASLCredentials(
            username=security.username,
            password=password_of(security, SECTION),
            mechanism=security.mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None


def _context(security: KafkaSecurity) -> ssl.SSLContext | None:
    if not security.is_encrypted:
        return None
    return tls_context(SECTION, security.ca_file, security.certificate_file, security.key_file)
