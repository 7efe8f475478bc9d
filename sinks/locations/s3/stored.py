"""Comparison of a stored object with the file that was sent, by metadata or by reading it back.

An answer of 200 is no proof: an endpoint that doesn't support aws-chunked bodies stores the framing
of their chunks in the object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

from sinks.locations.base import ReadBack
from sinks.locations.limits import Limit
from sinks.locations.local import Comparison, ends_of

__all__ = ["StoredObject"]

_PIECE: Final = 1024 * 1024
_MD5: Final = re.compile(r'"?(?P<md5>[0-9a-f]{32}(-[0-9]+)?)"?')


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object, and the answer of `head_object` about it."""

    client: Any
    bucket: str
    key: str
    head: Mapping[str, Any]

    def difference(
        self, local: Path, etag: str | None, read_back: ReadBack | None, limit: Limit
    ) -> str | None:
        """The difference between the object and the file that was sent, as text; None if none.

        etag: the ETag that the object has if the endpoint makes it by MD5, as S3 does; None: not
        compared. Another ETag of that form isn't a difference by itself; the object is then read.
        read_back: how much of the object is read in any case; None: nothing.
        """
        size, found = local.stat().st_size, int(self.head["ContentLength"])
        if found != size:
            return f"has {found:,} bytes, {size:,} were sent"
        if etag is not None and not self._has(etag):
            same = self.reads_as(local, limit)
        else:
            same = self._reads_back(local, read_back, limit)
        return None if same else "has other bytes than were sent"

    def reads_as(self, local: Path, limit: Limit) -> bool:
        """Read the whole object; return whether it has the bytes of a file."""
        body = self.client.get_object(Bucket=self.bucket, Key=self.key)["Body"]
        with Comparison(local) as comparison:
            while piece := body.read(_PIECE):
                if not comparison.goes_on(piece) or not limit.left():
                    return False
            return comparison.is_over()

    def _reads_back(self, local: Path, read_back: ReadBack | None, limit: Limit) -> bool:
        match read_back:
            case None:
                return True
            case "ends":
                return self._has_ends_of(local, limit)
            case "whole":
                return self.reads_as(local, limit)
            case other:
                assert_never(other)

    def _has(self, etag: str) -> bool:
        """Whether the object's ETag is this one, or isn't made by MD5 (as with SSE-KMS, SSE-C)."""
        is_by_md5 = _MD5.fullmatch(str(self.head.get("ETag", "")))
        encrypted = str(self.head.get("ServerSideEncryption", "")).startswith("aws:kms")
        if is_by_md5 is None or encrypted or "SSECustomerAlgorithm" in self.head:
            return True
        return is_by_md5["md5"] == etag

    def _has_ends_of(self, local: Path, limit: Limit) -> bool:
        for start, expected in ends_of(local):
            if not expected:
                continue
            span = f"bytes={start}-{start + len(expected) - 1}"
            answer = self.client.get_object(Bucket=self.bucket, Key=self.key, Range=span)
            if "ContentRange" not in answer:  # the endpoint knows no ranges
                return self.reads_as(local, limit)
            if answer["Body"].read(len(expected) + 1) != expected:
                return False
        return True
