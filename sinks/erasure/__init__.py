"""Deleted people: their deletions, the drops that may show them, and revisions without them."""
