import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta

import pytest
from click import MissingParameter, UsageError

from tg_pipeline.app import fetch as fetching
from tg_pipeline.app.archive import open_archive
from tg_pipeline.cli.fetch import how_to_go_on
from tg_pipeline.cli.showcase.compare import differences
from tg_pipeline.contracts.errors import (
    ChatMoved,
    ChatNotFound,
    ChatPrivate,
    CircuitOpen,
    FloodWaitError,
    InputError,
    LeaseUnavailable,
    ServerError,
    SessionRevoked,
    TgPipelineError,
)
from tg_pipeline.monitoring.metrics import exposition
from tg_pipeline.observability import traces
from tg_pipeline.settings import load_settings
from tg_pipeline.simulator import Error, Latency, Simulator
from tg_pipeline.simulator.journal import Entry
from tg_pipeline.simulator.worlds.hidden import HiddenPast
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline_tests.cli.conftest import Terminal, said_by
from tg_pipeline_tests.otlp import collector
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import first_days, world_of

KEPT = "kept from the interrupted run"
TEN_DAYS = ("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-10")


def files(tg: Terminal) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(tg.data.rglob("discussions_*.json"))}


def history_calls(simulator: Simulator) -> list[Entry]:
    return [entry for entry in simulator.journal if entry["method"] == "messages.getHistory"]


def chat_of(simulator: Simulator) -> Overlay:
    (chat,) = simulator.world.chats.values()
    assert isinstance(chat, Overlay)
    return chat


def test_a_range_becomes_one_file_a_day_that_equals_the_world(tg: Terminal, simulator: Simulator) -> None:
    said = tg.ok(*TEN_DAYS)
    assert said.startswith("busy 2024-01-01..2024-01-10: 10 days, 300 messages read; ")
    assert "; 10 files written, 0 unchanged; " in said
    control = f"http://127.0.0.1:{simulator.control}"
    assert list(differences(open_archive(load_settings()), control, "busy", "busy", first_days(10))) == []


