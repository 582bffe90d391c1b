"""A lease is held by one process at a time and freed by the operating system, however its holder ends."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tg_pipeline.contracts.errors import LeaseUnavailable, StorageError
from tg_pipeline.machine.lease import POLL_SECONDS, discard, hold_until_exit, lease, lease_name, look, signer

HOLDER = """
import asyncio, sys
from pathlib import Path
from tg_pipeline.machine.lease import lease

async def main():
    async with lease(Path(sys.argv[1]), sys.argv[2:], what="It", wait_seconds=0) as held:
        print(held, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


class Holder:
    """Another process that holds one of the leases named."""

    def __init__(self, directory: Path, *names: str) -> None:
        command = [sys.executable, "-c", HOLDER, str(directory), *names]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.held = self.process.stdout.readline().strip()

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)
            self.process.communicate()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    other = Holder(tmp_path, "a")
    yield other
    other.end()


class Clock:
    """Time that passes only by sleeping; `then` is called once `after` seconds have passed."""

    def __init__(self, after: float = 1e9, then: object = None) -> None:
        self.time = 0.0
        self.after = after
        self.then = then

    def now(self) -> float:
        return self.time

    steady = now

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.time >= self.after and callable(self.then):
            self.then()
            self.then = None
        await asyncio.sleep(0)


async def test_the_first_free_lease_is_held_and_freed(tmp_path: Path) -> None:
    for _ in range(2):
        async with lease(tmp_path / "new", ["a", "b"], what="It", wait_seconds=0) as held:
            assert held == "a"
            async with lease(tmp_path / "new", ["a", "b"], what="It", wait_seconds=0) as other:
                assert other == "b"
    assert stat.S_IMODE((tmp_path / "new" / "a.lock").stat().st_mode) == 0o600


async def test_a_lease_held_by_another_process_is_refused_with_its_holder(tmp_path: Path, holder: Holder) -> None:
    sentence = rf"^It is in use by process {holder.process.pid} since 20.*; waited 0 s for it\.$"
    with pytest.raises(LeaseUnavailable, match=sentence):
        async with lease(tmp_path, ["a"], what="It", wait_seconds=0):
            pass


async def test_it_waits_its_time_and_says_so_once(
    tmp_path: Path, holder: Holder, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    with pytest.raises(LeaseUnavailable, match="waited 3 s"):
        async with lease(tmp_path, ["a"], what="It", wait_seconds=3, clock=clock):
            pass
    assert clock.time == pytest.approx(3, abs=POLL_SECONDS)
    assert caplog.text.count("waiting up to 3 s") == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_dead_holder_frees_it(tmp_path: Path, holder: Holder, number: int) -> None:
    clock = Clock(after=5, then=lambda: holder.end(number))
    async with lease(tmp_path, ["a"], what="It", wait_seconds=60, clock=clock) as held:
        assert held == "a"
    assert 5 <= clock.time < 6


async def test_of_several_the_free_one_is_taken_and_all_taken_name_all_holders(tmp_path: Path, holder: Holder) -> None:
    async with lease(tmp_path, ["a", "b"], what="Each", wait_seconds=0) as held:
        assert held == "b"
        with pytest.raises(LeaseUnavailable) as refused:
            async with lease(tmp_path, ["a", "b"], what="Each", wait_seconds=0):
                pass
    ours, theirs = (f"process {pid} since" for pid in (os.getpid(), holder.process.pid))
    assert ours in refused.value.holder
    assert theirs in refused.value.holder
    assert refused.value.holder in str(refused.value)


async def test_processes_on_fewer_leases_never_share_one(tmp_path: Path) -> None:
    holders = [Holder(tmp_path, "a", "b") for _ in range(3)]
    assert sorted(holder.held for holder in holders) == ["", "a", "b"]
    for holder in holders:
        holder.end()


async def test_an_error_within_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with lease(tmp_path, ["a"], what="It", wait_seconds=0):
            raise ZeroDivisionError
    async with lease(tmp_path, ["a"], what="It", wait_seconds=0):
        pass


async def test_a_signature_that_cannot_be_read_is_no_hindrance(tmp_path: Path, holder: Holder) -> None:
    (tmp_path / "a.lock").write_text("nonsense")
    with pytest.raises(LeaseUnavailable) as refused:
        async with lease(tmp_path, ["a"], what="It", wait_seconds=0):
            pass
    assert refused.value.holder == "another process"


async def test_a_waiter_does_not_take_a_file_that_was_removed_for_the_lease(tmp_path: Path, holder: Holder) -> None:
    others = []

    def replace_the_holder() -> None:
        (tmp_path / "a.lock").unlink()
        others.append(Holder(tmp_path, "a"))
        holder.end()

    with pytest.raises(LeaseUnavailable) as refused:
        async with lease(tmp_path, ["a"], what="It", wait_seconds=5, clock=Clock(after=1, then=replace_the_holder)):
            pass
    assert f"process {others[0].process.pid} since" in str(refused.value)
    others[0].end()


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from tg_pipeline.machine.lease import lease

async def main():
    async with lease(Path(sys.argv[1]), ["a"], what="It", wait_seconds=0) as held:
        print(held)

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
asyncio.run(main())
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))  # coverage writes its file at exit
"""


def test_a_full_disk_does_not_keep_anybody_from_a_lease(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "a\n"


async def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=rf"{tmp_path}/file/leases/a\.lock cannot be opened: Not a directory"):
        async with lease(tmp_path / "file" / "leases", ["a"], what="It", wait_seconds=0):
            pass


def test_a_name_tells_secrets_apart_and_does_not_tell_them() -> None:
    names = {lease_name("secret"), lease_name("sec", "ret"), lease_name("Secret")}
    assert len(names) == 3
    assert all(len(name) == 24 and "secret" not in name for name in names)


def test_how_a_lease_stands_can_be_looked_at_without_taking_it(tmp_path: Path) -> None:
    assert look(tmp_path, "a") == "never held"
    (tmp_path / "a.lock").touch()
    assert look(tmp_path, "a") == "never held"
    holder = Holder(tmp_path, "a")
    assert look(tmp_path, "a") == "held"
    holder.end()
    assert look(tmp_path, "a") == "left"
    assert look(tmp_path, "a") == "left"


def test_only_the_file_of_a_lease_that_nobody_holds_is_discarded(tmp_path: Path, holder: Holder) -> None:
    assert not discard(tmp_path, "a")
    assert look(tmp_path, "a") == "held"
    holder.end()
    assert discard(tmp_path, "a")
    assert not list(tmp_path.iterdir())


def test_a_lease_for_life_is_refused_while_another_process_has_it(tmp_path: Path, holder: Holder) -> None:
    with pytest.raises(LeaseUnavailable, match=r"^It ") as refused:
        hold_until_exit(tmp_path, "a", what="It", wait_seconds=0.05)
    assert refused.value.holder.startswith(f"process {holder.process.pid} since")
    holder.end()
    hold_until_exit(tmp_path, "a", what="It")
    assert look(tmp_path, "a") == "held"


def test_who_holds_it_can_be_looked_up(tmp_path: Path, holder: Holder) -> None:
    assert (look(tmp_path, "a"), signer(tmp_path, "a")) == ("held", holder.process.pid)
    assert signer(tmp_path, "b") is None
    (tmp_path / "b.lock").write_text("nonsense")
    assert signer(tmp_path, "b") is None
