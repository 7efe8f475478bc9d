"""What events are: their kinds, tables, topics and schemas, and how their bytes are read.

`events` and `tables` declare, `derive` makes the schemas, `registry` keeps them, `decode` turns
Kafka values into Arrow batches. Every other package imports this one; it imports none of them.
"""
