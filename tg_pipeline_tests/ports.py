"""Ports for the servers that tests start."""

import os
import random

from tg_pipeline.machine.ports import free_port

_EACH = 1_000
_FIRST = 10_000 + _EACH * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# Each once, from a range of this worker: what another test or program starts meanwhile takes none of them.
_unused = iter(random.sample(range(_FIRST, _FIRST + _EACH), _EACH))


def port_of_ours() -> int:
    """A port of 127.0.0.1 where nobody listens, and which nothing else of this test run gets."""
    return free_port(_unused)