def test_a_fetch_is_a_trace_of_its_own_with_every_attempt_of_a_call(tg: Terminal, simulator: Simulator) -> None:
    simulator.faults.add(Error(method="messages.getHistory", error="INTERNAL", code=500, count=1))
    with collector() as found:
        tg.set("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        tg.ok(*TEN_DAYS)
        traces.stop_sending()
    (root,) = found.named("fetch")
    assert root.parent == ""
    assert {span.trace for span in found.spans} == {root.trace}
    attempts = found.named("messages.getHistory")
    assert len(attempts) == len(history_calls(simulator))
    assert [span.about["error.type"] for span in attempts if span.failed] == ["ServerError"]
    assert {tuple(found.above(span)) for span in attempts} == {("messages.getHistory", "page", "fetch")}


def test_the_same_history_again_leaves_the_same_bytes(tg: Terminal) -> None:
    tg.ok(*TEN_DAYS)
    before = files(tg)
    assert "; 0 files written, 10 unchanged; " in tg.ok(*TEN_DAYS)
    assert files(tg) == before


def test_one_day_is_said_in_the_singular(tg: Terminal, simulator: Simulator) -> None:
    chat_of(simulator).add("alone", date=datetime(2024, 2, 1, tzinfo=UTC).timestamp())
    said = tg.ok("fetch", "busy", "--from", "2024-02-01", "--to", "2024-02-01")
    assert ": 1 day, 1 message read; " in said
    assert "; 1 file written, 0 unchanged; " in said


def test_the_range_may_end_today_by_default_and_begin_yesterday(tg: Terminal) -> None:
    today = datetime.now(UTC).date()
    tg.ok("fetch", "busy", "--from", "yesterday")
    found = [re.findall(r"\d{4}-\d\d-\d\d", name)[0] for name in files(tg)]
    # Midnight may have passed meanwhile.
    assert {str(today), str(today - timedelta(days=1))} <= set(found)
    assert len(found) <= 3


@pytest.mark.parametrize("name", ["mine", "@busy", "t.me/busy/7", "Busy"])
def test_a_registered_chat_is_found_under_any_of_its_names(tg: Terminal, name: str) -> None:
    tg.ok("chats", "add", "@busy", "--slug", "mine")
    assert tg.ok("fetch", name, *TEN_DAYS[2:]).startswith("mine 2024-01-01..")


def test_a_registered_chat_may_be_named_by_its_id(tg: Terminal, simulator: Simulator) -> None:
    tg.ok("chats", "add", "@busy", "--slug", "mine")
    (marked_id,) = simulator.world.chats
    assert tg.ok("fetch", str(marked_id), *TEN_DAYS[2:]).startswith("mine 2024-01-01..")
    assert "Whole: 10 day files" in tg.ok("verify", str(marked_id))


def test_retries_are_told(tg: Terminal, simulator: Simulator) -> None:
    simulator.faults.add(Error(method="messages.getHistory", error="INTERNAL", code=500, count=2))
    assert "; retried 2 times." in tg.ok(*TEN_DAYS)
    assert len(files(tg)) == 10


def test_a_server_that_breaks_for_a_while_is_waited_for(tg: Terminal, simulator: Simulator) -> None:
    tg.set("CIRCUIT_BREAKER_OPEN_TIMEOUT_SECONDS", 0.5)
    simulator.faults.add(Error(method="messages.getHistory", error="INTERNAL", code=500, skip=1, count=6))
    assert KEPT in tg.ok(*TEN_DAYS)
    assert len(files(tg)) == 10


def test_a_server_that_stays_broken_exits_with_1_and_says_how_to_go_on(
    tg: Terminal, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "OUTAGE_RETRIES", 1)
    tg.set("CIRCUIT_BREAKER_OPEN_TIMEOUT_SECONDS", 0.5)
    simulator.faults.add(Error(method="messages.getHistory", error="INTERNAL", code=500))
    done = tg.run(*TEN_DAYS)
    assert done.code == 1
    assert isinstance(done.error, ServerError)
    assert "(INTERNAL). What was read is kept: the same command" in done.err


def test_a_flood_longer_than_allowed_exits_with_1_and_says_until_when(tg: Terminal, simulator: Simulator) -> None:
    tg.set("FLOOD_WAIT_MAX_SECONDS", 5)
    simulator.faults.add(Error(method="messages.getHistory", error="FLOOD_WAIT_259200", skip=1))
    done = tg.run(*TEN_DAYS)
    assert done.code == 1
    day = datetime.now(UTC) + timedelta(days=3)
    assert isinstance(done.error, FloodWaitError)
    sentence = r" 2\d+ s .* goes on where this one stopped, from (\d{4}-\d\d-\d\d) \d\d:\d\d:\d\d UTC on\."
    assert (said := re.search(sentence, done.err)), done.err
    # Midnight may have passed meanwhile.
    assert said[1] in {f"{day:%Y-%m-%d}", f"{day - timedelta(minutes=1):%Y-%m-%d}"}


NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (CircuitOpen("telegram", 59.5), "stopped, from 12:01:00 UTC on."),
        (FloodWaitError(43_200, "messages.getHistory"), "stopped, from 2024-01-02 00:00:01 UTC on."),
        (FloodWaitError(2**31 - 1, "messages.getHistory"), "stopped, from 2092-01-19 15:14:08 UTC on."),
        (LeaseUnavailable("in use"), "stopped."),
    ],
)
def test_what_may_be_gone_later_says_from_when_on_where_that_is_known(error: TgPipelineError, end: str) -> None:
    assert how_to_go_on(error, NOON).endswith(end)


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        ("SESSION_REVOKED", 401, SessionRevoked),
        ("USER_DEACTIVATED_BAN", 401, SessionRevoked),
        ("AUTH_KEY_DUPLICATED", 406, SessionRevoked),
        ("CHANNEL_PRIVATE", 400, ChatPrivate),
    ],
)
def test_what_ends_mid_run_is_said_and_what_was_read_is_kept(
    tg: Terminal, simulator: Simulator, error: str, code: int, kind: type[TgPipelineError]
) -> None:
    simulator.faults.add(Error(method="messages.getHistory", error=error, code=code, skip=2))
    assert f"({error})" in str(tg.fails(kind, *TEN_DAYS))
    assert files(tg)
    assert "Whole: " not in tg.ok("verify")
    simulator.faults.clear()
    assert KEPT in tg.ok(*TEN_DAYS)
    assert "Whole: 10 day files" in tg.ok("verify")


