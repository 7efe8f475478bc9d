"""The streams: they filter the events of each topic into daily partitions, exactly once.

`worker` and `reading` read the events from Kafka with Faust. `writing` makes a batch durable.
`storage` defines the files, and settles overlaps between them. `recovery` reads missing offsets
again.
"""
