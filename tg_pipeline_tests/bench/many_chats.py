"""Groups `chats_at_once`, `quiet_chats` and `definitions`: what many chats cost, in one run and in the definitions."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from tg_pipeline.resilience import loopback
from tg_pipeline_tests.bench.local_telegram import FIRST_DAY, ChatSpec, LocalTelegram, serving
from tg_pipeline_tests.bench.many_probe import environment, make_home
from tg_pipeline_tests.bench.report import Aim, Group, Row, Table

LATENCY_MS = 100
GRPC_BYTES = 100_000_000
"""The largest message between Dagster's processes, unless DAGSTER_GRPC_MAX_RX_BYTES says otherwise (1.13.27)."""
TIMES_ONE = {2: 1.7, 3: 2.2}
"""How much faster a run is to be with so many chats at once."""
Found = dict[str, Any]


def chats_at_once(*, quick: bool) -> Group:
    """Eight busy chats in one run, PARALLELISM_MAX 1, 2, 3 in turn."""
    per_day, rounds = (150, 1) if quick else (2_000, 3)
    chats = [ChatSpec(f"chat{n:04}", per_day=per_day, days=1) for n in range(8)]
    with serving(chats, LATENCY_MS) as telegram:
        found = [{most: _run_of(telegram, chats, most) for most in (1, 2, 3)} for _ in range(rounds)]
    rows: list[Row] = []
    aims = []
    for most in (1, 2, 3):
        times = median(one[1]["seconds"] / one[most]["seconds"] for one in found)
        rows.append(
            {
                "PARALLELISM_MAX": most,
                "seconds of the run": median(one[most]["seconds"] for one in found),
                "times one": times,
                "messages": found[0][most]["messages"],
                "calls": found[0][most]["calls"],
            }
        )
        if most in TIMES_ONE:
            aims.append(Aim(f"{most} at once: {TIMES_ONE[most]} times one", times, met=times >= TIMES_ONE[most]))
    note = (
        f"8 chats, one day of {per_day:,} messages each, {LATENCY_MS} ms; one Dagster run with checks; {rounds} rounds"
    )
    return Group([Table("chats at once", note, rows)], aims)


def quiet_chats(*, quick: bool) -> Group:
    """A day without messages of many chats: one run for all beside a run for each, of which some are measured."""
    number, sample = (6, 2) if quick else (200, 10)
    chats = [ChatSpec(f"chat{n:04}", per_day=1, days=1) for n in range(number)]
    quiet = FIRST_DAY + timedelta(days=1)
    with serving(chats, LATENCY_MS) as telegram, tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        make_home(home, [chat.username for chat in chats])
        one_by_one = [_run(home, telegram, [chat], quiet) for chat in chats[:sample]]
        together = _run(home, telegram, chats, quiet)
    each = median(run["process_seconds"] for run in one_by_one)
    rows: list[Row] = [
        {"how": f"{number} runs of a chat", "runs measured": sample, "seconds a chat": each, "seconds": each * number},
        {
            "how": f"one run of {number} chats",
            "runs measured": 1,
            "seconds a chat": together["process_seconds"] / number,
            "seconds": together["process_seconds"],
        },
    ]
    times = each * number / together["process_seconds"]
    note = (
        f"{LATENCY_MS} ms, PARALLELISM_MAX=2; whole processes with their imports, without Dagster's daemon and "
        "launcher, whose time comes on top of each run"
    )
    return Group(
        [Table("quiet chats", note, rows)], [Aim("one run is at least 5 times as fast", times, met=times >= 5)]
    )


def definitions(*, quick: bool) -> Group:
    """What the definitions of chats with their checks cost to load, and how large they are between processes."""
    rows: list[Row] = []
    for number in (10, 20) if quick else (1, 200, 2_000):
        with tempfile.TemporaryDirectory() as directory:
            home = Path(directory)
            make_home(home, [f"chat{n:04}" for n in range(number)])
            found = _child("definitions", [], environment(home))
        rows.append(
            {
                "chats": number,
                "a run loads, s": found["run_seconds"],
                "a code server loads, s": found["load_seconds"],
                "of that CPU, s": found["load_cpu_seconds"],
                "repository, MB": found["snapshot_bytes"] / 1e6,
                "job of a run over all but one, MB": found["job_bytes"] / 1e6,
            }
        )
    largest = max(float(rows[-1]["repository, MB"]), float(rows[-1]["job of a run over all but one, MB"])) * 1e6
    aim = f"{rows[-1]['chats']:,} chats: no message larger than gRPC's {GRPC_BYTES / 1e6:.0f} MB"
    note = "A process that imports them, and what a code server then hands to the daemon and the webserver"
    return Group([Table("definitions", note, rows)], [Aim(aim, largest / 1e6, met=largest < GRPC_BYTES)])


def _run_of(telegram: LocalTelegram, chats: Sequence[ChatSpec], most: int) -> Found:
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        make_home(home, [chat.username for chat in chats])
        found = _run(home, telegram, chats, FIRST_DAY, most)
    expected = sum(chat.messages for chat in chats)
    if found["messages"] != expected:
        raise RuntimeError(f"{found['messages']} messages were read of {expected}")
    return found


def _run(home: Path, telegram: LocalTelegram, chats: Sequence[ChatSpec], day: date, most: int = 2) -> Found:
    found = _child("run", [str(day), [chat.username for chat in chats]], environment(home, telegram, most))
    if found["chats"] != len(chats):
        raise RuntimeError(f"{found['chats']} chats were fetched of {len(chats)}")
    return found


def _child(what: str, arguments: Sequence[object], variables: Any) -> Found:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "tg_pipeline_tests.bench.many_probe", what, orjson.dumps(arguments).decode()],
        stdout=subprocess.PIPE,
        env=loopback.guarded_environment(os.environ) | variables,
        check=True,
    )
    found: Found = orjson.loads(done.stdout.splitlines()[-1])
    return found | {"process_seconds": time.perf_counter() - began}
