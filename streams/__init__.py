"""Filter the events of each topic into daily partitions, exactly once.

`layout` names the files, `coverage` says which of them exist and settles overlaps, `partitions`
writes, lists and reads them; `transport` and `worker` bring the events from Kafka by Faust;
`range_reader` reads a range of offsets again where something is missing.
"""
