"""Recovery: reading offsets again, setting partitions aside, and making files readable."""
