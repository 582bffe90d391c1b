"""The whole promise on real channels: `python -m tg_pipeline_tests.real_exports DIR`.

DIR holds Telegram Desktop exports (`<username>/result.json`). The simulator serves them; the command line fetches each
over its whole range in one run, settings as shipped. Checked: every id and text in the right UTC day file, none twice;
at most ceil(N/100)+5 history calls and one resolve a chat; a second run leaves every file as it was, byte for byte;
`tg-pipeline verify` passes. Exits 0 when all holds or DIR is absent (it says so), 1 otherwise.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

from tg_pipeline.resilience.loopback import guarded_environment
from tg_pipeline_tests.unpaced import UNPACED

TG_PIPELINE = [sys.executable, "-m", "tg_pipeline.cli.main"]
SPARE_CALLS = 5

Posts = dict[str, dict[int, str]]
"""Text by message id by UTC day."""


def main(directory: Path) -> int:
    """Check every export; print a line each; give the exit code."""
    exports = sorted(path.parent for path in directory.glob("*/result.json"))
    if not exports:
        say(f"skipped: {directory} holds no exports")
        return 0
    with tempfile.TemporaryDirectory() as scratch, simulated(Path(scratch), exports) as environment:
        problems = [problem for export in exports for problem in check(export, Path(scratch), environment)]
        verify = run("verify", environment=environment)
        problems += [] if verify.returncode == 0 else [verify.stdout]
    say("\n".join(problems) or f"{len(exports)} passed, 0 failed")
    return 1 if problems else 0


@contextmanager
def simulated(scratch: Path, exports: list[Path]) -> Iterator[dict[str, str]]:
    """The simulator over the exports, and the environment that points the command line at it."""
    flags = [flag for export in exports for flag in ("--export", str(export))]
    command = [*TG_PIPELINE, "simulate", *flags, "--journal", str(scratch / "journal")]
    simulator = subprocess.Popen(command, stdout=subprocess.PIPE, env=guarded_environment(os.environ))
    try:
        assert simulator.stdout is not None
        ready = json.loads(simulator.stdout.readline())
        yield guarded_environment(
            os.environ
            | {
                "TELEGRAM_API_ID": str(ready["api_id"]),
                "TELEGRAM_API_HASH": ready["api_hash"],
                "TELEGRAM_SESSION": ready["session"],
                "TELEGRAM_SERVER_PUBLIC_KEY": ready["public_key"],
                "DAGSTER_HOME": str(scratch / "home"),
                "DATA_URI": str(scratch / "data"),
                "CHATS_FILE": str(scratch / "chats.yaml"),
                "XDG_STATE_HOME": str(scratch / "state"),
                **{key.upper(): str(value) for key, value in UNPACED.items()},
            }
        )
    finally:
        simulator.terminate()
        simulator.communicate()


def check(export: Path, scratch: Path, environment: dict[str, str]) -> Iterator[str]:
    """Fetch one chat twice; a sentence for everything that does not hold."""
    posts = posts_of(export)
    total = sum(map(len, posts.values()))
    days = sorted(posts)
    command = ("fetch", f"@{export.name}", "--from", days[0], "--to", days[-1])
    before = calls(scratch)
    fetch = run(*command, environment=environment)
    first_calls = calls(scratch) - before
    first_files = digests(scratch / "data" / export.name)
    say(f"{export.name}: {total} posts, {len(first_files)} files, {dict(first_calls)}")
    again = run(*command, environment=environment)
    yield from (f"{export.name}: fetch fails: {done.stderr}" for done in (fetch, again) if done.returncode != 0)
    found = files_of(scratch / "data" / export.name)
    if found != posts:
        wrong = sorted(day for day in found.keys() | posts.keys() if found.get(day) != posts.get(day))
        yield f"{export.name}: {len(wrong)} days differ from the export, the first is {wrong[0]}"
    if first_calls["messages.getHistory"] > ceil(total / 100) + SPARE_CALLS:
        yield f"{export.name}: {first_calls['messages.getHistory']} history calls for {total} posts"
    if first_calls["contacts.resolveUsername"] != 1:
        yield f"{export.name}: {first_calls['contacts.resolveUsername']} resolve calls"
    if digests(scratch / "data" / export.name) != first_files:
        yield f"{export.name}: the second run changed files"


def say(line: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(*arguments: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """A verb of the command line."""
    return subprocess.run([*TG_PIPELINE, *arguments], env=environment, capture_output=True, text=True, check=False)


def posts_of(export: Path) -> Posts:
    """What the export itself says."""
    posts: Posts = {}
    for message in json.loads((export / "result.json").read_text())["messages"]:
        day = datetime.fromtimestamp(int(message["date_unixtime"]), UTC).date().isoformat()
        posts.setdefault(day, {})[message["id"]] = plain_text(message["text"])
    return posts


def plain_text(text: str | list[Any]) -> str:
    """An export's text: a string, or pieces of it."""
    return text if isinstance(text, str) else "".join(p if isinstance(p, str) else p["text"] for p in text)


def files_of(chat: Path) -> Posts:
    """What the day files say; a message that stands twice is an error of its own."""
    posts: Posts = {}
    for path in sorted(chat.glob("*/*.json")):
        document = json.loads(path.read_text())
        if document["messages"]:
            posts[document["date"]] = {message["id"]: message["text"] for message in document["messages"]}
            assert len(posts[document["date"]]) == len(document["messages"]), f"{path}: a message stands twice"
    return posts


def digests(chat: Path) -> dict[str, str]:
    """SHA-256 of every file, by path."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(chat.glob("*/*.json"))}


def calls(scratch: Path) -> Counter[str]:
    """Requests the simulator has served so far, by method."""
    return Counter(json.loads(line)["method"] for line in (scratch / "journal").read_text().splitlines())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
