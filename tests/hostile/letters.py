"""The dead letters that a topic holds, read by a plain consumer."""

from __future__ import annotations

from kafka import KafkaConsumer, TopicPartition

from tests.hostile.publishing import Origin

__all__ = ["reasons_of"]


def reasons_of(bootstrap_servers: str, topic: str) -> dict[Origin, str]:
    """The reason of each dead letter, by where the event stood."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap_servers)
    try:
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        found: dict[Origin, str] = {}
        while any(consumer.position(one) < ends[one] for one in partitions):
            for records in consumer.poll(timeout_ms=1000).values():
                for record in records:
                    headers = dict(record.headers)
                    origin = (
                        headers["origin-topic"].decode(),
                        int(headers["origin-partition"]),
                        int(headers["origin-offset"]),
                    )
                    found[origin] = headers["reason"].decode()
        return found
    finally:
        consumer.close()
