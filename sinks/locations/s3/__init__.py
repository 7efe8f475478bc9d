"""S3, and whatever speaks its protocol."""

from sinks.locations.s3.location import S3, S3Settings

__all__ = ["S3", "S3Settings"]
