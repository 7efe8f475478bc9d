"""What the tests of the transport share: topics, raw workers as processes, what they leave."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka import TopicPartition as ConfluentPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.settings.kafka import KafkaSettings
from streams.reading.kafka import Topics
from streams.recovery.range_reader import RangeReader
from streams.storage.coverage import tile
from streams.storage.folder import FolderStore
from streams.storage.layout import TopicPartition
from streams.storage.partitions import Chosen, Partitions
from tests.faults import raw_worker
from tests.shop.forked import ForkedProcess

MIB = 1 << 20
SESSION_SECONDS = 6.0


def create_topic(
    kafka: str, name: str, partitions: int = 4, *, config: Mapping[str, str] | None = None
) -> None:
    settings = {"message.timestamp.type": "LogAppendTime", **(config or {})}
    admin = AdminClient({"bootstrap.servers": kafka})
    for made in admin.create_topics([NewTopic(name, partitions, 1, config=settings)]).values():
        made.result()


def delete_topic(kafka: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    for gone in admin.delete_topics([name]).values():
        gone.result()


def producer(kafka: str, **settings: object) -> Producer:
    return Producer(
        {
            "bootstrap.servers": kafka,
            "linger.ms": 20,
            "enable.idempotence": True,
            "queue.buffering.max.messages": 2_000_000,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
    )


def publish(kafka: str, topic: str, values: Iterable[bytes | None], **settings: object) -> None:
    """Publish values, keyed by their number, and wait until all are there."""
    sender = producer(kafka, **settings)
    for number, value in enumerate(values):
        sender.produce(topic, key=str(number), value=value)
        if number % 10_000 == 0:
            sender.poll(0)
    assert sender.flush(120) == 0, "not everything was published"


def numbered(count: int, start: int = 0, size: int = 100) -> Iterator[bytes]:
    """Values that can be told apart."""
    for number in range(start, start + count):
        yield f"{number:012d}".encode().ljust(size, b"x")


@dataclass
class Site:
    """A topic, where its files go, and the workers that were started for it."""

    kafka: str
    topic: str
    folder: Path
    started: list[ForkedProcess] = field(default_factory=list)
    session_timeout: float = SESSION_SECONDS

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def partitions(self) -> Partitions:
        return Partitions(FolderStore(self.root))

    def start(self, **changed: Any) -> ForkedProcess:
        """Start a worker; its log is numbered."""
        options = {
            "kafka": self.kafka,
            "topics": [self.topic],
            "group": f"group-{self.topic}",
            "root": str(self.root),
            "session_timeout": self.session_timeout,
            "retry_seconds": 120.0,
            **changed,
            "limits": {
                "batch_bytes": MIB,
                "batch_seconds": 0.5,
                "bytes_in_flight": 8 * MIB,
                **changed.get("limits", {}),
            },
        }
        with self.log(len(self.started)).open("wb") as log:
            process = ForkedProcess(
                [sys.executable, "-m", "tests.faults.raw_worker", json.dumps(options)],
                stdout=log,
                stderr=log,
            )
        self.started.append(process)
        return process

    def start_and_wait(self, **changed: Any) -> ForkedProcess:
        """Start a worker, and wait until it says so."""
        worker = self.start(**changed)
        wait_until(lambda: "worker started" in self.said(), 30, "the start of a worker")
        return worker

    def log(self, number: int = -1) -> Path:
        number = number if number >= 0 else len(self.started) + number
        return self.folder / f"worker-{number}.log"

    def said(self, number: int = -1) -> str:
        return self.log(number).read_text(errors="replace")

    def failure(self, number: int = -1) -> str:
        """The one line that a worker which failed ended with."""
        lines = [line for line in self.said(number).splitlines() if line.startswith("FAILED ")]
        assert len(lines) == 1, self.said(number)
        return lines[0].removeprefix("FAILED ")

    def most(self, number: int = -1) -> dict[str, int]:
        """What a worker said at its end: the most bytes in flight, and its peak memory."""
        line = next(line for line in self.said(number).splitlines() if line.startswith("MOST "))
        most: dict[str, int] = json.loads(line.removeprefix("MOST "))
        return most

    def end_offsets(self) -> dict[int, int]:
        """Last stable offset of each partition."""
        with _consumer(self.kafka, "none") as consumer:
            count = len(consumer.list_topics(self.topic).topics[self.topic].partitions)
            return {
                p: consumer.get_watermark_offsets(ConfluentPartition(self.topic, p))[1]
                for p in range(count)
            }

    def committed(self) -> dict[int, int]:
        asked = [ConfluentPartition(self.topic, p) for p in self.end_offsets()]
        try:
            with _consumer(self.kafka, f"group-{self.topic}") as consumer:
                return {found.partition: found.offset for found in consumer.committed(asked)}
        except KafkaException:  # a broker that has just come up loads its groups
            return {}

    def owner(self, partition: int) -> TopicPartition:
        with contextlib.closing(Topics(KafkaSettings(bootstrap_servers=self.kafka))) as topics:
            identity = topics.identities([self.topic])[self.topic]
        return TopicPartition(self.topic, identity.topic_id, partition)

    def chosen(self) -> list[Chosen]:
        """What a close would choose: from the start of each partition to its end."""
        wanted = raw_worker.stream(self.topic)
        partitions = self.partitions
        return [
            partitions.choose(self.owner(p), 0, end, {wanted.name: wanted.fingerprint})
            for p, end in self.end_offsets().items()
        ]

    def holes(self) -> list[tuple[int, int, int]]:
        return [
            (choice.partition.partition, hole.first, hole.next)
            for choice in self.chosen()
            for hole in choice.tiling.holes
        ]

    def mend(self) -> int:
        """Read every hole again; return how many there were."""
        holes = self.holes()
        again = RangeReader(KafkaSettings(bootstrap_servers=self.kafka))
        for partition, first, end in holes:
            writer = raw_worker.writer(self.topic, self.root, self.kafka)
            again.read(writer, self.owner(partition), first, end)
        return len(holes)

    def rows(self) -> pa.Table:
        """All that a reader sees, through tiles and clips: `_partition`, `_offset`, `value`."""
        columns = ["_partition", "_offset", "value"]
        tables = []
        for part in self.partitions.slices(raw_worker.stream(self.topic).name, self.chosen()):
            table = pq.read_table(part.path, columns=columns, partitioning=None)
            if part.clips:
                partition, offset = (table.column(name).to_numpy() for name in columns[:2])
                kept = np.zeros(len(table), bool)
                for owner, first, end in part.clips:
                    kept |= (partition == owner) & (offset >= first) & (offset < end)
                table = table.filter(pa.array(kept))
            tables.append(table)
        return pa.concat_tables(tables)

    def overlaps(self) -> int:
        """How many coverage records no tile uses whole: batches that were written again."""
        return sum(
            len(self.partitions.coverage(choice.partition)) - len(choice.tiling.tiles)
            for choice in self.chosen()
        )

    def stop(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


class Traffic(threading.Thread):
    """Publishes numbered values at a steady pace until left."""

    def __init__(self, site: Site, per_second: int) -> None:
        super().__init__(daemon=True)
        self._site = site
        self._per_second = per_second
        self._left = threading.Event()
        self.published = 0

    def run(self) -> None:
        sender = producer(self._site.kafka)
        while not self._left.wait(0.1):
            for value in numbered(self._per_second // 10, self.published):
                sender.produce(self._site.topic, key=value[:12], value=value)
                self.published += 1
            sender.poll(0)
        assert sender.flush(60) == 0

    def __enter__(self) -> Traffic:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self.join()


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], object]]:
    """Put a disk of its own in the place of a folder; gives a function that makes it larger."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root (CAP_SYS_ADMIN)")
    try:
        yield lambda size: subprocess.run(
            ["mount", "-o", f"remount,size={size}", str(folder)], check=True
        )
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def assert_exactly(site: Site, numbers: Iterable[int]) -> None:
    """Each number published is in one row, at an offset of its own; no offset is missing."""
    rows = site.rows()
    places = rows.group_by(["_partition", "_offset"]).aggregate([])
    assert len(places) == len(rows), "an offset is read twice"
    text = pc.utf8_slice_codeunits(rows.column("value").cast(pa.string()), 0, 12)
    found = np.sort(text.cast(pa.int64()).to_numpy())
    assert np.array_equal(found, np.fromiter(numbers, np.int64)), "not the numbers published"
    assert site.holes() == []


def assert_tiles_are_exact(site: Site) -> None:
    for choice in site.chosen():
        at = choice.tiling.first
        for piece in choice.tiling.tiles:
            assert piece.first == at
            at = piece.next
        assert at == choice.tiling.next
        again = tile(site.partitions.coverage(choice.partition), 0, choice.tiling.next)
        assert again.is_whole


def wait_until(is_true: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait, and return how long it took."""
    began = time.monotonic()
    while not is_true():
        assert time.monotonic() - began < seconds, f"{what}: not within {seconds:g} s"
        time.sleep(0.1)
    return time.monotonic() - began


@contextlib.contextmanager
def _consumer(kafka: str, group: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": group, "isolation.level": "read_committed"}
    )
    try:
        yield consumer
    finally:
        consumer.close()
