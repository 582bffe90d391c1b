import asyncio
import errno
import json
import os
import shutil
import signal
import stat
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import redis

from tg_pipeline.app.chats import register
from tg_pipeline.cli.showcase import stage as stage_module
from tg_pipeline.cli.showcase.stage import MARK, DemoError, dagster, own_directory, running
from tg_pipeline.contracts.errors import InputError
from tg_pipeline.state import redis_server
from tg_pipeline_tests.processes import wait_until


def directory(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which no other demo runs."""
    monkeypatch.setattr(stage_module, "PROJECT_DIRECTORY", tmp_path)
    return tmp_path


def test_each_demo_has_an_empty_directory_of_its_own(project: Path) -> None:
    with own_directory() as one:
        (one / "something").touch()
        with own_directory() as other:
            assert (one, other) == (project / ".demo" / "1", project / ".demo" / "2")
            assert {path.name for path in other.iterdir()} == {"logs", MARK}
    with own_directory() as again:
        assert {path.name for path in again.iterdir()} == {"logs", MARK}


@pytest.mark.parametrize("name", ["chats.yaml", "a note of somebody's"])
def test_what_somebody_did_in_the_demo_before_is_kept(
    project: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    before = project / ".demo" / "1.before"
    for content in ("first", "second"):
        with own_directory() as directory:
            (directory / name).write_text(content)
        capsys.readouterr()
    with own_directory():
        assert (before / name).read_text() == "second"
        (line,) = capsys.readouterr().out.splitlines()
        assert str(before) in line
        assert "is removed" in line, "the first one"
    with own_directory():
        assert (before / name).read_text() == "second", "nothing was done since"
        assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("name", ["1", "1.before"])
def test_what_no_demo_made_is_left_as_it_is(project: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    theirs = project / ".demo" / name / "data" / "precious.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("{}")
    with own_directory() as directory:
        assert directory == project / ".demo" / "2"
    assert theirs.read_text() == "{}"
    assert str(project / ".demo" / name) in capsys.readouterr().out


def test_a_link_is_followed_by_no_removal(project: Path) -> None:
    elsewhere = project / "elsewhere"
    with own_directory() as made:
        pass
    made.rename(elsewhere)
    made.symlink_to(elsewhere)
    with own_directory() as directory:
        assert directory == project / ".demo" / "2"
    assert (elsewhere / MARK).exists()


def test_what_cannot_be_removed_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_directory():
        pass

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(InputError, match=str(project / ".demo" / "1")), own_directory():
        pass


def test_more_demos_than_there_are_places_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "MAX_STAGES", 1)
    with own_directory(), pytest.raises(InputError, match="demos are running already"), own_directory():
        pass


def test_the_stage_is_real_and_ends_with_the_block(tmp_path: Path) -> None:
    with running(directory(tmp_path), []) as stage:
        chat, _ = asyncio.run(register(stage.settings, "@demo_quiet", None))
        assert chat.slug == "demo_quiet"
        with redis.Redis.from_url(stage.keys["REDIS_URL"]) as client:
            assert client.ping()
        with urllib.request.urlopen(stage.control, timeout=5) as answer:  # noqa: S310 - our own loopback address
            assert json.load(answer)["port"] == stage.simulator["port"]
    assert wait_until(lambda: not answers(stage.control))


def test_servers_that_are_killed_come_back_with_what_they_had(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = children()
    with running(directory(tmp_path), []) as stage, redis.Redis.from_url(stage.keys["REDIS_URL"]) as client:
        asyncio.run(register(stage.settings, "@demo_quiet", None))
        client.lpush("tg_commands", "one", "two")
        stage.start_again_what_ended()
        assert not caplog.messages, "nothing had ended"
        servers = children() - before
        assert len(servers) == 2
        for pid in servers:
            os.kill(pid, signal.SIGKILL)

        def are_back() -> bool:
            stage.start_again_what_ended()
            return len(caplog.messages) == 2

        assert wait_until(are_back)
        assert client.lrange("tg_commands", 0, -1) == [b"two", b"one"]
        assert answers(f"{stage.control}/chats")
        chat, _ = asyncio.run(register(stage.settings, "@demo_busy", None))
        assert chat.slug == "demo_busy", "the session of before is still good"


def test_servers_that_hang_are_ended_and_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "_ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(stage_module, "ANSWER_SECONDS", 0.2)
    before = children()
    with running(directory(tmp_path), []) as stage, redis.Redis.from_url(stage.keys["REDIS_URL"]) as client:
        control = stage.control
        assert f"SIMULATOR_CONTROL_URL={control}\n" in stage.write_env_file().read_text()
        for pid in children() - before:
            os.kill(pid, signal.SIGSTOP)
        stage.start_again_what_ended()
        assert not caplog.messages, "once may be chance"
        stage.start_again_what_ended()
        assert len(caplog.messages) == 4, "ended, and started again, both"
        assert client.ping()
        assert stage.control == control
        assert answers(f"{control}/chats")


def test_what_a_demo_writes_is_for_its_user_alone(project: Path) -> None:
    with own_directory():
        assert stat.S_IMODE((project / ".demo" / "1.lock").stat().st_mode) & 0o177 == 0


def children() -> set[int]:
    """Of this process."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - our own loopback address
    except (urllib.error.URLError, OSError):
        return False
    return True


def test_nothing_of_the_users_own_settings_comes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_PHONE", "+49123456789")
    monkeypatch.setenv("TELEGRAM_PROXY", "socks5://127.0.0.1:1")
    with running(directory(tmp_path), []) as stage:
        assert stage.settings.telegram_phone is None
        assert stage.environment()["TELEGRAM_PROXY"] == ""
        assert stage.settings.home == tmp_path / "home"


def test_a_simulator_that_does_not_start_is_said_with_its_log(tmp_path: Path) -> None:
    flags = ["--export", str(tmp_path)]
    with pytest.raises(DemoError, match="does not start") as failure, running(directory(tmp_path), flags):
        pass
    assert "result.json" in str(failure.value)


def test_a_dagster_that_does_not_answer_in_time_is_said_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(directory(tmp_path), []) as stage:
        monkeypatch.setattr(stage_module, "START_SECONDS", 0.1)
        with pytest.raises(DemoError, match="Dagster does not start"), dagster(stage):
            pass
