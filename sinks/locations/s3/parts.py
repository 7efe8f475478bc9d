"""Upload to S3 in parts, which continues where an earlier attempt was cut off.

A local file notes which upload was begun for which bytes, as S3 doesn't report the content of an
unfinished upload. A part that S3 has is used if its ETag is the MD5 of the bytes to send. Some
endpoints have other ETags (with encryption aws:kms); then all parts are sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from schemas.private_files import make_folders
from sinks.locations.limits import Limit
from sinks.locations.local import own_file

__all__ = ["LEAST_PART", "PASSING", "Sent", "UploadInParts", "code_of"]

LEAST_PART: Final = 5 * 1024 * 1024
"""Minimum bytes of a part, except for the last: S3 refuses smaller ones."""

PASSING: Final = frozenset(
    {"ConditionalRequestConflict", "InternalError", "RequestTimeout", "ServiceUnavailable"}
    | {"SlowDown", "409", "500", "502", "503", "504", "NoSuchUpload"}
)
"""Error codes after which another attempt may succeed."""


def code_of(error: Any) -> str:
    """The error code in botocore's ClientError."""
    return str(error.response.get("Error", {}).get("Code", ""))


class Sent(io.RawIOBase):
    """The body of a request: it reads a source as long as the attempt's time limit allows."""

    def __init__(self, source: BinaryIO, limit: Limit) -> None:
        self._source, self._limit = source, limit

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def seekable(self) -> bool:
        """See RawIOBase."""
        return True

    def read(self, size: int = -1) -> bytes:
        """See RawIOBase; raises PassingError if the time limit is over."""
        self._limit.left()
        return self._source.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See RawIOBase."""
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        """See RawIOBase."""
        return self._source.tell()


@dataclass(frozen=True, slots=True)
class UploadInParts:
    """An upload in parts.

    client: of boto3. target: bucket and key. options: for the creation of the object. note: the
    local file with the upload's id; its name identifies the object and its bytes.
    """

    client: Any
    target: Mapping[str, str]
    options: Mapping[str, Any]
    part_bytes: int
    note: Path
    limit: Limit

    def put(self, local: Path) -> tuple[str, Mapping[str, Any]]:
        """Send the missing parts, and complete the upload unless the key exists.

        Returns the ETag that S3 gives such an object: the MD5 of its parts' MD5s, and their number.
        Raises boto3's errors. After an error that may pass, the upload stays for the next attempt;
        after others it is aborted.
        """
        from botocore.exceptions import ClientError

        upload, there = self._begun() or (self._begin(), {})
        digests: list[bytes] = []
        try:
            parts = list(self._parts(local, upload, there, digests))
            answer = self.client.complete_multipart_upload(
                UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*", **self.target
            )
        except ClientError as error:
            if code_of(error) not in PASSING:
                with contextlib.suppress(Exception):  # the endpoint removes it at some time
                    self.client.abort_multipart_upload(UploadId=upload, **self.target)
                self._forget()
            raise
        self._forget()
        whole = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
        return f"{whole}-{len(digests)}", answer

    def _begin(self) -> str:
        upload = str(self.client.create_multipart_upload(**self.target, **self.options)["UploadId"])
        with own_file(self.note):
            make_folders(self.note.parent)
            aside = self.note.with_suffix(".part")
            aside.write_text(upload, encoding="utf-8")
            aside.replace(self.note)
        return upload

    def _forget(self) -> None:
        with own_file(self.note):
            self.note.unlink(missing_ok=True)

    def _begun(self) -> tuple[str, dict[int, str]] | None:
        """(id of the unfinished upload, its parts' ETags by number); None if there is none."""
        from botocore.exceptions import ClientError

        with own_file(self.note):
            if not self.note.exists():
                return None
            upload = self.note.read_text(encoding="utf-8")
        try:
            pages = self.client.get_paginator("list_parts").paginate(UploadId=upload, **self.target)
            parts = [part for page in pages for part in page.get("Parts", ())]
        except ClientError as error:
            if code_of(error) in PASSING - {"NoSuchUpload"}:
                raise
            self._forget()  # the upload is gone, or can't be listed
            return None
        return upload, {part["PartNumber"]: part["ETag"] for part in parts}

    def _parts(
        self, local: Path, upload: str, there: Mapping[int, str], digests: list[bytes]
    ) -> Iterator[dict[str, object]]:
        """Send the missing parts; yield all parts, and add the MD5 of each to `digests`."""
        with local.open("rb") as file:
            number = 0
            while piece := file.read(self.part_bytes):
                number += 1
                digest = hashlib.md5(piece, usedforsecurity=False)
                digests.append(digest.digest())
                etag = f'"{digest.hexdigest()}"'
                if there.get(number) != etag:
                    body = Sent(io.BytesIO(piece), self.limit)
                    etag = self.client.upload_part(
                        Body=body, PartNumber=number, UploadId=upload, **self.target
                    )["ETag"]
                yield {"PartNumber": number, "ETag": etag}
