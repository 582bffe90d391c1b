"""What processes count is there after their death, once: with real processes, killed for real."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tg_pipeline.observability import sums
from tg_pipeline.observability.shared_values import keep_in
from tg_pipeline_tests.processes import wait_until

COUNTS = """
import sys, time
from pathlib import Path
from prometheus_client import Counter, Gauge, Histogram
from tg_pipeline.observability.shared_values import keep_in
keep_in(Path(sys.argv[1]))
counter = Counter("seen", "Seen.", ["who"])
for _ in range(int(sys.argv[2])):
    counter.labels(sys.argv[3]).inc()
Gauge("here", "Who is here.", ["who"], multiprocess_mode="livemax").labels(sys.argv[3]).set(1)
Histogram("took", "Took.", ["who"], buckets=(1, 10)).labels(sys.argv[3]).observe(5)
print("counted", flush=True)
time.sleep(float(sys.argv[4]))
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Afterwards this process writes into no test's directory."""
    yield
    keep_in(tmp_path_factory.mktemp("elsewhere"))


def counting(home: Path, count: int, who: str, stay: float = 60) -> "subprocess.Popen[str]":
    """A process that has counted."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTS, str(home), str(count), who, str(stay)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def value(home: Path, name: str, **labels: str) -> float | None:
    found = [s.value for metric in sums.sums(home) for s in metric.samples if s.name == name and s.labels == labels]
    assert len(found) <= 1
    return found[0] if found else None


def directories(home: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in home.iterdir() if path.is_dir())


def test_what_a_killed_process_counted_stays_and_its_gauges_go(tmp_path: Path) -> None:
    one, other = counting(tmp_path, 3, "one"), counting(tmp_path, 4, "other")
    assert value(tmp_path, "seen_total", who="one") == 3
    assert value(tmp_path, "here", who="one") == 1
    kill(one)
    assert value(tmp_path, "seen_total", who="one") == 3
    assert value(tmp_path, "here", who="one") is None
    assert value(tmp_path, "here", who="other") == 1
    assert directories(tmp_path) == ["archive", "live"]
    kill(other)
    assert value(tmp_path, "seen_total", who="other") == 4
    assert value(tmp_path, "took_count", who="other") == 1
    assert value(tmp_path, "took_bucket", who="other", le="1.0") == 0
    assert value(tmp_path, "took_bucket", who="other", le="10.0") == 1
    assert directories(tmp_path) == ["archive"]


@pytest.mark.slow
def test_files_do_not_grow_with_the_number_of_processes(tmp_path: Path) -> None:
    sizes = []
    for number in range(1, 9):
        counting(tmp_path, 2, "one", stay=0).communicate()
        assert value(tmp_path, "seen_total", who="one") == 2 * number
        sizes.append(sum(file.stat().st_size for file in tmp_path.rglob("*.db")))
    assert sizes[-1] == sizes[0]


def test_many_at_once_are_added_up_exactly_while_others_look(tmp_path: Path) -> None:
    processes = [counting(tmp_path, 50, f"p{number % 3}", stay=0) for number in range(6)]
    while any(process.poll() is None for process in processes):
        sums.sums(tmp_path)
    for process in processes:
        process.communicate()
    assert [value(tmp_path, "seen_total", who=f"p{number}") for number in range(3)] == [100, 100, 100]


@pytest.mark.parametrize("step", ["_write", "_recover"])
def test_killed_while_it_folds_nothing_is_lost_or_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for _ in range(2):
        kill(counting(tmp_path, 3, "one"))
    assert value(tmp_path, "seen_total", who="one") == 6
    kill(counting(tmp_path, 5, "one"))
    real = getattr(sums, step)
    calls = []

    def dies(*arguments: Any) -> None:
        calls.append(arguments)
        if step == "_write" or len(calls) > 1:  # _recover is called before the folding as well
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(sums, step, dies)
        with pytest.raises(KeyboardInterrupt):
            sums.sums(tmp_path)
    assert "folding" in directories(tmp_path)
    assert value(tmp_path, "seen_total", who="one") == 11
    assert directories(tmp_path) == ["archive"]


def test_a_file_that_cannot_be_read_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kill(counting(tmp_path, 3, "one"))
    (tmp_path / "live-0123").mkdir()
    for number, content in enumerate(
        (b"", b"nonsense", b"\x7f" * 70_000, b"\x20\0\0\0\0\0\0\0\x02\0\0\0{}" + b" " * 40)
    ):
        (tmp_path / "live-0123" / f"counter_{number}.db").write_bytes(content)
    assert value(tmp_path, "seen_total", who="one") == 3
    assert caplog.text.count("It is set aside.") == 4
    assert value(tmp_path, "seen_total", who="one") == 3


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert sums.sums(tmp_path / "none") == []


def test_values_from_before_are_kept_and_those_of_another_directory_are_not(tmp_path: Path) -> None:
    counter = Counter("own", "Own.", registry=None)
    counter.inc(2)
    keep_in(tmp_path / "first")
    keep_in(tmp_path / "first")
    counter.inc()
    keep_in(tmp_path / "second")
    counter.inc(5)
    assert value(tmp_path / "second", "own_total") == 5
    (metric,) = counter.collect()
    assert metric.samples[0].value == 8


def test_a_file_grows_with_its_labels(tmp_path: Path) -> None:
    keep_in(tmp_path)
    counter = Counter("many", "Many.", ["label"], registry=None)
    for number in range(1_000):
        counter.labels(f"label {number}").inc(number)
    assert value(tmp_path, "many_total", label="label 999") == 999
    (file,) = tmp_path.glob("live-*/counter_*.db")
    assert file.stat().st_blocks * 512 >= file.stat().st_size, "no page that the disk may refuse later"


def test_a_gauge_tells_what_was_set_last(tmp_path: Path) -> None:
    keep_in(tmp_path)
    gauge = Gauge("latest", "Latest.", registry=CollectorRegistry(), multiprocess_mode="mostrecent")
    gauge.set(5)
    gauge.set(3)
    assert value(tmp_path, "latest") == 3
    Histogram("h", "H.", registry=None).observe(1)
    assert value(tmp_path, "h_count") == 1


def test_the_value_set_last_outlives_its_process(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from prometheus_client import Gauge
from tg_pipeline.observability.shared_values import keep_in
keep_in(Path(sys.argv[1]))
Gauge("latest", "Latest.", multiprocess_mode="mostrecent").set(float(sys.argv[2]))
"""
    for number in (5, 3, 4):
        subprocess.run([sys.executable, "-c", code, str(tmp_path), str(number)], check=True)
        assert value(tmp_path, "latest") == number
        assert directories(tmp_path) == ["archive"]


