"""One clock for all processes of a machine, whatever somebody sets the machine's clock to."""

from pathlib import Path

import pytest

from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.state.steady import BOOT_ID, shared_time


class Clock:
    """Wall time and steady time, each moved by hand."""

    def __init__(self, wall: float, steady: float) -> None:
        self.wall = wall
        self.passed = steady

    def now(self) -> float:
        return self.wall

    def steady(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds


def file_in(directory: Path) -> Path:
    return directory / f"time-{BOOT_ID.read_text().strip()}"


def test_a_step_of_the_wall_clock_moves_nobody(tmp_path: Path) -> None:
    clock = Clock(1_700_000_000, 500)
    first = shared_time(tmp_path / "new", clock)
    assert first() == 1_700_000_000
    clock.wall += 3_600
    clock.passed += 10
    second = shared_time(tmp_path / "new", clock)
    assert first() == second() == 1_700_000_010


@pytest.mark.parametrize("text", ["", "junk", "nan", "inf", "-inf", "1e300", "0", "-5"])
def test_a_file_that_cannot_be_right_is_replaced(tmp_path: Path, text: str) -> None:
    file_in(tmp_path).write_text(text)
    clock = Clock(1_700_000_000, 500)
    assert shared_time(tmp_path, clock)() == 1_700_000_000
    clock.wall += 3_600
    assert shared_time(tmp_path, clock)() == 1_700_000_000


def test_files_of_earlier_boots_are_removed(tmp_path: Path) -> None:
    (tmp_path / "time-of-an-earlier-boot").write_text("1")
    shared_time(tmp_path, Clock(1_700_000_000, 500))
    assert list(tmp_path.iterdir()) == [file_in(tmp_path)]


def test_a_directory_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written: "):
        shared_time(tmp_path / "file" / "state", Clock(1_700_000_000, 500))
