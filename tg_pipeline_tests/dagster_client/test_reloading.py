import threading
from pathlib import Path

import pytest

from tg_pipeline.dagster_client import webserver
from tg_pipeline.dagster_client.reloading import Reloading


def test_a_reload_that_found_no_webserver_is_tried_again_at_the_next_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As while `tg-pipeline up` is starting it; that is logged once."""
    asked: list[str] = []

    def reload(url: str) -> None:
        asked.append(url)
        if len(asked) < 3:
            raise webserver.NobodyAnswers(url)

    monkeypatch.setattr(webserver, "reload_code_location", reload)
    reloading = Reloading(tmp_path)
    for expected in (1, 2, 3, 3):
        reloading.ask()
        for thread in threading.enumerate():
            if thread.name == "reload":
                thread.join()
        assert len(asked) == expected
    assert len(caplog.messages) == 1
