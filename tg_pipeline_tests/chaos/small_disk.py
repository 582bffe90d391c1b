"""A disk of four megabytes that can be filled to the last byte: a tmpfs that only one process of ours sees.

Everybody else comes to it by way of that process, through /proc. That takes no privilege but user namespaces.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SIZE = "4m"
MOUNT = 'mount -t tmpfs -o size=$1 tmpfs "$2" && echo mounted && exec cat'  # cat ends with whoever holds its input


@dataclass
class SmallDisk:
    """`path` is its root."""

    path: Path

    def fill(self) -> None:
        """Until there is no room for anything."""
        with suppress(OSError), (self.path / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1 << 16))

    def is_full(self) -> bool:
        return (self.path / "filler").exists()

    def free(self) -> None:
        """As it was before `fill`."""
        (self.path / "filler").unlink(missing_ok=True)


@contextmanager
def small_disk(directory: Path) -> Iterator[SmallDisk | None]:
    """For as long as the block runs; None where the machine allows no namespaces."""
    directory.mkdir()
    if not (unshare := shutil.which("unshare")):
        yield None
        return
    command = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", SIZE, str(directory)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as holder:
        assert holder.stdout is not None
        mounted = holder.stdout.readline() == "mounted\n"
        yield SmallDisk(Path(f"/proc/{holder.pid}/root{directory}")) if mounted else None
        holder.kill()
