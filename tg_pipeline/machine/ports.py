"""Ports for servers that are started later, or again."""

import random
import socket
from collections.abc import Iterable

LISTENING = range(20_000, 32_768)
"""Below the ports that systems give to outgoing connections (from 32768 on Linux, 49152 on macOS and Windows).

From those, any connection may take the port before its server listens. And a client that retries while its server is
away may connect to itself there, and keep the port from the server for good.
"""


def free_port(among: Iterable[int] | None = None) -> int:
    """A port of 127.0.0.1 where nobody listens: the first of `among` (default: `LISTENING` in random order).

    Raises:
        OSError: none of them is free.
    """
    for port in among or random.sample(LISTENING, len(LISTENING)):
        with socket.socket() as probe:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as servers do: closed connections do not count
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    message = "No port of 127.0.0.1 is free"
    raise OSError(message)