def test_a_forked_child_counts_for_itself(tmp_path: Path) -> None:
    code = """
import os, sys, time
from pathlib import Path
from prometheus_client import Counter
from tg_pipeline.observability.shared_values import keep_in
keep_in(Path(sys.argv[1]))
counter = Counter("seen", "Seen.")
counter.inc(3)
if os.fork() == 0:
    counter.inc(4)
    os._exit(0)
os.wait()
counter.inc(5)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert value(tmp_path, "seen_total") == 12


def test_on_a_full_disk_the_process_goes_on_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    keep_in(tmp_path)
    counter = Counter("lost", "Lost.", registry=None)
    counter.inc()
    counter.inc()
    assert caplog.text.count("Metrics of this process will be missing") == 1
    (metric,) = counter.collect()
    assert metric.samples[0].value == 2


def test_sums_are_there_where_they_cannot_be_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill(counting(tmp_path, 3, "one"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        assert value(tmp_path, "seen_total", who="one") == 3
    assert value(tmp_path, "seen_total", who="one") == 3
    assert directories(tmp_path) == ["archive"]


def test_who_is_dead_is_told_by_the_lock_and_not_by_a_number(tmp_path: Path) -> None:
    process = counting(tmp_path, 3, "one")
    process.send_signal(signal.SIGSTOP)
    assert value(tmp_path, "here", who="one") == 1
    process.send_signal(signal.SIGCONT)
    kill(process)
    assert wait_until(lambda: value(tmp_path, "here", who="one") is None, 5)
