"""S3, and whatever speaks its protocol: one PUT that an object of the same name refuses.

`If-None-Match: *` makes a PUT, or the end of a multipart upload, fail where the key exists (Amazon
S3's conditional writes). An object is seen whole or not at all. Its SHA-256 is kept as metadata, so
that telling whether it's the same needs no download; one of other origin is read.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast
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
from sinks.locations.local import Comparison, content_of
from sinks.locations.s3.errors import S3Errors
from sinks.locations.s3.parts import Sent, UploadInParts, code_of
from sinks.locations.settings import LocationSettings, ServerFolder, Text, secret

__all__ = ["S3", "S3Settings"]

_MIB: Final = 1024 * 1024
_PIECE: Final = _MIB
_HASH_KEY: Final = "sha256"
_EXISTS: Final = frozenset({"412", "PreconditionFailed"})


_BUCKET: Final = worded(
    r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
    "it has 3 to 63 small letters, digits, dots and dashes, a letter or digit first and last",
)
_ENDPOINT: Final = worded(
    r"^https?://[^\s@]+$", "write it as https://s3.example.com, without a login"
)


class S3Settings(LocationSettings):
    """Settings of a bucket. Without keys, those that boto3 finds by itself (variables of its own,
    the machine's role).
    """

    kind: Literal["s3"]
    bucket: Annotated[str, StringConstraints(pattern=_BUCKET)]
    endpoint: Annotated[str, StringConstraints(pattern=_ENDPOINT)] | None = None
    region: Text = "us-east-1"
    folder: ServerFolder = ""
    access_key_env: Text | None = None
    access_key_file: Path | None = None
    secret_key_env: Text | None = None
    secret_key_file: Path | None = None
    ca_file: Path | None = None
    encryption: Literal["AES256", "aws:kms"] | None = None
    kms_key: Text | None = None
    part_bytes: Annotated[int, Field(ge=5 * _MIB, le=5 * 1024 * _MIB)] = 64 * _MIB

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
    """A bucket, or a folder of one. notes: a local folder that knows the uploads under way."""

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
            with self._explained(key):
                put = {"Bucket": bucket, "Key": key, "IfNoneMatch": "*", **self._encryption()}
                client.put_object(Body=b"deltadrop\n", **put)
                self._refuses(client, put)
            yield DeliveryStep.WRITE
            with self._explained(key, DeliveryStep.DELETE):
                client.delete_object(Bucket=bucket, Key=key)
            yield DeliveryStep.DELETE

    def _refuses(self, client: Any, put: dict[str, str]) -> None:
        """Make sure that the endpoint knows If-None-Match: some ignore it, and overwrite."""
        from botocore.exceptions import ClientError

        try:
            client.put_object(Body=b"other\n", **put)
        except ClientError as error:
            if code_of(error) in _EXISTS:
                return
            raise
        client.delete_object(Bucket=put["Bucket"], Key=put["Key"])
        raise DeliveryError(
            "overwrites an object in spite of If-None-Match: *",
            where=self._address(put["Key"]),
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
        """A client of boto3's, with one attempt for each request; nothing is connected yet."""
        import boto3
        from botocore.config import Config

        settings = self.settings
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
            verify=str(settings.ca_file) if settings.ca_file else None,
            config=Config(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path" if settings.endpoint else "auto"},
                **timeouts,
            ),
        )
        with contextlib.closing(client):
            yield client

    def _put(self, client: Any, local: Path, key: str, digest: str, limit: Limit) -> bool:
        """Create an object; False where the key has come to exist meanwhile."""
        from botocore.exceptions import ClientError

        made = {"Bucket": self.settings.bucket, "Key": key}
        options = {"Metadata": {_HASH_KEY: digest}, **self._encryption()}
        try:
            if local.stat().st_size <= self.settings.part_bytes:
                with local.open("rb") as file:
                    client.put_object(Body=Sent(file, limit), IfNoneMatch="*", **made, **options)
            else:
                size, note = self.settings.part_bytes, self._note(key, digest)
                UploadInParts(client, made, options, size, note, limit).put(local)
        except ClientError as error:
            if code_of(error) in _EXISTS:
                return False
            raise
        return True

    def _note(self, key: str, digest: str) -> Path:
        """Where an upload of these bytes to this key is noted."""
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
            same = known == digest if known else self._reads_same(client, key, local, limit)
        if not same:
            raise OtherBytesError.at(self._address(key), "object")

    def _reads_same(self, client: Any, key: str, local: Path, limit: Limit) -> bool:
        body = client.get_object(Bucket=self.settings.bucket, Key=key)["Body"]
        with Comparison(local) as comparison:
            while piece := body.read(_PIECE):
                if not comparison.goes_on(piece) or not limit.left():
                    return False
            return True


def _head(client: Any, bucket: str, key: str) -> dict[str, Any] | None:
    """What is known of an object; None where there is none."""
    from botocore.exceptions import ClientError

    try:
        return cast("dict[str, Any]", client.head_object(Bucket=bucket, Key=key))
    except ClientError as error:
        if code_of(error) in ("404", "NoSuchKey", "NotFound"):
            return None
        raise
