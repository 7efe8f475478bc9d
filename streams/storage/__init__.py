"""Partitions on disk: where files are, what they hold, and which offsets they cover."""
