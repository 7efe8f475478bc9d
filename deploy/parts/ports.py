"""Free TCP ports on the loopback interface."""

import random
import socket

HOST = "127.0.0.1"
"""The address of every part: never on an interface that other machines can reach."""

_CANDIDATES = range(20_000, 32_000)
"""Ports below Linux's ephemeral range (32768 and up).

On an ephemeral port, a client that repeatedly connects to a stopped server may finally connect to
itself. Then the server can't open its port again.
"""

_RANDOM = random.SystemRandom()
"""Not the seeded generator of tests: two simultaneous test runs must choose different ports."""


def free_port() -> int:
    """Choose a random port on which nothing listens at this moment."""
    while True:
        port = _RANDOM.choice(_CANDIDATES)
        with socket.socket() as probe:
            # The servers set this option, too: a port in TIME_WAIT counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
