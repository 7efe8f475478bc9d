"""Reading from Kafka into Arrow columns: fetching, record batches, and gathering for a flush."""
