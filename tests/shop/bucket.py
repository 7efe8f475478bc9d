"""An object store in memory: requests are delayed, refused, or done without an answer, as a seed
says; and a `Store` on it, as one on a real object store has to be.
"""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final, TypeVar
from uuid import uuid4

from schemas.errors import PartitionError
from streams.storage.store import StoredFile

__all__ = ["Bucket", "BucketStore", "NoAnswerError"]

T = TypeVar("T")

_PAGE: Final = 10
"""Keys of one answer to a listing: the next is asked for behind the last."""


class NoAnswerError(Exception):
    """A request has no answer: it was done, or not."""


class TakenError(Exception):
    """The key of an object that was to be created is taken."""


@dataclass(frozen=True, slots=True)
class _Object:
    content: bytes
    written_at: float
    version: str
    creation: str  # the id that its creation carried


@dataclass(slots=True)
class Bucket:
    """Objects by key. faults: the share of requests without an answer, half of which are done."""

    seed: int = 0
    faults: float = 0.0
    objects: dict[str, _Object] = field(default_factory=dict)
    lost: int = 0
    """Requests that were done and have no answer."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _versions: Iterator[int] = field(default_factory=count)
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def put(self, key: str, content: bytes, creation: str = "") -> None:
        """Write an object; with the id of a creation, only unless the key is taken."""

        def done() -> None:
            if creation and key in self.objects:
                raise TakenError
            self.objects[key] = _Object(content, time.time(), str(next(self._versions)), creation)

        self._request(done)

    def get(self, key: str) -> _Object:
        """Read an object; raises KeyError."""
        return self._request(lambda: self.objects[key])

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        self._request(lambda: self.objects.pop(key, None))

    def page(self, prefix: str, after: str) -> list[str]:
        """List the first keys with a prefix behind one."""

        def found() -> list[str]:
            keys = (key for key in self.objects if key.startswith(prefix) and key > after)
            return sorted(keys)[:_PAGE]

        return self._request(found)

    def _request(self, do: Callable[[], T]) -> T:
        with self._lock:
            fate, delay = self._chance.random(), self._chance.random() / 1000
        if self.faults:
            time.sleep(delay)
        if fate < self.faults / 2:
            raise NoAnswerError
        with self._lock:
            answer = do()
            if fate < self.faults:
                self.lost += 1
                raise NoAnswerError
        return answer


class BucketStore:
    """A Store in a bucket. fetched: a folder for files that engines open. attempts: how often a
    request is made that has no answer.
    """

    def __init__(self, bucket: Bucket, fetched: Path, attempts: int = 1) -> None:
        self.bucket = bucket
        self._fetched = fetched
        self._attempts = attempts

    def create(self, name: str, content: bytes) -> bool:
        """See Store.create. That the key is taken is a question: who took it says its id."""
        creation = uuid4().hex

        def attempt() -> bool:
            try:
                self.bucket.put(name, content, creation)
            except TakenError:
                return self.bucket.get(name).creation == creation
            return True

        return self._asked(name, attempt)

    def write(self, name: str, fill: Callable[[BinaryIO], object]) -> int:
        """See Store.write."""
        written = io.BytesIO()
        fill(written)
        self._asked(name, lambda: self.bucket.put(name, written.getvalue()))
        return len(written.getvalue())

    def read(self, name: str) -> bytes:
        """See Store.read."""
        return self._object(name).content

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """See Store.read_range."""
        return self._object(name).content[start : start + length]

    def stat(self, name: str) -> StoredFile:
        """See Store.stat."""
        found = self._object(name)
        return StoredFile(len(found.content), found.written_at, found.version)

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        """See Store.names."""
        while page := self._page(f"{folder}/", after):
            yield from page
            after = page[-1]

    def remove(self, name: str) -> None:
        """See Store.remove."""
        self._asked(name, lambda: self.bucket.delete(name))

    def local(self, names: Sequence[str]) -> list[Path]:
        """See Store.local: fetched under the version's name, so that no path is written again."""
        return [self._local(name) for name in names]

    def address(self, name: str) -> str:
        """See Store.address."""
        return f"memory://bucket/{name}"

    def remove_unfinished(self, folder: str, older_than: float) -> int:
        """See Store.remove_unfinished: nothing is ever half written."""
        return 0

    def _page(self, prefix: str, after: str) -> list[str]:
        return self._asked(prefix, lambda: self.bucket.page(prefix, after))

    def _object(self, name: str) -> _Object:
        try:
            return self._asked(name, lambda: self.bucket.get(name))
        except KeyError:
            raise FileNotFoundError(name) from None

    def _local(self, name: str) -> Path:
        try:
            found = self._object(name)
        except FileNotFoundError:
            return self._fetched / "missing"
        path = self._fetched / found.version
        if not path.exists():
            path.write_bytes(found.content)
        return path

    def _asked(self, name: str, ask: Callable[[], T]) -> T:
        for _ in range(self._attempts):
            try:
                return ask()
            except NoAnswerError:
                continue
        raise PartitionError("the store doesn't answer", where=name, hint="run it again")
