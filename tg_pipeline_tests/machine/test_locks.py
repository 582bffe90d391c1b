import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tg_pipeline.machine.locks import locked_directory, locked_file, try_lock_directory


@pytest.mark.parametrize("lock", [locked_file, locked_directory])
def test_one_holder_at_a_time(tmp_path: Path, lock: Callable[[Path], AbstractContextManager[None]]) -> None:
    path = tmp_path / "x.lock" if lock is locked_file else tmp_path
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with lock(path):
                inside += 1
                most = max(most, inside)
                time.sleep(0)  # let others try
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, inside) == (1, 0)


def test_a_file_is_waited_for_as_long_as_was_said(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with locked_file(path, wait_seconds=0.0):
        for seconds in (0.0, 0.1):
            with pytest.raises(TimeoutError), locked_file(path, wait_seconds=seconds):
                pass
        waiting = threading.Thread(target=lambda: locked_file(path, wait_seconds=60.0).__enter__())
        waiting.start()
        time.sleep(0.1)
        assert waiting.is_alive()
    waiting.join()


def test_a_directory_is_locked_at_once_or_not_at_all(tmp_path: Path) -> None:
    first = try_lock_directory(tmp_path)
    assert first is not None
    assert try_lock_directory(tmp_path) is None
    os.close(first)
    again = try_lock_directory(tmp_path)
    assert again is not None
    os.close(again)


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_directory_locks_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked_directory(tmp_path):
        (tmp_path / "x").touch()
    assert (tmp_path / "x").exists()


def test_any_other_refusal_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="Input/output error"), locked_directory(tmp_path):
        pass
