"""The real parts that deltadrop works with, started for tests, demo and benchmarks.

Kafka and the schema registry come from the first of these sources that is available:

1. the environment (``KAFKA_BOOTSTRAP_SERVERS``, ``SCHEMA_REGISTRY_URL``): your own servers, which
   are never stopped;
2. Docker, by testcontainers, if a daemon answers. This source is **untested**: the project is built
   and checked on machines without a Docker daemon;
3. jars from Maven Central on Java, with pinned versions and verified SHA-256 sums, cached in
   ``~/.cache/deltadrop``.

The servers for deliveries have one source each: Debian's packages for OpenSSH's sshd and vsftpd
(``sshd``, ``vsftpd``); a Go module for the S3 gateway versitygw, which is built and cached in the
same folder (``gateway``). Prometheus comes from Debian's package (``prometheus``).
"""

from deploy.parts.errors import PartError
from deploy.parts.kafka import KafkaBroker, kafka_on_java, running_kafka
from deploy.parts.registry import SchemaRegistry, registry_on_java, running_registry

__all__ = [
    "KafkaBroker",
    "PartError",
    "SchemaRegistry",
    "kafka_on_java",
    "registry_on_java",
    "running_kafka",
    "running_registry",
]
