"""The query engine: events as tables, and rows in order."""
