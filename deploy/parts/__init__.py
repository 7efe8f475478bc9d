"""The real parts that deltadrop works with, started for tests, demonstration and benchmarks.

A part is taken from the first of these that can give it:

1. the environment (``KAFKA_BOOTSTRAP_SERVERS``, ``SCHEMA_REGISTRY_URL``): yours, never stopped;
2. Docker, by testcontainers, where a daemon answers. This way is **untested**: the project is
   built and checked on machines without a Docker daemon;
3. jars from Maven Central on Java, with pinned versions and verified SHA-256 sums, kept in
   ``~/.cache/deltadrop``.

The servers that drops are delivered to have one way each: OpenSSH's sshd and vsftpd from Debian's
packages (``sshd``, ``vsftpd``), and the S3 gateway versitygw, built from its Go module and kept in
the same folder (``gateway``). So has Prometheus, which observes: Debian's package (``prometheus``).
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
