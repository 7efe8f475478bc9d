"""Deleted people: their tombstones, and files without their personal data."""
