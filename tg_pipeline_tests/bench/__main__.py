"""`python -m tg_pipeline_tests.bench [--only GROUP]`: prints tables and writes them to bench.json, one object a group.

BENCH_QUICK=1 takes sizes so small that the numbers mean nothing: for tests of the benchmarks themselves.
"""

import os
from collections.abc import Callable
from pathlib import Path

import click
import orjson
from rich.console import Console

from tg_pipeline_tests.bench import bulk, commands, idle, many_chats, observability, rate, stack
from tg_pipeline_tests.bench.report import Group

GROUPS: dict[str, Callable[..., Group]] = {
    "bulk": bulk.measure,
    "rate": rate.measure,
    "stack": stack.measure,
    "commands": commands.measure,
    "observability": observability.measure,
    "idle": idle.measure,
    "chats_at_once": many_chats.chats_at_once,
    "quiet_chats": many_chats.quiet_chats,
    "definitions": many_chats.definitions,
}


@click.command()
@click.option("--only", type=click.Choice(sorted(GROUPS)), help="Run this group only.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), default="bench.json", show_default=True)
def main(only: str | None, output: Path) -> None:
    """Run the benchmarks."""
    quick = bool(os.environ.get("BENCH_QUICK"))
    console = Console(width=140)
    found = {}
    for name in [only] if only else GROUPS:
        group = GROUPS[name](quick=quick)
        group.show(console)
        found[name] = group.as_json()
        for picture, content in group.pictures.items():
            output.with_name(picture).write_bytes(content)
        output.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    main()
