"""Avro values into Arrow columns: a schema is resolved once, then each field is read for all
values at a time.
"""
