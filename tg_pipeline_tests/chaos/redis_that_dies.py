"""A real Redis on one port, that can be killed and started again, without its data or with all that it answered for."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tg_pipeline.machine.tether import tethered
from tg_pipeline.state.redis_server import find_redis_server
from tg_pipeline_tests.ports import port_of_ours

KEEPING = ("--appendonly", "yes", "--appendfsync", "always")


class MortalRedis:
    """Runs from the start on. One that `keeps` has an append-only file in the directory."""

    def __init__(self, directory: Path, *, keeps: bool) -> None:
        self.directory = directory
        self.options = KEEPING if keeps else ()
        self.port = port_of_ours()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        if self.process is None:
            options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(self.directory)]
            command = tethered([find_redis_server(), *options, *self.options])
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            with redis.Redis(port=self.port) as client:
                for _ in range(500):
                    try:
                        client.ping()
                    except redis.RedisError:
                        time.sleep(0.01)
                    else:
                        return

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def mortal_redis(directory: Path, *, keeps: bool = False) -> Iterator[MortalRedis]:
    """For as long as the block runs."""
    server = MortalRedis(directory, keeps=keeps)
    try:
        yield server
    finally:
        server.stop()
