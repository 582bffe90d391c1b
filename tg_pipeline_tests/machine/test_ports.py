import socket
from pathlib import Path

import pytest

from tg_pipeline.machine.ports import LISTENING, free_port


def test_no_connection_is_given_a_port_to_listen_on() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not set(LISTENING) & set(range(first, last + 1))
    assert free_port() in LISTENING


def test_a_port_where_somebody_listens_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = somebody.getsockname()[1]
        free = free_port()
        assert free_port([taken, free]) == free
        with pytest.raises(OSError, match="free"):
            free_port([taken])
