"""Publish events from upstream systems: typed, validated before they are sent, keyed, idempotent.

    with Publisher(settings, registry, catalog) as publisher:
        publisher.publish(Event(Kind.EMAIL_ACTIVITY, EventType.OPENED, "shop", Source.AUTOMATION,
        …))

`encode` turns an event into a key and an Avro datum, `publisher` sends it, `jsonl` reads JSON
Lines, `topics` makes and checks the topics. docs/publishing.md is the page for users.
"""

from producers.encode import WrongEventError
from producers.event import Event
from producers.publisher import Publisher

__all__ = ["Event", "Publisher", "WrongEventError"]
