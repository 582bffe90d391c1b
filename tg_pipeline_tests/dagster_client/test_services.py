import os
from pathlib import Path

import yaml

from tg_pipeline.dagster_client.services import CodeServer


def test_a_code_server_that_was_not_started_does_not_answer(tmp_path: Path) -> None:
    server = CodeServer(tmp_path)
    assert not server.is_listening()
    assert not server.answers()


def test_the_others_find_it_at_its_socket(tmp_path: Path) -> None:
    server = CodeServer(tmp_path)
    _, file = server.workspace()
    (found,) = yaml.safe_load(Path(file).read_text())["load_from"]
    assert found["grpc_server"]["socket"] == os.fspath(server.socket)
    assert os.fspath(server.socket) in server.command("warning")