def test_days_kept_though_they_were_not_fully_visible_are_named(terminal: Terminal) -> None:
    chat = HiddenPast(synthetic_chat("busy", per_day=40, first_day=date(2024, 1, 1)), up_to=50)
    with Simulator(world_of(chat)) as simulator:
        terminal.log_in(simulator)
        simulator.faults.add(Error(method="messages.getHistory", error="CHANNEL_PRIVATE", code=400, skip=4))
        terminal.fails(ChatPrivate, *TEN_DAYS)
        simulator.faults.clear()
        simulator.call(lambda: chat.hide(0))
        done = terminal.run(*TEN_DAYS)
        assert "tg-pipeline fetch busy --from 2024-01-01 --to 2024-01-02" in done.err
        terminal.ok("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-02")
    assert terminal.ok("verify").startswith("Whole: 10 day files")


def test_a_chat_that_changed_its_name_is_read_on(tg: Terminal, simulator: Simulator) -> None:
    tg.ok("chats", "add", "@busy")
    chat_of(simulator).rename("renamed")
    assert tg.ok(*TEN_DAYS).startswith("busy 2024-01-01..")


def test_a_name_that_now_belongs_to_another_chat_is_not_followed(tg: Terminal, simulator: Simulator) -> None:
    tg.ok("chats", "add", "@busy")
    registered = tg.chats_file.read_text()
    (marked_id,) = simulator.world.chats
    tg.chats_file.write_text(registered.replace(str(marked_id), "-1001234567890"))
    assert "-1001234567890" in str(tg.fails(ChatMoved, *TEN_DAYS))
    assert files(tg) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signal_number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_an_interrupted_fetch_says_so_and_goes_on_when_called_again(
    tg: Terminal, simulator: Simulator, signal_number: int, code: int
) -> None:
    simulator.faults.add(Latency(method="messages.getHistory", ms=60_000, skip=2))
    command = [sys.executable, "-m", "tg_pipeline.cli.main", *TEN_DAYS]
    with subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE, text=True) as process:
        assert wait_until(lambda: len(history_calls(simulator)) > 2, 30)
        assert process.stderr is not None
        process.send_signal(signal_number)
        said = next(line for line in process.stderr if signal.Signals(signal_number).name in line)
        process.send_signal(signal_number)
        said += process.stderr.read()
    assert process.returncode == code, said
    assert said.strip().endswith("Interrupted. What was read is kept: run the same command to go on.")
    simulator.faults.clear()
    assert len(files(tg)) < 10
    assert KEPT in tg.ok(*TEN_DAYS)
    assert len(files(tg)) == 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_fetch_that_is_asked_to_stop_keeps_the_page_in_hand(tg: Terminal, simulator: Simulator, number: int) -> None:
    simulator.faults.add(Latency(method="messages.getHistory", ms=1_000, skip=1))
    command = [sys.executable, "-m", "tg_pipeline.cli.main", *TEN_DAYS]
    with subprocess.Popen(
        command, env=os.environ | {"FETCH_PAGES_IN_FLIGHT": "1"}, stderr=subprocess.PIPE, text=True
    ) as fetch:
        assert wait_until(lambda: len(history_calls(simulator)) == 2, 30)
        fetch.send_signal(number)
        _, said = fetch.communicate()
    assert fetch.returncode == 128 + number, said
    assert len(history_calls(simulator)) == 2
    stopped = re.search(r"busy: .* 6 of 10 days, 200 messages .* (\d+) of 2024-01-07\.", said)
    assert stopped, said
    progress = json.loads((tg.data / "progress.json").read_text())
    assert stopped[1] in json.dumps(progress), "progress.json does not know the last position"
    simulator.faults.clear()
    assert f"6 days {KEPT}" in tg.ok(*TEN_DAYS)
    assert len(history_calls(simulator)) == 5, "one looks whether the half-read day is seen as before"
    assert len(files(tg)) == 10


