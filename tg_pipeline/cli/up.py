"""`tg-pipeline up`: Dagster on your own settings."""

import os
import sys
from pathlib import Path

import click


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), default=3000, show_default=True, help="Of the web UI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the web UI listens on.")
def up(port: int, host: str) -> None:
    """Start Dagster's web UI, daemon and code location on your settings; Ctrl-C stops them.

    Prepares the instance home (DAGSTER_HOME) and lets as many runs fetch at once as there are sessions.
    """
    from tg_pipeline.bootstrap.settings import PROJECT_DIRECTORY, inherited_environment, load_settings
    from tg_pipeline.defs.instance import open_instance, set_pool_limits

    settings = load_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    link = settings.home / "dagster.yaml"
    if not link.exists():
        link.symlink_to(PROJECT_DIRECTORY / "dagster.yaml")
    with open_instance(settings) as instance:
        slots = set_pool_limits(instance, settings)
    click.echo(f"Runs that may fetch at once: {slots}.")
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited_environment().get("PATH", "")])
    environment = inherited_environment() | {"DAGSTER_HOME": str(settings.home), "PATH": path}
    workspace = str(PROJECT_DIRECTORY / "workspace.yaml")
    command = ["-m", "dagster", "dev", "--host", host, "--port", str(port), "--workspace", workspace]
    os.execve(sys.executable, [sys.executable, *command], environment)  # noqa: S606 - our own interpreter, no shell
