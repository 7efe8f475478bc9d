"""Free TCP ports on the loopback interface."""

import random
import socket

HOST = "127.0.0.1"
"""Where every part listens: never on an interface that others reach."""

_CANDIDATES = range(20_000, 32_000)
"""Below Linux's ephemeral range (32768 and up).

A client that calls a stopped server on an ephemeral port again and again ends up connected to
itself, and the server can't have its port back.
"""

_RANDOM = random.SystemRandom()
"""Not the seeded generator of tests: two test runs at once must not choose alike."""


def free_port() -> int:
    """Choose a random port that nothing listens on at this moment."""
    while True:
        port = _RANDOM.choice(_CANDIDATES)
        with socket.socket() as probe:
            # As the servers do it: a port in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
