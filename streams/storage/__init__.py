"""Stored partitions: where files are, what they have, and which offsets they cover."""
