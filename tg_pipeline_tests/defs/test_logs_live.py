"""What Dagster's own processes log, wherever it goes, while commands are carried out and things go wrong."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from tg_pipeline.bootstrap.archive import day_store
from tg_pipeline.bootstrap.settings import PROJECT_DIRECTORY, Settings
from tg_pipeline.defs.instance import open_instance
from tg_pipeline.simulator import Error
from tg_pipeline.simulator.worlds import synthetic_chat
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.contracts.schema_checks import check_log
from tg_pipeline_tests.defs.pipeline import environment_of, register
from tg_pipeline_tests.defs.servers import serving
from tg_pipeline_tests.loki import loki
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import ME, account, world_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

HISTORY = "messages.getHistory"
COMMAND = "0b9d5b5e-5f0c-4c43-9b0a-4c6c8f6f6d11"
PASSWORD = "hunter2-of-redis"


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


def test_lines_of_every_kind_are_json_with_their_context_and_say_nothing_secret(tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    start = today - timedelta(3)
    register(tmp_path, "busy", "private", start=start)
    home = tmp_path / "instance"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((PROJECT_DIRECTORY / "dagster.yaml").read_bytes())
    chats = (synthetic_chat(name, per_day=5, first_day=start, last_day=today) for name in ("busy", "private"))
    day = str(start + timedelta(1))
    with (
        local_redis(tmp_path / "redis") as url,
        loki() as received,
        account(world_of(*chats), tmp_path) as found,
        redis.Redis.from_url(url) as client,
    ):
        client.config_set("requirepass", PASSWORD)
        client.execute_command("AUTH", PASSWORD)
        faults = found.simulator.faults
        faults.add(Error(method=HISTORY, error="RPC_CALL_FAIL", count=1))
        faults.add(Error(method=HISTORY, error="FLOOD_WAIT_1", count=1))
        environment = environment_of(found) | {
            "REDIS_URL": url.replace("://", f"://:{PASSWORD}@"),
            "TELEGRAM_PHONE": f"+{ME.phone}",
            "LOG_LEVEL": "DEBUG",
            "LOKI_URL": received.url,
        }
        log = tmp_path / "log"
        with serving("dagster", "dev", environment=environment, log=log):
            command = {"command": "fetch", "chat": "@busy", "mode": "date", "date": day, "command_id": COMMAND}
            client.rpush("tg_commands", json.dumps(command))
            client.rpush("tg_commands", json.dumps(command | {"command_id": COMMAND[::-1], "days": 3}))
            assert wait_until(lambda: '"The command for' in log.read_text() and " is over." in log.read_text(), 200), (
                log.read_text()[-5_000:]
            )
            faults.add(Error(method=HISTORY, error="CHANNEL_PRIVATE"))
            client.rpush("tg_commands", json.dumps(command | {"chat": "@private", "command_id": COMMAND[:-1] + "2"}))
            assert wait_until(lambda: "until a person acts" in received.text, 120), received.text
        written = "\n".join(
            path.read_text(errors="replace")
            for path in [log, *home.glob("storage/*/compute_logs/*"), *home.glob("logs/**/*")]
            if path.is_file()
        )
        said, in_loki = written, received.text
        in_dagster, lines_in_dagster = event_log(found.settings)
        secrets = [found.simulator.api_hash, *found.settings.session_secrets, ME.phone, PASSWORD]
        texts = {
            m.text
            for d in day_store(found.settings).days("busy")
            for m in day_store(found.settings).load("busy", d).messages
        }
    told = json_lines(said)
    events = {line["event"] for line in told}
    for kind in (
        r"Command number \d+ is taken from the list: \d+ bytes\.",
        r"The command asks for .*: strategy batch, force False, priority 0\.",
        r"Connecting to Telegram at ",
        r"Connected to Telegram at ",
        r".*discussions_.*\.json is written\.",
        r".*discussions_.*\.json is read\.",
        r"The command for .* is launched\.",
        r"The command for .* is over\.",
        r"A command is rejected: ",
        r"Reading busy .*\.",
        r"busy .* is archived: \d+ messages read with \d+ calls\.",
        r"busy .* is committed: 5 messages\.",
        r"busy: \d+ messages at ",
        r"Attempt 1 of messages\.getHistory failed: ",
        r"Telegram asks to wait before the next messages\.getHistory",
        r"Nobody can fetch this until a person acts: ",
    ):
        assert any(re.match(kind, event) for event in events), (kind, events)
        assert any(re.match(kind, line["event"]) for line in check_log(in_loki)), kind
    archived = next(line for line in told if "is archived" in line["event"])
    assert (archived["chat"], archived["command_id"], archived["mode"]) == ("busy", COMMAND, "date")
    assert archived["run_id"]
    assert archived["duration_ms"] >= 0
    assert {line["error_type"] for line in told if line["event"].startswith("Attempt 1")} == {"ServerError"}
    assert "is archived: " in lines_in_dagster
    assert "Attempt 1 of messages.getHistory failed" in lines_in_dagster
    assert len(texts) >= 5
    for where in (said, in_dagster, in_loki):
        assert not [secret for secret in secrets if secret in where]
    for where in (said, lines_in_dagster, in_loki):
        assert not [text for text in texts if text in where]
