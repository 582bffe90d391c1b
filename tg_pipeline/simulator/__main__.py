"""`python -m tg_pipeline.simulator`: the flags of `tg-pipeline simulate`."""

import sys
from pathlib import Path
from typing import Any

import click

from tg_pipeline.contracts.errors import InputError
from tg_pipeline.simulator.main import simulate

DIRECTORY = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--export", "exports", type=DIRECTORY, multiple=True, help="Telegram Desktop export to serve; repeatable."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the demo world and of the sessions.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; a free one if not given.")
@click.option(
    "--latency-ms", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Delay of every answer."
)
@click.option("--faults", type=FILE, help="Fault script, JSON; see docs/simulator.md.")
@click.option("--journal", type=FILE, help="Append one JSON object a line for every request served.")
@click.option("--password", help="Second factor that logging in asks for; none if not given.")
def main(**arguments: Any) -> None:
    """Serve a simulated Telegram on 127.0.0.1 until SIGTERM or Ctrl-C."""
    try:
        simulate(**arguments)
    except InputError as error:
        click.echo(f"simulator: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
