"""The bytes of a drop: values as text, CSV, compression, and the names of files."""
