"""S3, and other stores with its protocol."""

from sinks.locations.s3.location import S3, S3Settings

__all__ = ["S3", "S3Settings"]
