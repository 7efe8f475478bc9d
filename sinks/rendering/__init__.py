"""Rendering of drops into bytes: values as text, CSV, compression, and the names of files."""