def test_a_flood_wait_ends_at_once_when_asked_to_stop(tg: Terminal, simulator: Simulator) -> None:
    simulator.faults.add(Error(method="messages.getHistory", error="FLOOD_WAIT_100", skip=2))
    command = [sys.executable, "-m", "tg_pipeline.cli.main", *TEN_DAYS]
    with subprocess.Popen(
        command, env=os.environ | {"FETCH_PAGES_IN_FLIGHT": "1"}, stderr=subprocess.PIPE, text=True
    ) as fetch:
        assert wait_until(lambda: len(history_calls(simulator)) == 3, 30)
        time.sleep(0.3)
        fetch.send_signal(signal.SIGTERM)
        _, said = fetch.communicate(timeout=80)
    assert fetch.returncode == 143, said
    assert "Traceback" not in said
    stopped = re.search(r" 200 messages .* (\d+) of 2024-01-07\. Waited \d{1,2} s; .* 100 s\.", said)
    assert stopped, said
    progress = json.loads((tg.data / "progress.json").read_text())
    (known,) = progress["chats"].values()
    assert known["days"] == {"2024-01-07": {"last_processed_msg_id": int(stopped[1])}}


@pytest.mark.parametrize(
    ("days", "kind", "named"),
    [
        (("--from", "2025-02-30"), UsageError, "--from: '2025-02-30' "),
        (("--from", "01.02.2025"), UsageError, "--from: '01.02.2025' "),
        (("--from", "2024-01-02", "--to", "2024-1-3"), UsageError, "--to: '2024-1-3' "),
        (("--from", "2024-01-02", "--to", "2024-01-01"), InputError, "from 2024-01-02 "),
        (("--from", "2024-01-02", "--to", "9999-01-01"), UsageError, "--to: 9999-01-01 "),
        ((), MissingParameter, "'--from'"),
    ],
)
def test_days_that_cannot_be_are_refused_before_anything_is_asked(
    tg: Terminal, simulator: Simulator, days: tuple[str, ...], kind: type[Exception], named: str
) -> None:
    assert named in said_by(tg.fails(kind, "fetch", "busy", *days))
    assert simulator.journal == []
    assert not tg.data.exists()


@pytest.mark.parametrize(
    ("name", "kind", "named"),
    [
        ("@nobody_at_all", ChatNotFound, "@nobody_at_all: "),
        ("Some title", InputError, "tg-pipeline chats add 'Some title'"),
        ("../x", InputError, "tg-pipeline chats add '../x'"),
        ("t.me/+AbCdEf", InputError, "'t.me/+AbCdEf'"),
        ("-1009999999999", ChatNotFound, "-1009999999999: "),
    ],
)
def test_a_chat_that_is_not_there_is_refused(tg: Terminal, name: str, kind: type[TgPipelineError], named: str) -> None:
    assert named in str(tg.fails(kind, "fetch", name, "--from", "2024-01-01"))
    assert files(tg) == {}


def test_a_day_that_is_held_back_exits_with_1_until_its_deletions_are_accepted(
    tg: Terminal, simulator: Simulator
) -> None:
    one_day = ("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-01")
    tg.ok(*one_day)
    messages = json.loads(files(tg)["discussions_2024-01-01.json"])["messages"]
    chat = chat_of(simulator)
    simulator.call(lambda: chat.delete([message["id"] for message in messages[:20]]))
    done = tg.run(*one_day)
    assert done.code == 1
    assert "1 day held back (2024-01-01): " in done.err
    assert " 20 messages " in done.err
    assert json.loads(files(tg)["discussions_2024-01-01.json"])["messages"] == messages
    assert tg.run("verify").code == 1
    assert b'days_held_back_total{chat="busy"} 1.0' in exposition(load_settings())[0]
    assert "; 20 messages found deleted" in tg.ok(*one_day, "--accept-deletions")
    tg.ok("verify")
    assert sum(m["deleted"] for m in json.loads(files(tg)["discussions_2024-01-01.json"])["messages"]) == 20
