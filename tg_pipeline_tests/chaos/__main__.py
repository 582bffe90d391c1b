"""`python -m tg_pipeline_tests.chaos --seeds 0-199`: a line for each schedule; exit code 1 if an invariant broke."""

import sys

import click

from tg_pipeline_tests.chaos.play import play
from tg_pipeline_tests.chaos.schedule import draw, draw_for_dagster


@click.command()
@click.option("--seed", type=int, help="Play this one.")
@click.option("--seeds", metavar="A-B", help="Play all from A to B, both included.")
@click.option("--dagster", is_flag=True, help="Play those of the whole of Dagster.")
@click.option(
    "--break", "broken", type=click.Choice(["", "memory"]), default="", help="Play a build known to be wrong."
)
def main(*, seed: int | None, seeds: str | None, dagster: bool, broken: str) -> None:
    """Play schedules of faults and say what came of them."""
    if dagster and broken:
        raise click.UsageError("--break plays fetches that are processes of their own; leave out --dagster.")
    first, _, last = (seeds or f"{seed or 0}-{seed or 0}").partition("-")
    failed = 0
    for number in range(int(first), int(last or first) + 1):
        played = play((draw_for_dagster if dagster else draw)(number), broken=broken)
        failed += bool(played.broken)
        click.echo(str(played))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
