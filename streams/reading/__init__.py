"""From Kafka's bytes to Arrow columns: fetching, record batches, gathering them for a flush."""
