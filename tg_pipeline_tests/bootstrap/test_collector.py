"""The collector of cycles during a fetch."""

import gc

import pytest

from tg_pipeline.bootstrap import collector


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
