"""Traces: where an event is stored, and its outcome in each export."""
