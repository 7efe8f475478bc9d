"""Filter the events of each topic into daily partitions, exactly once.

`reading` and `worker` bring the events from Kafka by Faust, `writing` makes a batch durable,
`storage` says which files there are and settles overlaps; `recovery` reads offsets again where
something is missing.
"""
