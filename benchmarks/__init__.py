"""Benchmarks: deltadrop against its peers on one job, and the close of a large window.

``python -m benchmarks`` (``make bench``) runs all of it; docs/benchmarks.md says what is measured,
and how.
"""
