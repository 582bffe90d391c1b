"""Group `bulk`: long histories. What a fetch reaches against a bare loop, and what it costs in calls and memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Any

from tg_pipeline_tests.bench.children import measured
from tg_pipeline_tests.bench.local_telegram import ChatSpec, LocalTelegram, serving
from tg_pipeline_tests.bench.report import Aim, Group, Row, Table

Found = dict[str, Any]
BARE = "bare loop"
WANTED_TIMES_BARE = {(0, 1): 0.9, (100, 2): 1.8, (100, 3): 2.6}
"""By latency in ms and pages in flight."""
MESSAGES_PER_MINUTE = 60_000
"""At 100 ms with two pages in flight, as shipped: the target of docs/benchmarks.md."""
CALLS_BEYOND_IDEAL = 1
CALLS_BEYOND_IDEAL_SHARE = 0.05
MEGABYTES_ABOVE_IMPORTS = 150
DAGSTER_SECONDS = 15


@dataclass(frozen=True)
class Sizes:
    """How much is read. `speed` pairs a latency in ms with the chat to be read at it, `rounds` times."""

    rounds: int
    pages: Sequence[int]
    speed: Sequence[tuple[int, ChatSpec]]
    shapes: Mapping[str, ChatSpec]
    shapes_latency: int
    memory: Mapping[str, ChatSpec]
    year: ChatSpec


FULL = Sizes(
    rounds=3,
    pages=(1, 2, 3),
    speed=[
        (0, ChatSpec("busy", 1_013, 50)),
        (0, ChatSpec("crowded", 10_007, 5)),
        (100, ChatSpec("busy", 1_013, 20)),
    ],
    shapes={
        "30 days, no gaps in the ids": ChatSpec("dense", 1_013, 30, missing=0),
        "30 days, 9 of 10 ids missing": ChatSpec("sparse", 1_013, 30, visible=10, missing=90),
        "7 days of 1,511": ChatSpec("week", 1_511, 7),
        "one day of 50,000": ChatSpec("day", 50_000, 1),
    },
    shapes_latency=20,
    memory={
        "a day of 200,000 by 400 people": ChatSpec("crowd", 200_000, 1),
        "a day of 200,000 by 50,000 people": ChatSpec("city", 200_000, 1, people=50_000),
        "1,000,000 in 100 days": ChatSpec("million", 10_000, 100),
    },
    year=ChatSpec("year", 97, 365),
)
QUICK = Sizes(
    rounds=1,
    pages=(1, 2),
    speed=[(0, ChatSpec("busy", 313, 2))],
    shapes={"one day": ChatSpec("day", 711, 1, visible=10, missing=90)},
    shapes_latency=0,
    memory={"one day": ChatSpec("crowd", 300, 1)},
    year=ChatSpec("year", 2, 3),
)


def measure(*, quick: bool) -> Group:
    """Run the group. An aim that `quick` sizes say nothing about is left out."""
    sizes = QUICK if quick else FULL
    aims: list[Aim] = []
    tables = [part(sizes, aims) for part in (_speed, _shapes, _memory, _dagster)]
    return Group(tables, aims)


def _speed(sizes: Sizes, aims: list[Aim]) -> Table:
    rows: list[Row] = []
    for latency, chat in sizes.speed:
        with serving([chat], latency) as telegram:
            measured("bare", telegram, chat)  # so that the server has made every message once
            rounds = [_round(telegram, chat, sizes.pages) for _ in range(sizes.rounds)]
        for pages in (0, *sizes.pages):
            times = median(found[pages]["messages_per_second"] / found[0]["messages_per_second"] for found in rounds)
            cpu = median(found[pages]["cpu_seconds"] for found in rounds) / chat.messages
            rows.append(
                {
                    "latency ms": latency,
                    "messages a day": chat.per_day,
                    "days": chat.days,
                    "reader": _reader(pages),
                    "messages/s": round(median(found[pages]["messages_per_second"] for found in rounds)),
                    "times bare": times,
                    "CPU us a message": cpu * 1e6,
                    "history calls": max(found[pages]["history_calls"] for found in rounds),
                    "ceil(N/100)": ceil(chat.messages / 100),
                }
            )
            if wanted := WANTED_TIMES_BARE.get((latency, pages)):
                aim = f"{latency} ms, {chat.per_day:,} a day, {_reader(pages)}: at least {wanted} times the bare loop"
                aims.append(Aim(aim, times, met=times >= wanted))
            if (latency, pages) == (100, 2):
                a_minute = 60 * median(found[pages]["messages_per_second"] for found in rounds)
                aim = f"{latency} ms, as shipped: at least {MESSAGES_PER_MINUTE:,} messages a minute"
                aims.append(Aim(aim, a_minute, met=a_minute >= MESSAGES_PER_MINUTE))
    return Table(
        "speed",
        f"From connect to committed files, no Dagster. Medians of {sizes.rounds} rounds of every reader in turn.",
        rows,
    )


def _round(telegram: LocalTelegram, chat: ChatSpec, pages: Sequence[int]) -> dict[int, Found]:
    """Every reader once, by pages in flight; 0 is the bare loop."""
    found = {0: measured("bare", telegram, chat)}
    return found | {n: measured("pipeline", telegram, chat, n) for n in pages}


def _reader(pages: int) -> str:
    return f"fetch, {pages} in flight" if pages else BARE


def _shapes(sizes: Sizes, aims: list[Aim]) -> Table:
    rows: list[Row] = []
    for shape, chat in sizes.shapes.items():
        with serving([chat], sizes.shapes_latency) as telegram:
            found = _round(telegram, chat, sizes.pages)
        ideal = ceil(chat.messages / 100)
        for pages in sizes.pages:
            extra = found[pages]["history_calls"] - ideal
            rows.append(
                {
                    "chat": shape,
                    "reader": _reader(pages),
                    "history calls": found[pages]["history_calls"],
                    "ceil(N/100)": ideal,
                    "extra": extra,
                    "extra %": extra / ideal * 100,
                    "cuts": found[pages]["cuts"],
                    "times bare": found[pages]["messages_per_second"] / found[0]["messages_per_second"],
                }
            )
    one = max(int(row["extra"]) for row in rows if row["reader"] == _reader(1))
    share = max(float(row["extra %"]) for row in rows) / 100
    aims += [
        Aim("one page in flight: at most ceil(N/100) + 1 history calls", one, met=one <= CALLS_BEYOND_IDEAL),
        Aim("more in flight: at most 5 % more history calls", share, met=share <= CALLS_BEYOND_IDEAL_SHARE),
    ]
    note = f"History calls where ids have gaps and where many messages share a day; {sizes.shapes_latency} ms."
    return Table("shapes", note, rows)


def _memory(sizes: Sizes, aims: list[Aim]) -> Table:
    rows: list[Row] = []
    for shape, chat in sizes.memory.items():
        with serving([chat]) as telegram:
            found = measured("pipeline", telegram, chat, 2)
        peak = found["peak_megabytes_above_imports"]
        rows.append({"chat": shape, "peak MB above imports": peak, "seconds": found["seconds"]})
        aims.append(Aim(f"{shape}: under {MEGABYTES_ABOVE_IMPORTS} MB", peak, met=peak < MEGABYTES_ABOVE_IMPORTS))
    return Table("memory", "VmHWM of a process that fetches the chat, less VmHWM before the fetch.", rows)


def _dagster(sizes: Sizes, aims: list[Aim]) -> Table:
    with serving([sizes.year]) as telegram:
        found = {what: measured(what, telegram, sizes.year, 2) for what in ("pipeline", "dagster")}
    overhead = found["dagster"]["process_seconds"] - found["pipeline"]["process_seconds"]
    aim = f"{sizes.year.days} days through Dagster: less than {DAGSTER_SECONDS} s more"
    aims.append(Aim(aim, overhead, met=overhead < DAGSTER_SECONDS))
    rows: list[Row] = [
        {
            "how": what,
            "days": sizes.year.days,
            "messages": sizes.year.messages,
            "process seconds": run["process_seconds"],
        }
        for what, run in found.items()
    ]
    note = "The whole process, imports included: a fetch alone, and one run of the chat's job with its checks."
    return Table("dagster", note, rows)
