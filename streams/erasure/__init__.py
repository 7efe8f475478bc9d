"""Deleted people: their tombstones, and emptying their personal data in files."""
