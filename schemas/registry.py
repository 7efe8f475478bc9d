"""The schema registry (Confluent-compatible), and the wire format that names a datum's schema.

A value in Kafka is a zero byte, the schema's id (4 bytes, big endian) and the Avro datum. Subjects
follow TopicNameStrategy and are BACKWARD compatible: whoever reads with the newest schema can read
all that is there.

This is the one module of `schemas` that knows the registry's client.
"""

from __future__ import annotations

import json
import logging
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Protocol, cast

import httpx
from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    SchemaRegistryError,
)

from schemas.credentials import password_of, tls_context
from schemas.derive import AvroSchema
from schemas.errors import IncompatibleSchemaError, RegistryError, UnknownSchemaError
from schemas.registry_settings import RegistrySettings
from schemas.topics import Topic

__all__ = ["MAGIC", "WIRE_HEADER", "Registry", "SchemaSource", "wire_header"]

MAGIC = 0
"""The first byte of every value."""

WIRE_HEADER = 5
"""Bytes before the datum."""

_TIMEOUT_SECONDS = 10
_RETRIES = 2
_UNKNOWN_SECONDS = 30
"""An id that wasn't known is asked for again after so long: it may have been registered since, or
the
registry may have read its own log late."""

_COMPATIBILITY = "BACKWARD"
_NO_SUCH_SCHEMA = 40403
"""The registry's own code; a bare 404 may as well be another server's, and says nothing about a
schema.
"""

_CONFLICT = 409
_NOT_LET_IN = (401, 403)
_LOGIN = (
    "check registry.username, and the password in DELTADROP_REGISTRY__PASSWORD or in"
    " registry.password_file"
)
_ADDRESS = "check registry.url or SCHEMA_REGISTRY_URL"
_TRUST = f"name the certificate of its authority in registry.ca_file; {_ADDRESS}"

log = logging.getLogger(__name__)


def wire_header(schema_id: int) -> bytes:
    """The bytes before a datum that was written with the schema `schema_id`."""
    return struct.pack(">bI", MAGIC, schema_id)


class SchemaSource(Protocol):
    """Whatever knows the writer's schema of an id."""

    def schema(self, schema_id: int) -> AvroSchema:
        """The schema; raises UnknownSchemaError if there is none, RegistryError if that can't be
        known now.
        """


class Registry:
    """A Confluent-compatible registry; keeps what it answered. Safe to use from several threads.

    It is asked so seldom that no connection is kept: there is nothing to close.
    """

    def __init__(self, registry: RegistrySettings | str) -> None:
        settings = RegistrySettings(url=registry) if isinstance(registry, str) else registry
        self.url = settings.url
        self._settings = settings
        self._schemas: dict[int, AvroSchema] = {}
        self._unknown: dict[int, float] = {}
        self._lock = threading.Lock()

    def schema(self, schema_id: int) -> AvroSchema:
        """The schema of an id; raises UnknownSchemaError if there is none, RegistryError if that
        can't be known now.
        """
        known = self._schemas.get(schema_id)
        if known is not None:
            return known
        with self._lock:
            if time.monotonic() < self._unknown.get(schema_id, 0):
                raise UnknownSchemaError(f"no schema has the id {schema_id}", where=self.url)
            schema = self._fetched(schema_id)
            self._schemas[schema_id] = schema
            self._unknown.pop(schema_id, None)
            return schema

    def register(self, topic: Topic, schema: AvroSchema) -> int:
        """Register `schema` for a topic's values, if it isn't yet, and return its id.

        Raises IncompatibleSchemaError, with the registry's reason, if it can't read what older ones
        wrote.
        """
        candidate = Schema(json.dumps(schema), "AVRO")
        with self._asked(f"subject {topic.subject}") as client:
            client.set_compatibility(topic.subject, _COMPATIBILITY)
            return int(client.register_schema(topic.subject, candidate))

    @contextmanager
    def _asked(self, about: str) -> Iterator[SchemaRegistryClient]:
        with (
            _translated(f"registry {self.url}, {about}"),
            SchemaRegistryClient(_client_options(self._settings)) as client,
        ):
            yield client

    def _fetched(self, schema_id: int) -> AvroSchema:
        try:
            with self._asked(f"schema {schema_id}") as client:
                answer = client.get_schema(schema_id)
                if answer.schema_type not in (None, "AVRO") or answer.references:
                    raise UnknownSchemaError(
                        f"schema {schema_id} isn't an Avro schema on its own",
                        where=self.url,
                    )
                parsed = json.loads(answer.schema_str)
        except UnknownSchemaError:
            self._unknown[schema_id] = time.monotonic() + _UNKNOWN_SECONDS
            raise
        return cast(AvroSchema, parsed if isinstance(parsed, dict) else {"type": parsed})


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """The client's errors as ours."""
    try:
        yield
    except SchemaRegistryError as error:
        reason = str(error.error_message)
        if error.error_code == _NO_SUCH_SCHEMA:
            raise UnknownSchemaError("the registry has no such schema", where=where) from error
        if error.http_status_code == _CONFLICT:
            hint = "it must read what the topic holds already: add fields, don't change them"
            raise IncompatibleSchemaError(
                f"the schema isn't compatible: {reason}", where=where, hint=hint
            ) from error
        what = f"the registry answers with {error.http_status_code}: {reason}"
        hint = _LOGIN if error.http_status_code in _NOT_LET_IN else ""
        raise RegistryError(what, where=where, hint=hint) from error
    except (httpx.HTTPError, OSError) as error:
        what = f"the registry can't be reached ({error})"
        hint = _TRUST if "CERTIFICATE_VERIFY_FAILED" in str(error) else _ADDRESS
        raise RegistryError(what, where=where, hint=hint) from error
    except ValueError as error:
        raise RegistryError(
            f"the registry's answer can't be understood ({error})", where=where
        ) from error


def _client_options(settings: RegistrySettings) -> dict[str, object]:
    """The client's options; raises DefinitionError where a file of the settings can't be used."""
    options: dict[str, object] = {
        "url": settings.url,
        "timeout": _TIMEOUT_SECONDS,
        "max.retries": _RETRIES,
    }
    if settings.username is not None:
        password = password_of(settings, "registry")
        options["basic.auth.user.info"] = f"{settings.username}:{password}"
        if not settings.is_encrypted:
            _warn_once(settings.url)
    if settings.ca_file is not None:
        tls_context("registry", settings.ca_file)  # which says what is wrong with the file
        options["ssl.ca.location"] = str(settings.ca_file)
    return options


@cache
def _warn_once(url: str) -> None:
    log.warning(
        "registry %s: the login travels unencrypted; use https outside a network that you trust",
        url,
    )
