"""Decoding of Avro values into Arrow columns.

A schema is resolved once; then each field is read for all values at once.
"""
