"""Record batches of Kafka made by hand, and sent as they are (KIP-98; KIP-110 for zstd).

No client makes such: with any key, header and codec, of any size before compression.
"""

from __future__ import annotations

import gzip
import io
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, cast

import pyarrow as pa
from aiokafka import codec as codecs
from kafka.record.util import calc_crc32c

from tests.hostile.cases import Message
from tests.hostile.expressions import varint

__all__ = ["batch_of", "produce"]

_CODECS: Final = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
_HEADER: Final = struct.Struct(">hiqqqhii")
"""From the attributes to the count of records: what the checksum covers, with the records."""

_PRODUCE: Final = 0
_VERSION: Final = 7  # the first that takes zstd
_SECONDS: Final = 60
_NOT_YET: Final = (3, 6)
"""Kafka's error codes of a topic that has just been made: unknown, and without a leader."""


def batch_of(messages: Iterable[Message], codec: str = "none", at: int = 0) -> bytes:
    """One batch of these messages; at: their producer's time, UTC milliseconds."""
    count = 0

    def numbered() -> Iterator[bytes]:
        nonlocal count
        for message in messages:
            yield _record(message, count)
            count += 1

    packed = _packed(numbered(), codec)
    body = _HEADER.pack(_CODECS[codec], count - 1, at, at, -1, -1, -1, count) + packed
    checked = struct.pack(">I", calc_crc32c(body)) + body
    return struct.pack(">qiib", 0, len(checked) + 5, -1, 2) + checked


def _record(message: Message, number: int) -> bytes:
    headers = [
        varint(len(name.encode())) + name.encode() + _sized(value)
        for name, value in message.headers
    ]
    parts = [b"\0", varint(0), varint(number), _sized(message.key), _sized(message.value)]
    record = b"".join([*parts, varint(len(headers)), *headers])
    return varint(len(record)) + record


def _sized(content: bytes | None) -> bytes:
    return varint(-1) if content is None else varint(len(content)) + content


def _packed(records: Iterable[bytes], codec: str) -> bytes:
    """The records, compressed as they come: all of them at once may be too much."""
    if codec in _OPENED:
        out = io.BytesIO()
        with _OPENED[codec](out) as packing:
            for record in records:
                packing.write(record)
        return out.getvalue()
    return cast(bytes, _WHOLE[codec](b"".join(records)))


_OPENED: Final[dict[str, Callable[[io.BytesIO], BinaryIO]]] = {
    "gzip": lambda out: cast(BinaryIO, gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6)),
    "zstd": lambda out: cast(BinaryIO, pa.CompressedOutputStream(_Open(out), "zstd")),
}
_WHOLE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "none": bytes,
    "snappy": codecs.snappy_encode,
    "lz4": codecs.lz4_encode,
}


class _Open(io.RawIOBase):
    """A file that stays open when what writes to it is closed."""

    def __init__(self, out: io.BytesIO) -> None:
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self._out.write(cast(bytes, data))


def produce(bootstrap_servers: str, topic: str, partition: int, batch: bytes) -> int:
    """Send a batch as it is to the one broker; return the offset of its first record."""
    until = time.monotonic() + _SECONDS
    while True:
        error, offset = _asked(bootstrap_servers, topic, partition, batch)
        if error not in _NOT_YET or time.monotonic() > until:
            assert error == 0, f"the broker doesn't take a batch for {topic}: error {error}"
            return offset
        time.sleep(0.2)


def _asked(bootstrap_servers: str, topic: str, partition: int, batch: bytes) -> tuple[int, int]:
    """Kafka's error code, and the offset."""
    host, _, port = bootstrap_servers.rpartition(":")
    name = topic.encode()
    body = b"".join(
        [
            struct.pack(">hhih", _PRODUCE, _VERSION, 1, -1),
            struct.pack(">hhii", -1, -1, _SECONDS * 1000, 1),
            struct.pack(">h", len(name)) + name,
            struct.pack(">iii", 1, partition, len(batch)) + batch,
        ]
    )
    with socket.create_connection((host, int(port)), _SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", _exactly(connection, 4))
        answer = _exactly(connection, size)
    error, offset = struct.unpack_from(">hq", answer, 4 + 4 + 2 + len(name) + 4 + 4)
    return error, offset


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        assert part, "the broker closed the connection"
        parts += part
    return parts
