"""Where an installation stands: its exports, its partitions, and drops that aren't done."""
