"""The schema registry (Confluent-compatible), and the wire format that names a datum's schema.

A value in Kafka is a zero byte, the schema's id (4 bytes, big endian) and the Avro datum. Subjects
follow TopicNameStrategy and are BACKWARD compatible: the newest schema can read everything that
the topic holds.

`reader` reads schemas. Only this module uses the client library, which registers them.
"""

from __future__ import annotations

import json
import struct
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, cast, runtime_checkable

import httpx
from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    SchemaRegistryError,
)

from schemas.derive import AvroSchema
from schemas.errors import (
    IncompatibleSchemaError,
    RegistryError,
    UnknownSchemaError,
    UnusableSchemaError,
)
from schemas.registry.reader import (
    ADDRESS,
    CONNECTIONS,
    LOGIN,
    NOT_LET_IN,
    TRUST,
    RegistryReader,
    warn_of_plain_login,
)
from schemas.registry.references import standing_alone
from schemas.settings.credentials import password_of, tls_context
from schemas.settings.registry import RegistrySettings
from schemas.topics import Topic

__all__ = ["MAGIC", "WIRE_HEADER", "Registry", "SchemaSource", "SchemaSources", "wire_header"]

MAGIC = 0
"""The first byte of every value."""

WIRE_HEADER = 5
"""Bytes before the datum."""

_TIMEOUT_SECONDS = 10
_RETRIES = 2
_REFUSED_SECONDS = 30
"""Seconds until an unknown or unusable id is looked up again: it may have been registered since, or
the registry may have read its own log late.
"""

_MOST_REFUSED = 1 << 16
"""Maximum number of unknown or unusable ids that are cached: more than in any decoded batch."""

_MOST_SCHEMAS = 1_000

_COMPATIBILITY = "BACKWARD"
_CONFLICT = 409


def wire_header(schema_id: int) -> bytes:
    """The header before a datum that was written with the schema `schema_id`."""
    return struct.pack(">bI", MAGIC, schema_id)


class SchemaSource(Protocol):
    """A source of writers' schemas by id."""

    def schema(self, schema_id: int) -> AvroSchema:
        """The schema of an id.

        Raises UnknownSchemaError if there is none, UnusableSchemaError if it can't be used,
        RegistryError if the source can't answer now.
        """


@runtime_checkable
class SchemaSources(SchemaSource, Protocol):
    """A schema source that is faster if it can look up several ids in advance."""

    def look_up(self, schema_ids: Iterable[int]) -> None:
        """Look up ids in advance; raises RegistryError if the source can't answer now."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why an id has no usable schema; valid until a moment in monotonic seconds."""

    until: float
    error: type[RegistryError]
    reason: str


