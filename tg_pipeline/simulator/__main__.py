"""`python -m tg_pipeline.simulator`: the flags of `tg-pipeline simulate`."""

import sys
from pathlib import Path

import click

from tg_pipeline.simulator.errors import SimulatorError
from tg_pipeline.simulator.main import simulate

DIRECTORY = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--export", "exports", type=DIRECTORY, multiple=True, help="Telegram Desktop export to serve; repeatable."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the demo world, the sessions and the faults.")
@click.option("--port", default=0, help="Port to listen on; a free one if not given.")
@click.option("--latency-ms", default=0.0, show_default=True, help="Delay of every answer.")
@click.option("--journal", type=FILE, help="Append one JSON object a line for every request served.")
def main(exports: tuple[Path, ...], seed: int, port: int, latency_ms: float, journal: Path | None) -> None:
    """Serve a simulated Telegram on 127.0.0.1 until SIGTERM or Ctrl-C."""
    try:
        simulate(exports=exports, seed=seed, port=port, latency_ms=latency_ms, journal=journal)
    except SimulatorError as error:
        click.echo(f"simulator: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
