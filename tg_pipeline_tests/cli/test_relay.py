import io
import json
import os
import subprocess
import sys
import textwrap

import pytest

from tg_pipeline.cli.relay import EVENT_CHARACTERS, EXCEPTION_CHARACTERS, as_log_lines
from tg_pipeline_tests.contracts.schema_checks import check_log
from tg_pipeline_tests.hostile import HOSTILE, unprintable

OURS = {"ts": "2026-11-27T07:30:37.150Z", "level": "error", "event": "x", "logger": "tg_pipeline.x"}


def relayed(printed: str, stream: str = "stdout") -> list[tuple[str, str, str]]:
    """Level, logger and event of each line."""
    text = b"".join(as_log_lines(io.BytesIO(printed.encode()), stream)).decode()
    assert unprintable(text) == set()
    return [(line["level"], line["logger"], line["event"]) for line in check_log(text)]


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        ("Serving on http://x\n", [("info", "stdout", "Serving on http://x")]),
        ("cut off", [("info", "stdout", "cut off")]),
        ("\n\n", []),
        (json.dumps(OURS) + "\n", [("error", "tg_pipeline.x", "x")]),
        ('{"ts": broken\n', [("info", "stdout", '{"ts": broken')]),
        (
            (
                "\x1b[32m2026-11-28 00:33:11 +0000\x1b[0m - dagster.daemon - \x1b[34mERROR\x1b[0m - Failed - twice\n"
                "and more of it\n"
                "2026-11-28 00:33:11 +0000 - dagster - DEBUG - next\n"
            ),
            [
                ("error", "dagster.daemon", "Failed - twice"),
                ("error", "dagster.daemon", "and more of it"),
                ("debug", "dagster", "next"),
            ],
        ),
        ("tg-pipeline: It is refused.\n", [("error", "stdout", "It is refused.")]),
        (
            "/x/y.py:7: RuntimeWarning: It was never awaited\n  run(it)\n  next\n",
            [
                ("info", "stdout", "/x/y.py:7: RuntimeWarning: It was never awaited"),
                ("info", "stdout", "  next"),
            ],
        ),
    ],
)
def test_each_line_printed_is_a_line_of_the_log(printed: str, lines: list[tuple[str, str, str]]) -> None:
    assert relayed(printed) == lines


def test_what_is_printed_on_standard_error_is_a_warning() -> None:
    assert relayed("Traceback\n", "stderr") == [("warning", "stderr", "Traceback")]


BEGIN = "Traceback (most recent call last):"
HEAD = "2026-11-28 00:33:11 +0000 - dagster.daemon.X - ERROR - Caught an error\n"
FRAME = '  File "x.py", line 1, in f\n    raise\n    ^^^^^\n'
FIRST = f"{BEGIN}\n{FRAME}grpc.RpcError: <it ended:\n\tstatus = 1\n>\n"
CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"
SECOND = f"{BEGIN}\n{FRAME}dagster._core.Unreachable: Not reached. Code: UNKNOWN\n"
BY_DAGSTER = (
    f"dagster._core.Unreachable: Not reached.\n\nStack Trace:\n{FRAME}\nThe above exception was caused by "
    f"the following exception:\ngrpc.RpcError: ended\n\nStack Trace:\n{FRAME}"
)
OURS_LINE = json.dumps(OURS) + "\n"


@pytest.mark.parametrize(
    ("printed", "events", "error_types"),
    [
        (FIRST, ["grpc.RpcError: <it ended:"], ["RpcError"]),
        (f"{BEGIN}\n{FRAME}KeyError\n", ["KeyError"], ["KeyError"]),
        (HEAD + FIRST + CAUSED + SECOND, ["Caught an error"], ["Unreachable"]),
        (HEAD + BY_DAGSTER, ["Caught an error"], ["Unreachable"]),
        (HEAD + SECOND + HEAD + SECOND, ["Caught an error"] * 2, ["Unreachable"] * 2),
        (FIRST + SECOND, ["grpc.RpcError: <it ended:", "dagster._core.Unreachable: Not reached. Code: UNKNOWN"], None),
        (SECOND + OURS_LINE, ["dagster._core.Unreachable: Not reached. Code: UNKNOWN", "x"], None),
        (
            SECOND.replace("    raise\n", OURS_LINE),
            ["x", "dagster._core.Unreachable: Not reached. Code: UNKNOWN"],
            None,
        ),
        (f"{BEGIN}\n", [BEGIN], None),
    ],
)
def test_a_traceback_is_one_line_of_the_log(printed: str, events: list[str], error_types: list[str] | None) -> None:
    lines = check_log(b"".join(as_log_lines(io.BytesIO(printed.encode()), "stderr")).decode())
    assert [line["event"] for line in lines] == events
    assert error_types is None or [line["error_type"] for line in lines] == error_types
    reported = "".join(line["exception"] for line in lines if "exception" in line)
    assert all(part.strip() in reported for part in printed.replace(HEAD, "").replace(OURS_LINE, "").splitlines())


def test_a_long_traceback_keeps_its_beginning_and_its_end() -> None:
    printed = f"{BEGIN}\n{FRAME * 3_000}ValueError: {'x' * 2_000}\n"
    (line,) = check_log(b"".join(as_log_lines(io.BytesIO(printed.encode()), "stderr")).decode())
    assert len(line["event"]) == EVENT_CHARACTERS
    assert len(line["exception"]) < 2 * EXCEPTION_CHARACTERS
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("xxx")


def test_what_rests_is_logged_without_waiting_for_the_next_line() -> None:
    lines = as_log_lines(iter([*HEAD.encode().splitlines(keepends=True), None, b"next\n"]), "stdout")
    assert json.loads(next(lines))["event"] == "Caught an error"


def test_a_hostile_line_is_obeyed_by_no_terminal() -> None:
    assert len(relayed(HOSTILE)) == 1


PROGRAM = textwrap.dedent("""
    import subprocess, sys
    from tg_pipeline.cli.relay import relay_as_json

    relay_as_json(sys.argv[1])
    print("of the process")
    subprocess.run(["sh", "-c", "echo of a child; echo its error >&2"])
    print("long " * 100_000)
    raise RuntimeError("uncaught")
""")


def run(style: str, *, out: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM, style]
    return subprocess.run(command, env=os.environ, text=True, check=False, stdout=out, stderr=subprocess.PIPE)


def test_whatever_a_process_and_its_children_write_is_json_to_the_last_line() -> None:
    done = run("auto")
    assert done.returncode == 1
    out, err = check_log(done.stdout), check_log(done.stderr)
    assert sorted(line["event"] for line in out if len(line["event"]) < 100) == ["of a child", "of the process"]
    assert max(len(line["event"]) for line in out) > 400_000
    assert [line["event"] for line in err] == ["its error", "RuntimeError: uncaught"]


def test_where_sentences_are_asked_for_nothing_is_changed() -> None:
    done = run("console")
    assert {"of a child", "of the process"} <= set(done.stdout.splitlines())


def test_a_reader_that_goes_away_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run("json", out=writing).returncode == 1
    finally:
        os.close(writing)
