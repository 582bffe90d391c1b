"""One account, many processes, one policy: what one learns of Telegram's limits and troubles, all go by."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tg_pipeline.app.fetch import fetch
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.errors import TgPipelineError
from tg_pipeline.contracts.policy import OUTAGE_RETRIES
from tg_pipeline.defs.failures import pause_before_retry
from tg_pipeline.simulator import Drop, Error, FloodBucket, Simulator
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline_tests.defs.pipeline import environment_of
from tg_pipeline_tests.live_simulator import program
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, first_days, plain_world, world_of

HISTORY = "messages.getHistory"
CHATS = ["one", "two", "three", "four"]
OUTAGE_SECONDS = 600.0


def floods(simulator: Simulator) -> Iterator[tuple[float, float]]:
    """When each flood was answered, and when the wait ends that it asked for."""
    for entry in simulator.journal:
        if found := re.fullmatch(r"FLOOD_WAIT_(\d+)", entry.get("error", "")):
            yield entry["ts"], entry["ts"] + int(found[1])


@pytest.mark.slow
def test_four_processes_on_two_sessions_keep_within_one_bucket(tmp_path: Path) -> None:
    chats = [synthetic_chat(name, per_day=1_000, first_day=FIRST_DAY, last_day=first_days(4).last) for name in CHATS]
    with Simulator(world_of(*chats)) as simulator:
        sessions = [simulator.session, simulator.new_session()]
        bucket = FloodBucket(method=HISTORY, rate=4, burst=3, wait_seconds=2)
        simulator.faults.add(bucket)
        account = Account(simulator, tmp_path, sessions=sessions)
        # The bucket holds so little that a machine which is busy meets it too.
        adaptive = {"RATE_LIMIT_STRATEGY": "adaptive", "RATE_LIMIT_PER_SECOND": "5", "RATE_LIMIT_BURST": "10"}
        environment = environment_of(account) | adaptive | {"RATE_LIMIT_CEILING_PER_SECOND": "30"}
        days = first_days(4)
        command = ("--from", str(days.first), "--to", str(days.last))
        running = [program("fetch", f"@{name}", *command, environment=environment) for name in CHATS]
        for process in running:
            _, troubles = process.communicate()
            assert process.returncode == 0, troubles

        calls = [entry for entry in simulator.journal if entry["method"] == HISTORY]
        answered = [entry for entry in calls if "error" not in entry]
        assert len(answered) >= 160
        assert len({entry["connection"] for entry in calls}) == 4
        seen = list(floods(simulator))
        assert seen, "the bucket was never met: the test shows nothing"
        for asked, until in seen:
            # Calls that were admitted before the flood was answered may still arrive.
            late = Counter(entry["connection"] for entry in calls if asked < entry["ts"] < until)
            assert max(late.values(), default=0) <= account.settings.fetch_policy.pages_in_flight
        assert len(seen) <= len(calls) * 0.05


class Clock:
    """Time that passes when somebody sleeps. Once it is over, so is the outage."""

    def __init__(self, simulator: Simulator) -> None:
        self.began = self.time = time.time()
        self.simulator = simulator

    def now(self) -> float:
        return self.time

    steady = now

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.time - self.began >= OUTAGE_SECONDS:
            self.simulator.faults.clear()
        await asyncio.sleep(0)


@pytest.mark.parametrize("fault", [Drop(how="rst"), Error(error="RPC_CALL_FAIL")], ids=["no connection", "500s"])
def test_an_outage_of_ten_minutes_is_sat_out_with_few_attempts(tmp_path: Path, fault: Drop | Error) -> None:
    with Simulator(plain_world()) as simulator:
        account = Account(simulator, tmp_path, backoff_base_seconds=0.5, backoff_max_seconds=10)
        account.fetch("busy", first_days(2))
        before = len(simulator.journal)
        simulator.faults.add(fault)
        clock = Clock(simulator)

        async def until_done() -> None:
            """As Dagster does: the step comes back when it was told to."""
            for _ in range(OUTAGE_RETRIES):
                try:
                    await fetch(
                        account.settings, RegisteredChat(slug="busy", chat="@busy"), first_days(10), clock=clock
                    )
                except TgPipelineError as error:
                    await clock.sleep(pause_before_retry(error) or pytest.fail(f"nothing to wait for: {error}"))
                else:
                    return
            pytest.fail("gave up")

        asyncio.run(until_done())

        failed = [entry for entry in simulator.journal[before:] if "error" in entry]
        assert 0 < len(failed) < 30
        back = clock.time - clock.began - OUTAGE_SECONDS
        assert back <= account.settings.circuit_breaker_open_timeout_seconds + 10
        assert len([path for path in account.files() if path.startswith("busy/")]) == 10
