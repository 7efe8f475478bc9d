"""DuckDB, embedded, as an engine."""
