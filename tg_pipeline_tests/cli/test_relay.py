import io
import json
import os
import subprocess
import sys
import textwrap

import pytest

from tg_pipeline.cli.relay import as_log_lines
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
                "Traceback (most recent call last):\n  raise\n"
                "2026-11-28 00:33:11 +0000 - dagster - DEBUG - next\n"
            ),
            [
                ("error", "dagster.daemon", "Failed - twice"),
                ("error", "dagster.daemon", "Traceback (most recent call last):"),
                ("error", "dagster.daemon", "  raise"),
                ("debug", "dagster", "next"),
            ],
        ),
        ("tg-pipeline: It is refused.\n", [("error", "stdout", "It is refused.")]),
    ],
)
def test_each_line_printed_is_a_line_of_the_log(printed: str, lines: list[tuple[str, str, str]]) -> None:
    assert relayed(printed) == lines


def test_what_is_printed_on_standard_error_is_a_warning() -> None:
    assert relayed("Traceback\n", "stderr") == [("warning", "stderr", "Traceback")]


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
    assert (err[0]["event"], err[-1]["event"]) == ("its error", "RuntimeError: uncaught")


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
