"""`tg-pipeline up`: Dagster on your own settings."""

import fcntl
import os
import signal
import socket
import sys
from pathlib import Path

import click

from tg_pipeline.contracts.errors import InputError


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), default=3000, show_default=True, help="Of the web UI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the web UI listens on.")
def up(port: int, host: str) -> None:
    """Start Dagster's web UI, daemon and code location on your settings; Ctrl-C stops them.

    Prepares the instance home (DAGSTER_HOME) and lets as many runs fetch at once as there are sessions.
    """
    from tg_pipeline.bootstrap.settings import PROJECT_DIRECTORY, inherited_environment, load_settings
    from tg_pipeline.defs.instance import open_instance, set_pool_limits
    from tg_pipeline.defs.webserver import write_webserver_url

    settings = load_settings()
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"DAGSTER_HOME: {settings.home} cannot be a directory: {error.strerror}.") from error
    _be_the_only_one(settings.home)
    _refuse_taken_port(host, port)
    link = settings.home / "dagster.yaml"
    if not link.exists():
        link.unlink(missing_ok=True)  # a link to a checkout that is gone
        link.symlink_to(PROJECT_DIRECTORY / "dagster.yaml")
    with open_instance(settings) as instance:
        slots = set_pool_limits(instance, settings)
    url = f"http://{_reachable(host)}:{port}"
    write_webserver_url(settings.home, url)
    click.echo(f"Runs that may fetch at once: {slots}. Dagster will be at {url} in a moment; Ctrl-C stops it.")
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited_environment().get("PATH", "")])
    environment = inherited_environment() | {"DAGSTER_HOME": str(settings.home), "PATH": path}
    workspace = str(PROJECT_DIRECTORY / "workspace.yaml")
    # `dagster dev` is what this project runs on purpose; it calls itself superseded at every start.
    quiet = ["-W", "ignore:Function `dev_command`:FutureWarning"]
    command = [*quiet, "-m", "dagster", "dev", "--host", host, "--port", str(port), "--workspace", workspace]
    if Path.cwd() == PROJECT_DIRECTORY:
        os.chdir(settings.home)  # else Dagster warns at every start that the project's dagster.yaml is but a template
    # A script's `up &` ignores SIGINT, and Dagster would have SIGTERM do what SIGINT does.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.execve(sys.executable, [sys.executable, *command], environment)  # noqa: S606 - our own interpreter, no shell


def _be_the_only_one(home: Path) -> None:
    """Hold the home's lock until this process ends, also as the Dagster it becomes. InputError where one runs."""
    descriptor = os.open(home / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode() or "unknown"
        os.close(descriptor)
        raise InputError(f"Dagster runs on {home} already (process {holder}). Stop it first: kill {holder}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library's own signature


def _refuse_taken_port(host: str, port: int) -> None:
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise InputError(
            f"Dagster cannot listen on {host}:{port} ({error.strerror}). Choose another: tg-pipeline up --port N"
        ) from None


def _reachable(host: str) -> str:
    """An address to call a server at that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
