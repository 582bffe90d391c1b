"""What processes count is summed once, whatever becomes of them: real processes, killed for real, and real stores."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.contracts.state import Batch, StateStore
from tg_pipeline.observability import counts
from tg_pipeline.observability.metrics import CALLS, CATALOG, FETCH_DURATION, LAST_RETRY_DELAY
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline_tests.processes import wait_until

BEGIN = """
import os, sys, time
from pathlib import Path
from tg_pipeline.observability import counts
from tg_pipeline.observability.metrics import CALLS, FETCH_DURATION
from tg_pipeline.state.sqlite_store import SqliteStore
path = Path(sys.argv[1])
keep = lambda: counts.keep_in(path, lambda: SqliteStore(path, time.time))
"""


class Broken(SqliteStore):
    """Fails until it is mended; what it is asked meanwhile may have been done, as by a Redis that answers too late."""

    broken = True
    done = False

    def hash_add(self, key: str, batch: Batch) -> bool:
        added = (self.done or not self.broken) and super().hash_add(key, batch)
        if self.broken:
            raise StateUnavailable("No answer.")
        return added


def opened(path: Path) -> StateStore:
    return SqliteStore(path, time.time)


def value(path: Path, name: str, **labels: str) -> float | None:
    with closing(opened(path)) as store:
        families = counts.sums(store)
    found = [s.value for family in families for s in family.samples if s.name == name and s.labels == labels]
    assert len(found) <= 1
    return found[0] if found else None


def calls(path: Path) -> float | None:
    return value(path, "telegram_calls_total", target="m")


def counting(path: Path, code: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", BEGIN + code, str(path)], stdout=subprocess.PIPE, text=True)


def run(path: Path, code: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", BEGIN + code, str(path)], check=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture(autouse=True)
def _only_what_a_test_counts(tmp_path: Path) -> Iterator[None]:
    """What tests before it counted goes elsewhere."""
    counts.keep_in("elsewhere", lambda: opened(tmp_path / "elsewhere.sqlite"))
    counts.stop()
    yield
    counts.stop()


def test_the_end_of_a_process_flushes(path: Path) -> None:
    run(path, "CALLS.labels('m').inc(3); keep(); CALLS.labels('m').inc(2)")
    assert calls(path) == 5


def test_what_a_killed_process_flushed_stays(path: Path) -> None:
    code = "keep(); CALLS.labels('m').inc(3); counts.flush(); print(flush=True); time.sleep(60)"
    for times in (1, 2):
        with counting(path, code) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.kill()
        assert calls(path) == 3 * times


def test_a_process_flushes_by_itself_while_it_goes_on(path: Path) -> None:
    with counting(path, "keep(); CALLS.labels('m').inc(3); time.sleep(60)") as process:
        assert wait_until(lambda: calls(path) == 3, 60)
        process.kill()


def test_many_at_once_are_added_up_exactly_while_others_look(path: Path) -> None:
    code = "keep()\nfor _ in range(50):\n    CALLS.labels('m').inc()\n    FETCH_DURATION.labels('c', 's').observe(5)"
    code += "\n    counts.flush()"
    processes = [counting(path, code) for _ in range(4)]
    seen = [0.0]
    while any(process.poll() is None for process in processes):
        seen.append(calls(path) or 0.0)
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0] * 4
    assert seen == sorted(seen), "a sum that goes back looks like a reset"
    assert calls(path) == 200
    assert value(path, "fetch_duration_seconds_sum", chat="c", status="s") == 1_000
    assert value(path, "fetch_duration_seconds_bucket", chat="c", status="s", le="2.5") == 0
    assert value(path, "fetch_duration_seconds_bucket", chat="c", status="s", le="5") == 200
    assert value(path, "fetch_duration_seconds_count", chat="c", status="s") == 200


def test_a_forked_child_counts_for_itself(path: Path) -> None:
    code = """
keep()
CALLS.labels('m').inc(3)
if os.fork() == 0:
    CALLS.labels('m').inc(4)
    counts.flush()
    os._exit(0)
os.wait()
CALLS.labels('m').inc(5)
"""
    run(path, code)
    assert calls(path) == 12


def test_nothing_is_written_where_nothing_is_counted(path: Path) -> None:
    counts.keep_in(path, lambda: opened(path))
    counts.flush()
    assert not path.exists()


def test_the_first_flush_brings_zeros_for_what_has_no_labels(path: Path) -> None:
    run(path, "keep(); CALLS.labels('m').inc()")
    assert value(path, "floodwait_asked_seconds_total") == 0


def test_another_store_gets_what_is_counted_from_then_on(tmp_path: Path) -> None:
    for name, amount in (("first", 2), ("second", 5)):
        counts.keep_in(name, lambda name=name: opened(tmp_path / name))  # type: ignore[misc]
        counts.keep_in(name, lambda: opened(tmp_path / "not used"))
        CALLS.labels("m").inc(amount)
    counts.stop()
    assert (calls(tmp_path / "first"), calls(tmp_path / "second")) == (2, 5)
    assert not [thread for thread in threading.enumerate() if thread.name == "flush-metrics" and not thread.daemon]


def test_a_gauge_has_the_value_that_was_flushed_last(path: Path) -> None:
    counts.keep_in(path, lambda: opened(path))
    for delay in (5, 3, 4):
        LAST_RETRY_DELAY.labels("m").set(delay)
        counts.flush()
        assert value(path, "last_retry_delay_seconds", target="m") == delay


@pytest.mark.parametrize("done", [True, False])
def test_a_store_that_fails_breaks_nothing_and_gets_everything_once_later(
    path: Path, caplog: pytest.LogCaptureFixture, *, done: bool
) -> None:
    store = Broken(path, time.time)
    store.done = done
    counts.keep_in(path, lambda: store)
    for _ in range(3):
        CALLS.labels("m").inc()
        counts.flush()
    assert len(caplog.records) == 1
    store.broken = False
    counts.flush()
    assert calls(path) == 3
    assert counts._flusher._batch is None


def test_a_damaged_store_is_set_aside_and_the_sums_begin_again(path: Path) -> None:
    counts.keep_in(path, lambda: opened(path))
    CALLS.labels("m").inc()
    counts.flush()
    for file in path.parent.glob("state.sqlite*"):
        file.write_bytes(b"not a database at all" * 100)
    CALLS.labels("m").inc(2)
    counts.flush()
    assert calls(path) == 2


def test_series_of_a_histogram_come_in_their_order_and_names_unknown_are_left_out(path: Path) -> None:
    counts.keep_in(path, lambda: opened(path))
    for chat in ("b", "a"):
        FETCH_DURATION.labels(chat, "success").observe(2)
    counts.flush()
    with closing(opened(path)) as store:
        store.hash_set(counts.HASH, {'["of_a_later_version", {}]': b"1"})
        (family,) = [f for f in counts.sums(store) if f.type == "histogram"]
        assert {f"{f.name}_total" if f.type == "counter" else f.name for f in counts.sums(store)} <= set(CATALOG)
    bounds = [(s.labels["chat"], float(s.labels["le"])) for s in family.samples if "le" in s.labels]
    assert bounds == sorted(bounds)
    assert len(bounds) == 32


def test_the_process_keeps_its_own_values(path: Path) -> None:
    before = REGISTRY.get_sample_value("telegram_calls_total", {"target": "m"}) or 0.0
    counts.keep_in(path, lambda: opened(path))
    CALLS.labels("m").inc(3)
    counts.flush()
    assert REGISTRY.get_sample_value("telegram_calls_total", {"target": "m"}) == before + 3
