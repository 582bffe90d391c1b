"""Ten thousand commands at once, nearly all of them broken."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import click
import dagster as dg
import pytest
import redis

from tg_pipeline.app import dispatch
from tg_pipeline.app.archive import open_archive
from tg_pipeline.app.dispatch import ACCEPTED_PER_LOOK, LAUNCHES_PER_LOOK
from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.dagster_client.runs import COMMAND_TAG
from tg_pipeline.simulator import Simulator
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.state import redis_client
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.chaos.tree import Tree
from tg_pipeline_tests.defs.broken_commands import Broken, broken_commands
from tg_pipeline_tests.defs.pipeline import environment_of, pipeline, register
from tg_pipeline_tests.defs.test_commands import Platform
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, plain_world, world_of

VALID, BROKEN = 200, 9_800
SHORT = 60, 2_940
"""As many in the short suite."""
PER_DAY = 3
SESSIONS = 4
SEED = 11
TICK_SECONDS = 10.0
CHATS = ("busy", *(f"chat{n}" for n in range(1, 10)))
GROWTH_BYTES = 64_000_000
"""Allowed of a process through which more than that passes. A tick's own needs are a few megabytes."""


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


def valid_commands(count: int) -> dict[str, bytes]:
    """By id: days of `CHATS`, asked for in every mode that means one day."""
    found = {}
    for number in range(count):
        id_ = str(UUID(int=number + 1))
        day = str(FIRST_DAY + timedelta(number // len(CHATS)))
        asked = {"mode": "date", "date": day} if number % 2 else {"mode": "range", "from": day, "to": day}
        command = {"command": "fetch", "chat": f"@{CHATS[number % len(CHATS)]}", "command_id": id_} | asked
        found[id_] = json.dumps(command).encode()
    return found


def push_all(client: "redis.Redis", texts: Sequence[bytes]) -> None:
    """As many clients do, each with one RPUSH."""
    with client.pipeline(transaction=False) as pipe:
        for text in texts:
            pipe.rpush("tg_commands", text)
        pipe.execute()


def mixed(valid: Sequence[bytes], broken: Sequence[Broken]) -> list[bytes]:
    """Anywhere among the broken ones, but the valid ones in their order."""
    rng = random.Random(SEED)
    texts = [each.raw for each in broken]
    for place, text in zip(sorted(rng.sample(range(len(texts)), len(valid)))[::-1], valid[::-1], strict=True):
        texts.insert(place, text)
    return texts


def resident_bytes(pid: int | str = "self") -> int:
    """What a process holds of the machine's memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4_096


def check_rejections(queue: CommandQueue, broken: Sequence[Broken], valid: Sequence[str]) -> None:
    """Each broken one in one `failed` event and one dead letter, for its reason."""
    rejected = [event for _, event in all_events(queue) if event["status"] == "rejected"]
    expected = Counter(each.error_type for each in broken)
    assert Counter(event["error_type"] for event in rejected) == expected
    assert not {event["command_id"] for event in rejected} & set(valid)
    assert len({event["command_id"] for event in rejected}) == len(broken)
    letters = queue.dead()
    assert Counter(letter["error_type"] for letter in letters) == expected
    pushed = Counter(each.raw.decode(errors="backslashreplace") for each in broken if each.error_type != "TooLong")
    assert Counter(letter["raw"] for letter in letters if letter["error_type"] != "TooLong") == pushed
    assert sorted(letter["size"] for letter in letters) == sorted(len(each.raw) for each in broken)


def all_events(queue: CommandQueue) -> list[tuple[str, dict[str, object]]]:
    found: list[tuple[str, dict[str, object]]] = []
    while page := queue.events(found[-1][0] if found else "0-0"):
        found += page
    return found


@pytest.mark.slow
def test_many_commands_are_judged_piece_by_piece(
    redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With runs that take no time, the launching alone is looked at; the next test has real ones."""
    monkeypatch.setattr(redis_client, "TIMEOUT_SECONDS", 60.0)  # a busy machine may let it wait for a second
    valid, broken = valid_commands(SHORT[0]), list(broken_commands(SHORT[1], SEED))
    queue = CommandQueue(redis_url)
    launched: Counter[str] = Counter()
    ticks: list[float] = []
    with (
        redis.Redis.from_url(redis_url) as client,
        pipeline(plain_world(), tmp_path, *CHATS, redis_url=redis_url) as found,
    ):
        push_all(client, mixed(list(valid.values()), broken))
        platform = Platform(found, queue, CHATS)
        before = peak = 0
        while any(queue.counts()[place] for place in ("pushed", "waiting", "in_flight")):
            waiting = queue.counts()["pushed"]
            began = time.monotonic()
            tick = platform.tick()
            ticks.append(time.monotonic() - began)
            assert waiting - queue.counts()["pushed"] <= ACCEPTED_PER_LOOK
            assert len(tick.requests) <= LAUNCHES_PER_LOOK
            for request in tick.requests:
                launched[request.tags["tg/command_id"]] += 1
                found.instance.add_run(as_finished(request))
            before, peak = before or resident_bytes(), max(peak, resident_bytes())
        held = client.info("memory")["used_memory"]
    with capsys.disabled():
        click.echo(
            f"\n{len(ticks)} ticks, {max(ticks):.2f} s the longest, {sum(ticks):.1f} s in all; "
            f"{(peak - before) / 1e6:.1f} MB more in the process, {held / 1e6:.1f} MB in Redis"
        )
    assert launched == Counter(valid.keys())
    completed = Counter(str(e["command_id"]) for _, e in all_events(queue) if e["event"] == "completed")
    assert completed == launched
    check_rejections(queue, broken, list(valid))
    assert peak - before < GROWTH_BYTES
    queue.close()


def test_what_a_tick_has_no_time_for_comes_first_in_the_next_one(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        push_all(client, list(valid_commands(3).values()))
    queue = CommandQueue(redis_url)
    with pipeline(plain_world(), tmp_path, *CHATS, redis_url=redis_url) as found:
        platform = Platform(found, queue, CHATS)
        with monkeypatch.context() as patch:
            patch.setattr(dispatch, "ACCEPTING_SECONDS", 0.0)
            assert platform.tick().requests == []
        assert queue.counts()["pushed"] == 3
        asked = [request.tags[COMMAND_TAG] for request in platform.tick().requests]
        assert sorted(asked) == list(valid_commands(3))
    queue.close()


def as_finished(request: dg.RunRequest) -> dg.DagsterRun:
    """The run, as Dagster remembers it when it is over."""
    return dg.DagsterRun(job_name=str(request.job_name), tags=dict(request.tags), status=dg.DagsterRunStatus.SUCCESS)


@pytest.mark.nightly
def test_of_ten_thousand_commands_the_valid_ones_are_carried_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By `tg-pipeline up`, with a process for each run."""
    valid, broken = valid_commands(VALID), list(broken_commands(BROKEN, SEED))
    last_day = FIRST_DAY + timedelta(VALID // len(CHATS) - 1)
    world = world_of(*(synthetic_chat(c, per_day=PER_DAY, first_day=FIRST_DAY, last_day=last_day) for c in CHATS))
    register(tmp_path, *CHATS)
    with (
        local_redis(tmp_path / "redis") as url,
        redis.Redis.from_url(url) as client,
        Simulator(world) as simulator,
    ):
        found = Account(simulator, tmp_path, sessions=[simulator.new_session() for _ in range(SESSIONS)])
        environment = environment_of(found) | {"REDIS_URL": url, "FETCH_CONCURRENCY": str(SESSIONS)}
        queue = CommandQueue(url)
        tree = Tree(found.settings.home, environment, tmp_path / "log")
        try:
            tree.start()
            push_all(client, mixed(list(valid.values()), broken))
            began = time.monotonic()
            sizes = list(sizes_until_all_ended(tree, queue, VALID + BROKEN))
            seconds = time.monotonic() - began
        finally:
            tree.end()
        with open_instance(found.settings) as instance:
            ticks = durations_of_ticks(instance, "commands")
            runs = Counter(run.tags[COMMAND_TAG] for run in instance.get_runs())
        held = client.info("memory")["used_memory"]
        with capsys.disabled():
            click.echo(
                f"\n{seconds:.0f} s, {len(ticks)} ticks, {max(ticks):.2f} s the longest; the code servers hold "
                f"{sizes[0] / 1e6:.0f} MB after the first thousand, {max(sizes) / 1e6:.0f} MB at most; "
                f"{held / 1e6:.1f} MB in Redis"
            )
        assert runs == Counter(valid.keys())
        reported = Counter(
            (str(e["command_id"]), str(e["event"])) for _, e in all_events(queue) if e["event"] != "progress"
        )
        carried_out = {pair: count for pair, count in reported.items() if pair[0] in valid}
        assert carried_out == {(id_, event): 1 for id_ in valid for event in ("started", "completed")}
        check_rejections(queue, broken, list(valid))
        assert not any(count for place, count in queue.counts().items() if place != "dead")
        store = open_archive(found.settings)
        counts = Counter(
            header.message_count for chat in CHATS for day in store.days(chat) if (header := store.header(chat, day))
        )
        assert counts == {PER_DAY: VALID}
        assert max(sizes) - sizes[0] < GROWTH_BYTES
        queue.close()


def sizes_until_all_ended(tree: Tree, queue: CommandQueue, commands: int) -> Iterator[int]:
    """The memory of the processes that tick, from the first ones' end to the last one's."""
    cursor, ended = "0-0", 0
    while ended < commands or queue.counts()["in_flight"]:
        page = queue.events(cursor)
        cursor = page[-1][0] if page else cursor
        ended += sum(event["event"] in {"completed", "failed"} for _, event in page)
        if ended:
            yield sum(map(resident_bytes, tree.pids("code server")))
        assert tree.is_up()
        time.sleep(1)


def durations_of_ticks(instance: dg.DagsterInstance, sensor: str) -> list[float]:
    """What Dagster remembers of how long the sensor and the launching of its runs took."""
    (state,) = (state for state in instance.all_instigator_state() if state.instigator_name == sensor)
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
    return [tick.end_timestamp - tick.timestamp for tick in ticks if tick.end_timestamp is not None]
