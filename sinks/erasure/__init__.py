"""Deleted people: who they are, which drops hold them, and revisions without them."""
