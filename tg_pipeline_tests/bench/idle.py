"""What `tg-pipeline up` costs while there is nothing to do, and how long it takes to stop."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.bench.report import Group, Row, Table
from tg_pipeline_tests.chaos.tree import SERVICES, Tree
from tg_pipeline_tests.defs.pipeline import environment_of, register
from tg_pipeline_tests.telegram_account import account, plain_world

SETTLE_SECONDS = 20.0
"""Until everything that is done at the start is done."""
SECONDS = 60.0
STOPS = 3
MIB = 1_024.0


def measure(*, quick: bool) -> Group:
    """Of the tree with a Redis and one chat; the Redis itself is left out."""
    settle, seconds, stops = (1.0, 1.0, 1) if quick else (SETTLE_SECONDS, SECONDS, STOPS)
    stopped = []
    with _tree() as tree:
        tree.start()
        time.sleep(settle)
        names = {pid: name for name in SERVICES for pid in tree.pids(name)} | dict.fromkeys(tree.top(), "up")
        before, size = {pid: _cpu_seconds(pid) for pid in names}, _size(tree.home)
        time.sleep(seconds)
        rows: list[Row] = [
            {
                "process": name,
                "% of a core": 100 * (_cpu_seconds(pid) - before[pid]) / seconds,
                "MiB of its own": _own_mib(pid),
            }
            for pid, name in names.items()
        ]
        grown = (_size(tree.home) - size) / 1_024 * 60 / seconds
        for number in range(stops):
            stopped.append(_stop(tree))
            if number < stops - 1:
                tree.start()
                time.sleep(settle)
    rows.append({"process": "all", **{key: sum(float(row[key]) for row in rows) for key in list(rows[0])[1:]}})
    note = f"over {seconds:.0f} s; memory is the proportional set size"
    whole: list[Row] = [{"what": "KiB a minute that the home grows by", "value": grown}]
    whole += [{"what": "seconds from SIGTERM to the end", "value": value} for value in stopped]
    return Group([Table("idle processes", note, rows), Table("idle tree", "of all of it", whole)], [])


@contextmanager
def _tree() -> Iterator[Tree]:
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        register(home, "busy")
        with local_redis(home / "redis") as url, account(plain_world(), home, redis_url=url) as found:
            tree = Tree(found.settings.home, environment_of(found) | {"REDIS_URL": url}, home / "log")
            try:
                yield tree
            finally:
                tree.end()


def _stop(tree: Tree) -> float:
    began = time.monotonic()
    for pid in tree.top():
        os.kill(pid, signal.SIGTERM)
    tree.terminate(set())
    return time.monotonic() - began


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _own_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / MIB


def _size(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
