"""What Dagster's own processes log, wherever it goes, while commands are carried out and things go wrong."""

import re
from datetime import timedelta
from typing import Any

import pytest

from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.settings import Settings
from tg_pipeline.simulator import Error
from tg_pipeline_tests.contracts.schema_checks import check_log
from tg_pipeline_tests.live_platform import CHATS, COLLECTOR_SECRET, PASSWORD, LivePlatform
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import ME

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("live")]

HISTORY = "messages.getHistory"
COMMAND = "0b9d5b5e-5f0c-4c43-9b0a-4c6c8f6f6d11"


def json_lines(text: str) -> list[dict[str, Any]]:
    """Ours among what Dagster's processes write."""
    return check_log("\n".join(line for line in text.split("\n") if line.startswith('{"ts"')))


def event_log(settings: Settings) -> tuple[str, str]:
    """All that Dagster keeps of its runs' events, and what of it are lines of a log.

    The rest of it are facts about assets, of which one shows the first messages of a day on purpose.
    """
    with open_instance(settings) as instance:
        entries = [entry for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    lines = [entry for entry in entries if entry.dagster_event is None]
    return "\n".join(map(str, entries)), "\n".join(map(str, lines))


def test_lines_of_every_kind_are_json_with_their_context_and_say_nothing_secret(live: LivePlatform) -> None:
    settings, faults = live.account.settings, live.account.simulator.faults
    command = {"chat": "@logged", "mode": "date", "date": str(CHATS["logged"].start + timedelta(1))}
    faults.add(Error(method=HISTORY, error="RPC_CALL_FAIL", count=1))
    faults.add(Error(method=HISTORY, error="FLOOD_WAIT_1", count=1))
    live.push(command_id=COMMAND, **command)
    live.push(command_id=COMMAND[::-1], days=3, **command)

    def is_over() -> bool:
        text = live.log.read_text()
        return bool(re.search(f"Command {COMMAND} [^\n]* is over", text))

    assert wait_until(is_over, 200), live.end_of_log
    faults.add(Error(method=HISTORY, error="CHANNEL_PRIVATE"))
    live.push(command_id=COMMAND[:-1] + "2", **command | {"chat": "@private"})
    assert wait_until(lambda: "Nobody can fetch" in live.loki.text, 120), live.loki.text[-5_000:]
    faults.clear()
    said = "\n".join(
        path.read_text(errors="replace")
        for path in [live.log, *settings.home.glob("storage/*/compute_logs/*"), *settings.home.glob("logs/**/*")]
        if path.is_file()
    )
    in_loki = live.loki.text
    in_dagster, lines_in_dagster = event_log(settings)
    secrets = [live.account.simulator.api_hash, *settings.session_secrets, ME.phone, PASSWORD, COLLECTOR_SECRET]
    texts = {m.text for day in live.store.days("logged") for m in live.store.load("logged", day).messages}
    reported = json_lines(said)
    events = {line["event"] for line in reported}
    for kind in (
        r"Command number \d+ is taken .*: \d+ bytes\.",
        r"Command .* asks for: strategy batch, force False, priority 0\.",
        r"Connecting to Telegram at ",
        r"Connected to Telegram at ",
        r".*discussions_.*\.json is written\.",
        r".*discussions_.*\.json is read\.",
        r"Command .* \(logged, .*\) is launched\.",
        r"Command .* is over\.",
        r"Command .* is rejected: ",
        r"Reading logged .*\.",
        r"logged .* is archived: \d+ messages read with \d+ calls\.",
        r"logged .* is committed: 5 messages\.",
        r"logged: \d+ messages at ",
        r"Attempt 1 of messages\.getHistory failed: ",
        r"Telegram asks .* \d+ s .* messages\.getHistory \(flood wait\)",
        r"Nobody can fetch this until a person acts: ",
    ):
        assert any(re.match(kind, event) for event in events), (kind, events)
        assert any(re.match(kind, line["event"]) for line in check_log(in_loki)), kind
    archived = next(line for line in reported if line["event"].startswith("logged ") and "is archived" in line["event"])
    assert (archived["chat"], archived["command_id"], archived["mode"]) == ("logged", COMMAND, "date")
    assert archived["run_id"]
    assert archived["duration_ms"] >= 0
    assert {line["error_type"] for line in reported if line["event"].startswith("Attempt 1")} == {"ServerError"}
    assert "is archived: " in lines_in_dagster
    assert "Attempt 1 of messages.getHistory failed" in lines_in_dagster
    assert len(texts) >= 5
    for where in (said, in_dagster, in_loki):
        assert not [secret for secret in secrets if secret in where]
    for where in (said, lines_in_dagster, in_loki):
        assert not [text for text in texts if text in where]
