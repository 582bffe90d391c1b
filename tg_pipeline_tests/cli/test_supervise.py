import pytest

from tg_pipeline.cli.supervise import RedisWatch
from tg_pipeline.contracts.errors import TRY_LATER, StateUnavailable


def away() -> None:
    raise StateUnavailable("Redis is away.")


def test_a_redis_that_is_away_for_too_long_is_worth_trying_later() -> None:
    with pytest.raises(TRY_LATER):
        RedisWatch(away, longest=0.0).look()
    RedisWatch(away, longest=None).look()
