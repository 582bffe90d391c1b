"""The collector of cycles during a fetch."""

import gc
import subprocess
import sys

import pytest

from tg_pipeline.machine import garbage_collection as collector


def test_a_fetch_collects_seldom_and_leaves_what_was_there_before_alone() -> None:
    with collector.fetching():
        assert gc.get_threshold()[0] == collector.ALLOCATIONS_BETWEEN_COLLECTIONS
        assert gc.get_freeze_count() > 0


def test_afterwards_all_is_as_before_however_the_fetch_ended() -> None:
    before = gc.get_threshold()
    with pytest.raises(KeyError), collector.fetching():
        raise KeyError
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


ENDING = """

from tg_pipeline.machine.garbage_collection import end_quickly
class Cycle:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("searched", flush=True)
{}
Cycle()
"""


@pytest.mark.parametrize(("call", "printed"), [("", "searched\n"), ("end_quickly()", "")])
def test_a_process_that_ends_quickly_searches_for_no_cycles(call: str, printed: str) -> None:
    done = subprocess.run([sys.executable, "-c", ENDING.format(call)], capture_output=True, text=True, check=True)
    assert done.stdout == printed
