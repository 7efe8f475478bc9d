"""Traffic of all nine kinds, with poison in it, at a steady pace while a test torments the rest."""

import io
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

from kafka import KafkaProducer

from deploy.demo.generator import day_of_events
from deploy.demo.workspace import Workspace
from producers.jsonl import publish_lines
from producers.publisher import Publisher
from schemas.settings.settings import load_settings
from schemas.tables import load_catalog

PIECE = 500
"""Events that are published at once."""

POISON = (b"", b"no magic", b"\0\0\0\0\1\2", b"\0\x7f\xff\xff\xff rubbish", None)


class Traffic(threading.Thread):
    """Publishes a generated day in pieces, up to `allowed` events; poison goes in between."""

    def __init__(
        self,
        workspace: Workspace,
        seed: int,
        size: int,
        seconds: float,
        topics: list[str],
        bootstrap: str,
    ) -> None:
        super().__init__(daemon=True)
        self._settings = load_settings(workspace.config)
        self._catalog = load_catalog(self._settings.tables)
        self._random = Random(seed)
        self._events = day_of_events(seed=seed, size=size, day=datetime.now(UTC).date())
        self._pause = seconds * PIECE / size
        self._topics = topics
        self._servers = bootstrap
        self.allowed = 0
        self.published = 0
        self.poisoned = 0
        self.failure: str | None = None

    def run(self) -> None:
        producer = KafkaProducer(bootstrap_servers=self._servers)
        try:
            for piece in _pieces(self._events):
                began = time.monotonic()
                while self.published >= self.allowed:
                    time.sleep(0.05)
                self._publish(piece)
                self._poison(producer)
                time.sleep(max(0.0, self._pause - (time.monotonic() - began)))
        except Exception as error:
            self.failure = repr(error)
        finally:
            producer.close()

    def _publish(self, events: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(event) + "\n" for event in events)
        settings, catalog = self._settings, self._catalog
        publish_lines(
            io.BytesIO(text.encode()),
            "traffic",
            catalog,
            settings.kafka.topic_prefix,
            lambda: Publisher(settings, settings.registry, catalog),
            lambda step, done: None,
        )
        self.published += len(events)

    def _poison(self, producer: KafkaProducer) -> None:
        value = self._random.choice(POISON)
        producer.send(self._random.choice(self._topics), key=b"1", value=value)
        producer.flush()
        self.poisoned += 1


def _pieces(events: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    piece: list[dict[str, Any]] = []
    for event in events:
        piece.append(event)
        if len(piece) == PIECE:
            yield piece
            piece = []
    if piece:
        yield piece
