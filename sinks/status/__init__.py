"""The status of exports, of partitions, and of unfinished drops."""
