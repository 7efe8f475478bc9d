"""S3, and other stores with its protocol: a file is one PUT that fails if the object exists.

`If-None-Match: *` makes a PUT, or the end of a multipart upload, fail if the key exists (Amazon
S3's conditional writes). Readers see an object whole or not at all. The object's metadata has its
SHA-256, so that a comparison needs no download; an object without it is downloaded to compare.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final, Literal, cast
from urllib.parse import urlsplit
from uuid import uuid4

from pydantic import Field, StringConstraints, model_validator

from schemas.definitions.definitions import AtError
from schemas.definitions.patterns import worded
from sinks.locations.base import (
    Delivered,
    DeliveryError,
    DeliveryStep,
    Folder,
    OtherBytesError,
    Receipt,
)
from sinks.locations.limits import Limit
from sinks.locations.local import content_of
from sinks.locations.s3.errors import S3Errors
from sinks.locations.s3.parts import LEAST_PART, Sent, UploadInParts, code_of
from sinks.locations.s3.stored import StoredObject
from sinks.locations.settings import LocationSettings, ServerFolder, Text, authorities, secret

__all__ = ["S3", "S3Settings"]

_MIB: Final = 1024 * 1024
_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn")
_HASH_KEY: Final = "sha256"
_EXISTS: Final = frozenset({"412", "PreconditionFailed"})
_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_CHECKED: Final = {"part_bytes": LEAST_PART, "read_back": "whole"}
"""Settings of a check: a file with several parts, which is read back as a whole."""
_WITHOUT: Final = "it may not know bodies in chunks: try trailing_checksums: false"
_md5 = partial(hashlib.md5, usedforsecurity=False)

_BUCKET: Final = worded(
    r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
    "it has 3 to 63 small letters, digits, dots and dashes, a letter or digit first and last",
)
_REGION: Final = worded(r"^[\w-]+$", "it has letters, digits, dashes and underscores")
_ENDPOINT: Final = worded(
    r"^https?://([^\s@/?#:\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(/[^\s@?#]*)?$",
    "write it as https://s3.example.com, without a login",
)


class S3Settings(LocationSettings):
    """Settings of a bucket. Without keys, boto3 looks for them itself (its environment variables,
    the machine's role).
    """

    kind: Literal["s3"]
    bucket: Annotated[str, StringConstraints(pattern=_BUCKET)]
    endpoint: Annotated[str, StringConstraints(pattern=_ENDPOINT)] | None = None
    region: Annotated[str, StringConstraints(pattern=_REGION, strict=True)] = "us-east-1"
    folder: ServerFolder = ""
    access_key_env: Text | None = None
    access_key_file: Path | None = None
    secret_key_env: Text | None = None
    secret_key_file: Path | None = None
    ca_file: Path | None = None
    encryption: Literal["AES256", "aws:kms"] | None = None
    kms_key: Text | None = None
    part_bytes: Annotated[int, Field(ge=LEAST_PART, le=5 * 1024 * _MIB)] = 64 * _MIB
    trailing_checksums: bool | None = None

    @property
    def sends_trailing_checksums(self) -> bool:
        """Whether bodies are sent in chunks, with a checksum after the last one (aws-chunked).

        AWS verifies the checksum. Other endpoints may refuse such bodies, or store the chunks'
        framing in the object. So the default is off if `endpoint` isn't of AWS.
        """
        if self.trailing_checksums is not None:
            return self.trailing_checksums
        host = urlsplit(self.endpoint).hostname or "" if self.endpoint else ""
        return self.endpoint is None or host.endswith(_AWS)

    @model_validator(mode="after")
    def _is_consistent(self) -> S3Settings:
        for which in ("access_key", "secret_key"):
            if getattr(self, f"{which}_env") and getattr(self, f"{which}_file"):
                raise AtError((f"{which}_file",), f"{which}_env says where it is already")
        keys = [self.access_key_env or self.access_key_file]
        keys.append(self.secret_key_env or self.secret_key_file)
        if keys.count(None) == 1:
            missing = "secret_key" if keys[0] else "access_key"
            raise AtError((), f"{missing}_env or {missing}_file is missing: keys come in pairs")
        if self.kms_key is not None and self.encryption != "aws:kms":
            raise AtError(("kms_key",), "is for encryption: aws:kms only")
        return self

    def location(self, name: str, locks: Path) -> S3:
        """See LocationSettings.location."""
        return S3(name, locks, self)


@dataclass(frozen=True, slots=True)
class S3:
    """A bucket, or a folder in a bucket; notes: a local folder with notes of unfinished uploads."""

    name: str
    notes: Path
    settings: S3Settings

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        """See Location.deliver."""
        key = self._key(f"{folder}/{name}")
        size, digest = content_of(local, self._address(key))
        limit = Limit(self.settings.attempt_seconds, self._address(key))
        with self._explained(key), self.client() as client:
            there = _head(client, self.settings.bucket, key)
            if there is None and self._put(client, local, key, digest, limit):
                return Receipt(self.name, self._address(key), Delivered.NOW, size)
            self._must_be_same(client, key, local, (size, digest), limit)
            return Receipt(self.name, self._address(key), Delivered.BEFORE, size)

    def find(self, folder: Folder, name: str) -> bool:
        """See Location.find."""
        key = self._key(f"{folder}/{name}")
        with self._explained(key), self.client() as client:
            return _head(client, self.settings.bucket, key) is not None

    def check(self) -> Iterator[DeliveryStep]:
        """See Location.check."""
        key, bucket = self._key(f".deltadrop-check-{uuid4().hex}"), self.settings.bucket
        with contextlib.ExitStack() as stack:
            with self._explained("", DeliveryStep.LOGIN):
                client = stack.enter_context(self.client())
                client.head_bucket(Bucket=bucket)
            yield DeliveryStep.CONNECT
            if not (self.settings.endpoint or "https").startswith("http:"):
                yield DeliveryStep.TRUST
            yield DeliveryStep.LOGIN
            with self._explained(key), self._removed_if_wrong(client, key):
                self._try(client, key)
            yield DeliveryStep.WRITE
            with self._explained(key, DeliveryStep.DELETE):
                client.delete_object(Bucket=bucket, Key=key)
            yield DeliveryStep.DELETE

    @contextlib.contextmanager
    def _removed_if_wrong(self, client: Any, key: str) -> Iterator[None]:
        """Remove the object of a check that fails."""
        try:
            yield
        except Exception:
            with contextlib.suppress(Exception):
                client.delete_object(Bucket=self.settings.bucket, Key=key)
            raise

    def _try(self, client: Any, key: str) -> None:
        """Deliver a file of two parts and read it back; then check that it can't be overwritten, as
        some endpoints ignore If-None-Match. Raises DeliveryError if it can.
        """
        limit = Limit(self.settings.attempt_seconds, self._address(key))
        with TemporaryDirectory() as folder:
            file, other = Path(folder) / "check", Path(folder) / "other"
            file.write_bytes(bytes(LEAST_PART) + b"deltadrop\n")
            other.write_bytes(b"other\n")
            small = replace(self, settings=self.settings.model_copy(update=_CHECKED))
            small._put(client, file, key, content_of(file, key)[1], limit)
            if not small._put(client, other, key, content_of(other, key)[1], limit):
                return
        raise DeliveryError(
            "overwrites an object in spite of If-None-Match: *",
            where=self._address(key),
            hint="deltadrop needs an endpoint with conditional writes",
        )

    def _key(self, path: str) -> str:
        return "/".join(part for part in (self.settings.folder.strip("/"), path) if part)

    def _address(self, key: str) -> str:
        return f"s3://{self.settings.bucket}/{key}"

    def _explained(self, key: str, step: DeliveryStep = DeliveryStep.WRITE) -> S3Errors:
        return S3Errors(self.name, self._address(key), step)

    def _encryption(self) -> dict[str, str]:
        settings = self.settings
        found = {"ServerSideEncryption": settings.encryption, "SSEKMSKeyId": settings.kms_key}
        return {option: value for option, value in found.items() if value is not None}

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        """A boto3 client, with one attempt for each request; it doesn't connect yet."""
        import boto3
        from botocore.config import Config

        settings = self.settings
        checksums = "when_supported" if settings.sends_trailing_checksums else "when_required"
        timeouts = {
            "connect_timeout": settings.timeout_seconds,
            "read_timeout": settings.timeout_seconds,
        }
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=settings.endpoint,
            region_name=settings.region,
            aws_access_key_id=secret(
                "the access key", settings.access_key_env, settings.access_key_file, self.name
            ),
            aws_secret_access_key=secret(
                "the secret key", settings.secret_key_env, settings.secret_key_file, self.name
            ),
            verify=authorities(settings.ca_file, self.name),
            config=Config(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path" if settings.endpoint else "auto"},
                request_checksum_calculation=checksums,
                response_checksum_validation=checksums,
                **timeouts,
            ),
        )
        with contextlib.closing(client):
            yield client

    def _put(self, client: Any, local: Path, key: str, digest: str, limit: Limit) -> bool:
        """Create an object and verify what was stored; return False if the key exists by now."""
        from botocore.exceptions import ClientError

        made = {"Bucket": self.settings.bucket, "Key": key}
        options = {"Metadata": {_HASH_KEY: digest}, **self._encryption()}
        try:
            if local.stat().st_size <= self.settings.part_bytes:
                etag = _md5_of(local)
                with local.open("rb") as file:
                    body = Sent(file, limit)
                    answer = client.put_object(Body=body, IfNoneMatch="*", **made, **options)
            else:
                size, note = self.settings.part_bytes, self._note(key, digest)
                etag, answer = UploadInParts(client, made, options, size, note, limit).put(local)
        except ClientError as error:
            if code_of(error) in _EXISTS:
                return False
            raise
        there = _head(client, self.settings.bucket, key)
        if there is not None and _is_made_by(there, digest, answer):
            self._prove(client, local, key, there, etag, limit)
        return True

    def _prove(
        self,
        client: Any,
        local: Path,
        key: str,
        there: Mapping[str, Any],
        etag: str,
        limit: Limit,
    ) -> None:
        """Compare the stored object with the file; remove a wrong object and raise DeliveryError.

        An object that is missing, or was replaced, is its receiver's: it was fetched.
        """
        from botocore.exceptions import ClientError

        bucket = self.settings.bucket
        stored = StoredObject(client, bucket, key, there)
        try:
            wrong = stored.difference(local, etag, self.settings.read_back, limit)
        except ClientError as error:
            if code_of(error) in _MISSING:
                return
            raise
        if wrong is None:
            return
        with contextlib.suppress(Exception):
            client.delete_object(Bucket=bucket, Key=key)
        sends = self.settings.sends_trailing_checksums
        raise DeliveryError(
            f"the object isn't what was sent, and was removed: it {wrong}",
            where=self._address(key),
            hint=_WITHOUT if sends else f"the endpoint of '{self.name}' changes what it stores",
        )

    def _note(self, key: str, digest: str) -> Path:
        """The path of the note about an upload of these bytes to this key."""
        settings = self.settings
        identity = f"{settings.bucket} {key} {digest} {settings.part_bytes} {self._encryption()}"
        return (
            self.notes / f"{self.name}~{hashlib.sha256(identity.encode()).hexdigest()[:32]}.upload"
        )

    def _must_be_same(
        self, client: Any, key: str, local: Path, content: tuple[int, str], limit: Limit
    ) -> None:
        size, digest = content
        there = _head(client, self.settings.bucket, key)
        same = there is not None and there["ContentLength"] == size
        if same and there is not None:
            known = there["Metadata"].get(_HASH_KEY)
            stored = StoredObject(client, self.settings.bucket, key, there)
            same = known == digest if known else stored.reads_as(local, limit)
            if same:
                etag = _md5_of(local) if size <= self.settings.part_bytes else None
                same = stored.difference(local, etag, self.settings.read_back, limit) is None
        if not same:
            raise OtherBytesError.at(self._address(key), "object")


def _is_made_by(there: Mapping[str, Any], digest: str, answer: Mapping[str, Any]) -> bool:
    """Whether an object is the one that an upload made, not one that took its place since."""
    is_ours: bool = there["Metadata"].get(_HASH_KEY) == digest
    return is_ours or bool(there.get("ETag") == answer.get("ETag", ""))


def _md5_of(local: Path) -> str:
    with local.open("rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


def _head(client: Any, bucket: str, key: str) -> dict[str, Any] | None:
    """Fetch the metadata of an object; None if the object doesn't exist."""
    from botocore.exceptions import ClientError

    try:
        return cast("dict[str, Any]", client.head_object(Bucket=bucket, Key=key))
    except ClientError as error:
        if code_of(error) in _MISSING:
            return None
        raise
