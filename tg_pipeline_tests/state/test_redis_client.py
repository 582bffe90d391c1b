from pathlib import Path

import pytest

from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.state.redis_client import OUTAGE, ask, redis_client
from tg_pipeline.state.redis_server import local_redis


def test_an_outage_is_logged_once_and_so_is_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for outage in range(1, 3):
        for _ in range(3):
            OUTAGE.begin(StateUnavailable("Redis is away."))
        assert len(caplog.records) == 2 * outage - 1
        with local_redis(tmp_path / "redis") as url:
            client = redis_client(url)
            for _ in range(3):
                assert ask(client, client.ping, {})
            client.close()
        assert len(caplog.records) == 2 * outage
