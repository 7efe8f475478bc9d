"""An installation on a real Kafka and a real registry of its own, both of which may be taken away:
a window of some hundred mails that is stored but for a hole, which a close has to read again.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from deploy.demo.workspace import next_second
from deploy.parts import KafkaBroker, SchemaRegistry
from producers.event import Event
from producers.publisher import Publisher
from producers.topics import TopicKeeper, wanted_topics
from schemas.events import Kind
from schemas.settings.settings import Settings, load_settings
from sinks.setup import Sinks
from streams.storage.layout import TopicPartition
from tests.faults.closed import Site
from tests.faults.closing import EXPORT
from tests.faults.injected import Running
from tests.faults.partners import PLACES, Server, located
from tests.shop.events import payload
from tests.shop.offline import with_exports
from tests.shop.site import site_settings

MAILS: Final = 400
PREFIX: Final = "served"
HOLE: Final = (50, 130)
"""The offsets of the mails' first partition that no worker stored."""


@dataclass(frozen=True)
class Stored:
    """What there is before the close: Kafka with the events, and a folder with most of them."""

    folder: Path
    instant: dt.datetime
    settings: Mapping[str, Any]

    def site(self, folder: Path, servers: Mapping[str, Server], own: str) -> Site:
        """The same in a folder of its own, and with folders of its own at the places."""
        shutil.copytree(self.folder, folder)
        site = Site(folder, self.instant, dict(servers), own, self.settings)
        site.settle()
        return site


def stored(
    folder: Path, kafka: KafkaBroker, registry: SchemaRegistry, servers: Mapping[str, Server]
) -> Stored:
    """Publish the window's events, and store them but for the hole."""
    settings = site_settings(kafka, registry, PREFIX, partitions=2)
    for name, text in with_exports(EXPORT).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        more = f"deliver: [{', '.join(PLACES)}]\n" if name.startswith("exports/") else ""
        file.write_text(text.replace("file: {compression: gzip}\n", "") + more)
    told = {"root": "data", **settings, "locations": located(servers, "before")}
    (folder / "deltadrop.yaml").write_text(yaml.safe_dump(told))
    loaded = load_settings(folder / "deltadrop.yaml")
    _publish(loaded)
    _store(loaded)
    return Stored(folder, next_second(), settings)


def _publish(settings: Settings) -> None:
    sinks = Sinks.of(settings)
    with TopicKeeper(settings.kafka) as keeper:
        keeper.create(wanted_topics(sinks.streams.catalog, settings.kafka))
    with Publisher(settings, settings.registry, sinks.streams.catalog) as publisher:
        publisher.publish(_told(Kind.CAMPAIGN, "CREATED", campaignId=22))
        for number in range(MAILS):
            publisher.publish(_told(Kind.EMAIL_ACTIVITY, "SENT", interactionId=number))
        publisher.publish(_told(Kind.EMAIL_ACTIVITY, "SENT", interactionId=MAILS, campaignId=77))


def _told(kind: Kind, event_type: str, **telling: Any) -> Event:
    body = payload(kind, event_type, **telling)
    return Event(kind, event_type, "shop", "API", dt.datetime.now(dt.UTC), body)


def _store(settings: Settings) -> None:
    """Write what workers would: by the same writers, from the same Kafka, with the same schemas."""
    sinks = Sinks.of(settings)
    streams = sinks.streams
    mails = next(n for n, topic in streams.topics.items() if topic.kind is Kind.EMAIL_ACTIVITY)
    for name, identity in streams.kafka.identities(streams.topics).items():
        for number, end in enumerate(sinks.offsets.ends(name, identity.partitions)):
            partition = TopicPartition(name, identity.topic_id, number)
            has_hole = (name, number) == (mails, 0)
            assert end > HOLE[1] or not has_hole
            for first, last in [(0, HOLE[0]), (HOLE[1], end)] if has_hole else [(0, end)]:
                if last > first:
                    streams.range_reader.read(streams.writers[name], partition, first, last)
    streams.kafka.close()


def running(server: KafkaBroker | SchemaRegistry) -> Running:
    """A server as something to be taken away."""
    is_kafka = isinstance(server, KafkaBroker)
    address = server.bootstrap_servers if is_kafka else urlsplit(server.url).netloc
    assert server.pid is not None
    return Running(server.pid, address)
