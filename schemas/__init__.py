"""The definition of events: their kinds, tables, topics and schemas, and how bytes are decoded.

`events` and `tables` declare, `derive` makes the schemas, `registry` stores and looks them up,
`decoding` turns Kafka values into Arrow batches. Every other package imports this one; it imports
none of them.
"""
