"""Reader of schemas over the registry's HTTP interface; it reuses one pool of connections.

The size of an answer is bounded, whatever the schema's text is. A fault of one schema is an
UnusableSchemaError or UnknownSchemaError. A plain RegistryError means that the registry doesn't
answer, or answers wrongly.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx

from schemas.backoff import Backoff
from schemas.errors import RegistryError, UnknownSchemaError, UnusableSchemaError
from schemas.settings.credentials import password_of, tls_context
from schemas.settings.registry import RegistrySettings

__all__ = [
    "ADDRESS",
    "CONNECTIONS",
    "LOGIN",
    "NOT_LET_IN",
    "TRUST",
    "RegistryReader",
    "Text",
    "warn_of_plain_login",
]

log = logging.getLogger("schemas.registry")

CONNECTIONS: Final = 8
"""Maximum number of simultaneous requests to the registry."""

LOGIN: Final = (
    "check registry.username, and the password in DELTADROP_REGISTRY__PASSWORD or in"
    " registry.password_file"
)
ADDRESS: Final = "check registry.url or SCHEMA_REGISTRY_URL"
TRUST: Final = f"name the certificate of its authority in registry.ca_file; {ADDRESS}"
NOT_LET_IN: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

_TIMEOUT_SECONDS: Final = 10
_IDLE_SECONDS: Final = 5  # an idle connection
_TRIES: Final = 3
_BACKOFF: Final = Backoff(first=0.2)
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_MOST_BYTES: Final = 4 << 20  # of an answer: a text of 1 MiB, however it is escaped
_NO_SUCH_SCHEMA: Final = 40403
"""The registry's error code for an unknown schema. A bare 404 may come from another server, so it
proves nothing about a schema.
"""
_NO_SUCH_VERSION: Final = (40401, 40402)  # no such subject, no such version of it
_ACCEPT: Final = "application/vnd.schemaregistry.v1+json, application/json"


@dataclass(frozen=True, slots=True)
class Text:
    """A schema as stored in the registry: its text, its type, and its references."""

    text: str
    kind: str
    references: tuple[tuple[str, int], ...]  # subject and version


class RegistryReader:
    """Reader of one registry; safe to use from several threads."""

    def __init__(self, settings: RegistrySettings) -> None:
        """Make a reader; raises DefinitionError if a file of the settings can't be used."""
        self._url = settings.url.rstrip("/")
        trusted = tls_context("registry", settings.ca_file) if settings.ca_file else True
        login = None
        if settings.username is not None:
            login = httpx.BasicAuth(settings.username, password_of(settings, "registry"))
            warn_of_plain_login(settings)
        self._client = httpx.Client(
            verify=trusted,
            auth=login,
            timeout=_TIMEOUT_SECONDS,
            limits=httpx.Limits(
                max_connections=CONNECTIONS,
                max_keepalive_connections=CONNECTIONS,
                keepalive_expiry=_IDLE_SECONDS,
            ),
            headers={"Accept": _ACCEPT},
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def by_id(self, schema_id: int) -> Text:
        """Fetch the schema of an id.

        Raises UnknownSchemaError if there is none, UnusableSchemaError if the registry's answer is
        too large, RegistryError if the registry can't be reached or answers wrongly.
        """
        return self._text(f"schemas/ids/{schema_id}", f"schema {schema_id}")

    def by_version(self, subject: str, version: int) -> Text:
        """Fetch a version of a subject.

        Raises UnusableSchemaError if the subject or version doesn't exist, otherwise as `by_id`.
        """
        about = f"subject {subject}, version {version}"
        return self._text(f"subjects/{quote(subject, safe='')}/versions/{version}", about)

    def _text(self, path: str, about: str) -> Text:
        where = f"registry {self._url}, {about}"
        with _translated(where):
            status, answer = self._answer(f"{self._url}/{path}", about)
            if status == HTTPStatus.OK:
                return _text_in(json.loads(answer))
            code, reason = _refusal_in(answer)
        if code == _NO_SUCH_SCHEMA:
            raise UnknownSchemaError("the registry has no such schema", where=where)
        if code in _NO_SUCH_VERSION:
            raise UnusableSchemaError(f"the registry has no {about}", where=where)
        hint = LOGIN if status in NOT_LET_IN else ""
        raise RegistryError(f"the registry answers with {status}: {reason}", where=where, hint=hint)

    def _answer(self, url: str, about: str) -> tuple[int, bytes]:
        for attempt in range(1, _TRIES + 1):
            with self._client.stream("GET", url) as response:
                if response.status_code not in _AGAIN or attempt == _TRIES:
                    return response.status_code, _bounded(response, about)
            time.sleep(_BACKOFF.pause(attempt))
        raise AssertionError("the last try returns")


def _bounded(response: httpx.Response, about: str) -> bytes:
    parts, size = [], 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            raise UnusableSchemaError(f"{about} has more than {_MOST_BYTES:,} bytes")
    return b"".join(parts)


def _text_in(answer: Mapping[str, Any]) -> Text:
    """The schema in a registry's answer; ValueError if the answer doesn't have the right form."""
    try:
        references = tuple(
            (str(reference["subject"]), int(reference["version"]))
            for reference in answer.get("references") or ()
        )
        kind = answer.get("schemaType") or "AVRO"
        if not isinstance(answer["schema"], str):
            raise TypeError("no text")
        return Text(answer["schema"], str(kind), references)
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"no schema in it: {error!r}") from error


def _refusal_in(answer: bytes) -> tuple[int, str]:
    """(error code, reason) of a registry's refusal; the code is -1 if the answer has none."""
    try:
        refusal = json.loads(answer)
        return int(refusal["error_code"]), str(refusal["message"])
    except (LookupError, RecursionError, TypeError, ValueError):
        return -1, answer[:200].decode(errors="replace")


def warn_of_plain_login(settings: RegistrySettings) -> None:
    """Log a warning if a login isn't encrypted, once per URL."""
    if not settings.is_encrypted:
        _warn_once(settings.url)


@cache
def _warn_once(url: str) -> None:
    log.warning(
        "registry %s: the login travels unencrypted; use https outside a network that you trust",
        url,
    )


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Translate the HTTP client's errors to RegistryError."""
    try:
        yield
    except (httpx.HTTPError, OSError) as error:
        what = f"the registry can't be reached ({error})"
        hint = TRUST if "CERTIFICATE_VERIFY_FAILED" in str(error) else ADDRESS
        raise RegistryError(what, where=where, hint=hint) from error
    except (RecursionError, ValueError) as error:
        raise RegistryError(
            f"the registry's answer can't be understood ({error})", where=where
        ) from error