class Registry:
    """A Confluent-compatible registry; caches its answers. Safe to use from several threads.

    The connections are closed when the object is garbage collected.
    """

    def __init__(self, registry: RegistrySettings | str) -> None:
        settings = RegistrySettings(url=registry) if isinstance(registry, str) else registry
        self.url = settings.url
        self._settings = settings
        self._schemas: OrderedDict[int, AvroSchema] = OrderedDict()
        self._refused: OrderedDict[int, _Refused] = OrderedDict()
        self._reader: RegistryReader | None = None
        self._lock = threading.Lock()

    def schema(self, schema_id: int) -> AvroSchema:
        """The schema of an id, joined with all its references.

        Raises UnknownSchemaError if there is none, UnusableSchemaError if it isn't Avro or exceeds
        a bound, RegistryError if the registry can't answer now.
        """
        known = self._known(schema_id)
        return self._answered(schema_id) if known is None else known

    def look_up(self, schema_ids: Iterable[int]) -> None:
        """Look up several ids at once; raises RegistryError if the registry can't answer now."""
        unknown = [schema_id for schema_id in schema_ids if not self._is_known(schema_id)]
        if len(unknown) < 2:
            return  # `schema` is as fast for one id
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            answers = [pool.submit(self._is_there, schema_id) for schema_id in unknown]
            try:
                refused = [
                    schema_id
                    for schema_id, future in zip(unknown, answers, strict=True)
                    if not future.result()
                ]
            finally:
                for future in answers:
                    future.cancel()
        with self._lock:  # many ids took long: no refusal expires before `schema` reads it
            until = time.monotonic() + _REFUSED_SECONDS
            for schema_id in refused:
                if schema_id in self._refused:
                    self._refused[schema_id] = replace(self._refused[schema_id], until=until)

    def _is_there(self, schema_id: int) -> bool:
        try:
            self._answered(schema_id)
        except (UnknownSchemaError, UnusableSchemaError):
            return False
        return True

    def _is_known(self, schema_id: int) -> bool:
        try:
            return self._known(schema_id) is not None
        except (UnknownSchemaError, UnusableSchemaError):
            return True

    def _known(self, schema_id: int) -> AvroSchema | None:
        with self._lock:
            if schema_id in self._schemas:
                self._schemas.move_to_end(schema_id)
                return self._schemas[schema_id]
            refused = self._refused.get(schema_id)
        if refused is not None and time.monotonic() < refused.until:
            raise refused.error(refused.reason, where=self.url)
        return None

    def _answered(self, schema_id: int) -> AvroSchema:
        """Fetch a schema from the registry, and cache the answer."""
        try:
            schema = self._fetched(schema_id)
        except (UnknownSchemaError, UnusableSchemaError) as error:
            until = time.monotonic() + _REFUSED_SECONDS
            with self._lock:
                self._refused[schema_id] = _Refused(until, type(error), error.what)
                while len(self._refused) > _MOST_REFUSED:
                    self._refused.popitem(last=False)
            raise
        with self._lock:
            self._schemas[schema_id] = schema
            self._refused.pop(schema_id, None)
            while len(self._schemas) > _MOST_SCHEMAS:
                self._schemas.popitem(last=False)
        return schema

    def register(self, topic: Topic, schema: AvroSchema) -> int:
        """Register `schema` for a topic's values unless it is registered; return its id.

        Raises IncompatibleSchemaError, with the registry's reason, if the schema can't read what
        older schemas wrote, and RegistryError if the registry can't be reached or refuses.
        """
        candidate = Schema(json.dumps(schema), "AVRO")
        with self._client(f"subject {topic.subject}") as client:
            client.set_compatibility(topic.subject, _COMPATIBILITY)
            return int(client.register_schema(topic.subject, candidate))

    @contextmanager
    def _client(self, about: str) -> Iterator[SchemaRegistryClient]:
        with (
            _translated(f"registry {self.url}, {about}"),
            SchemaRegistryClient(_client_options(self._settings)) as client,
        ):
            yield client

    def _fetched(self, schema_id: int) -> AvroSchema:
        reader = self._reading()
        text = reader.by_id(schema_id)
        parsed = standing_alone(
            text, f"schema {schema_id}", lambda reference: reader.by_version(*reference)
        )
        return cast(AvroSchema, parsed if isinstance(parsed, dict) else {"type": parsed})

    def _reading(self) -> RegistryReader:
        with self._lock:
            if self._reader is None:
                self._reader = RegistryReader(self._settings)
                weakref.finalize(self, self._reader.close)
            return self._reader


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Translate the client library's errors to RegistryError."""
    try:
        yield
    except SchemaRegistryError as error:
        reason = str(error.error_message)
        if error.http_status_code == _CONFLICT:
            hint = "it must read what the topic holds already: add fields, don't change them"
            raise IncompatibleSchemaError(
                f"the schema isn't compatible: {reason}", where=where, hint=hint
            ) from error
        what = f"the registry answers with {error.http_status_code}: {reason}"
        hint = LOGIN if error.http_status_code in NOT_LET_IN else ""
        raise RegistryError(what, where=where, hint=hint) from error
    except (httpx.HTTPError, OSError) as error:
        what = f"the registry can't be reached ({error})"
        hint = TRUST if "CERTIFICATE_VERIFY_FAILED" in str(error) else ADDRESS
        raise RegistryError(what, where=where, hint=hint) from error
    except ValueError as error:
        raise RegistryError(
            f"the registry's answer can't be understood ({error})", where=where
        ) from error


def _client_options(settings: RegistrySettings) -> dict[str, object]:
    """The client's options; raises DefinitionError if a file of the settings can't be used."""
    options: dict[str, object] = {
        "url": settings.url,
        "timeout": _TIMEOUT_SECONDS,
        "max.retries": _RETRIES,
    }
    if settings.username is not None:
        password = password_of(settings, "registry")
        options["basic.auth.user.info"] = f"{settings.username}:{password}"
        warn_of_plain_login(settings)
    if settings.ca_file is not None:
        tls_context("registry", settings.ca_file)  # raises with what is wrong with the file
        options["ssl.ca.location"] = str(settings.ca_file)
    return options
