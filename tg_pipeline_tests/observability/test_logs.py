"""Lines of the log: their form, what they are about, and what they never say."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from tg_pipeline.app.process import keep_logs, secrets_of
from tg_pipeline.contracts.text import printable_lines
from tg_pipeline.observability import logs
from tg_pipeline.observability.logs import about, hide, log_to
from tg_pipeline.settings import Settings
from tg_pipeline_tests.contracts.schema_checks import check_log
from tg_pipeline_tests.hostile import HOSTILE, unprintable

log = logging.getLogger("tg_pipeline.somewhere")
SESSION = "1" + "Ab-_9" * 70 + "=="


@dataclass(frozen=True)
class Output:
    """Standard output."""

    capsys: pytest.CaptureFixture[str]

    def getvalue(self) -> str:
        return self.capsys.readouterr().out


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Iterator[Output]:
    """With logging as it was before in the end."""
    ours, factory, telethon = logging.getLogger(logs.OURS), logging.getLogRecordFactory(), logging.getLogger("telethon")
    before, level, their_level = list(ours.handlers), ours.level, telethon.level
    yield Output(capsys)
    for handler in [handler for handler in ours.handlers if handler not in before]:
        ours.removeHandler(handler)
        handler.close()
    ours.setLevel(level)
    telethon.setLevel(their_level)
    logging.setLogRecordFactory(factory)
    logs._hide([])


@contextmanager
def nobody_logging() -> Iterator[None]:
    """As in a process where nobody has set up logging: pytest has."""
    root = logging.getLogger()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(root, "handlers", [])
        yield


def first_log_to(*arguments: Any, **named: Any) -> None:
    with nobody_logging():
        log_to(*arguments, **named)


def written(output: Output) -> list[dict[str, object]]:
    return check_log(output.getvalue())


def test_every_level_is_a_line_of_the_schema(output: Output) -> None:
    first_log_to("stdout", "DEBUG", "json", everything=False)
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log, level)("%s: %d", level, 7)
    assert [(line["level"], line["event"], line["logger"]) for line in written(output)] == [
        (level, f"{level}: 7", "tg_pipeline.somewhere") for level in ("debug", "info", "warning", "error", "critical")
    ]


def test_a_field_without_a_value_is_left_out(output: Output) -> None:
    first_log_to("stdout", "INFO", "json", everything=False)
    log.info("rejected", extra=dict.fromkeys(logs.EXTRA))
    (line,) = written(output)
    assert not line.keys() & set(logs.EXTRA)


def test_what_is_below_the_level_is_not_said(output: Output) -> None:
    first_log_to("stdout", "WARNING", "auto", everything=False)
    log.info("quiet")
    log.warning("loud")
    assert [line["event"] for line in written(output)] == ["loud"]


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_line_may_be_of_any_text_and_a_terminal_obeys_none_of_it(output: Output, style: logs.Style) -> None:
    first_log_to("stdout", "INFO", style, everything=False)
    texts = ["привет \u2028 мир", 'a "b"\nc', "100 % of {it}", "half a pair: \ud800", HOSTILE]
    for text in texts:
        log.info("%s", text)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("Failed.")
    raw = output.getvalue()
    assert unprintable(raw) == set()
    if style == "json":
        assert [line["event"] for line in check_log(raw)] == [*map(printable_lines, texts), "Failed."]


def test_what_is_known_where_work_begins_is_said_in_whatever_it_comes_to(output: Output) -> None:
    first_log_to("stdout", "INFO", "json", everything=False)

    async def work() -> None:
        await asyncio.to_thread(log.info, "in a thread")
        await asyncio.create_task(asyncio.sleep(0))
        log.info("in a task", extra={"duration_ms": 12, "error_type": "NetworkError", "unknown": "x"})

    with about(chat="busy", run_id="r", command_id=None):
        asyncio.run(work())
    log.info("outside")
    in_thread, in_task, outside = written(output)
    assert (in_thread["chat"], in_thread["run_id"]) == ("busy", "r")
    assert "command_id" not in in_thread
    assert (in_task["chat"], in_task["duration_ms"], in_task["error_type"]) == ("busy", 12, "NetworkError")
    assert outside.keys() == {"ts", "level", "event", "logger"}


def test_an_unforeseen_error_is_told_with_its_traceback_and_without_secrets(output: Output) -> None:
    first_log_to("stdout", "INFO", "json", secrets=["hunter2!"], everything=False)
    try:
        raise ValueError("it was hunter2!")
    except ValueError:
        log.exception("failed")
    (line,) = written(output)
    assert line["error_type"] == "ValueError"
    assert "it was [hidden]" in str(line["exception"])
    assert "hunter2!" not in str(line["exception"]).replace('"it was hunter2!"', "")  # but in the line of source


def test_set_up_anew_a_line_is_written_once(output: Output) -> None:
    for _ in range(3):
        first_log_to("stdout", "INFO", "json", everything=False)
    log.info("once")
    assert len(written(output)) == 1


def test_where_somebody_has_set_up_logging_theirs_is_kept(output: Output, caplog: pytest.LogCaptureFixture) -> None:
    log_to("stdout", "INFO", "json", everything=False)
    log.info("heard")
    assert written(output) == []
    assert caplog.messages == ["heard"]


def test_at_a_terminal_it_is_a_sentence(output: Output) -> None:
    first_log_to("stdout", "INFO", "console", secrets=["hunter2!"], everything=False)
    log.warning("Waiting, says %s", "hunter2!")
    said = output.getvalue()
    assert "WARNING" in said
    assert "Waiting, says [hidden]" in said
    assert not said.startswith("{")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"session {SESSION}.", "session [hidden]."),
        ("redis://me:hunter2@localhost:6379/0 is away", "redis://[hidden]localhost:6379/0 is away"),
        ("code sent to +49123456789", "code sent to [hidden]"),
        (f"api_hash={'0123456789abcdef' * 2}", "api_hash=[hidden]"),
        (f"{{'api_hash': '{'0123456789abcdef' * 2}'}}", "{'api_hash': '[hidden]'}"),
        (f'{{"api_hash": "{"0123456789abcdef" * 2}"}}', '{"api_hash": "[hidden]"}'),
        ("2024-01-01T00:00:00+00:00", "2024-01-01T00:00:00+00:00"),
        ("id -1001234567890 in 12345678 calls", "id -1001234567890 in 12345678 calls"),
        ("https://t.me/name", "https://t.me/name"),
        ("0b9d5b5e-5f0c-4c43-9b0a-4c6c8f6f6d11", "0b9d5b5e-5f0c-4c43-9b0a-4c6c8f6f6d11"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_and_nothing_else(text: str, hidden: str) -> None:
    assert hide(text) == hidden


def test_every_secret_of_the_settings_is_known(output: Output) -> None:
    given: dict[str, Any] = {
        "telegram_api_hash": "0123456789abcdef" * 2,
        "telegram_phone": "+49123456789",
        "telegram_session": "one-session",
        "telegram_sessions": "two-session, three-session",
        "telegram_proxy": "mtproto://ddaabb@host:1",
        "redis_url": "redis://:p%40ss@host:1/0",
        "pushgateway_url": "http://me:word1@host",
        "loki_url": None,
        "otel_exporter_otlp_headers": "authorization=Bearer%20tok-en",
    }
    settings = Settings(_env_file=None, **given)
    with nobody_logging():
        keep_logs(settings, "stdout", everything=False)
    reported = ["49123456789", "one-session", "three-session", "ddaabb", "p@ss", "p%40ss", "word1", "Bearer tok-en"]
    assert set(reported) <= secrets_of(settings)
    for secret in [*reported, given["telegram_api_hash"]]:
        log.info("It says %s.", secret, extra={"chat": secret})
    assert {(line["event"], line["chat"]) for line in written(output)} == {("It says [hidden].", "[hidden]")}


def test_no_secret_setting_is_forgotten() -> None:
    """A setting that is added as a secret is hidden without anybody thinking of it."""
    names = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    for name in names:
        settings = Settings(_env_file=None).model_copy(update={name: SecretStr("http://me:hunter2@host")})
        assert any("hunter2" in secret for secret in secrets_of(settings)), name


def test_other_libraries_speak_of_what_is_wrong_only(output: Output) -> None:
    first_log_to("stdout", "DEBUG", "json", everything=False)
    logging.getLogger("telethon.network").warning("Server sent a very old message %s", "text of a message")
    assert not logging.getLogger("telethon.network").isEnabledFor(logging.WARNING)
    assert not logging.getLogger("urllib3").isEnabledFor(logging.INFO)
    assert written(output) == []
