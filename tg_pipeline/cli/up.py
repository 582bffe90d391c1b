"""`tg-pipeline up`: Dagster on your own settings."""

import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from tg_pipeline.cli.options import echo, reachable
from tg_pipeline.cli.serve import PORT
from tg_pipeline.contracts.errors import InputError

if TYPE_CHECKING:
    from tg_pipeline.settings import Settings

log = logging.getLogger(__name__)


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), default=3000, show_default=True, help="Port of the web UI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the web UI listens on.")
@click.option(
    "--health-port",
    type=click.IntRange(0, 65_535),
    default=PORT,
    show_default=True,
    help="Port of health and metrics; 0: none.",
)
@click.option(
    "--simulator",
    is_flag=True,
    help="On a local Telegram with the demo's chats, new each time in .demo/1; the last is kept in .demo/1.before.",
)
def up(port: int, host: str, health_port: int, *, simulator: bool) -> None:
    """Start Dagster's web UI, daemon and code location on your settings; Ctrl-C stops them.

    Prepares the instance home (DAGSTER_HOME) and lets as many runs fetch at once as there are sessions. Starts each
    of Dagster's processes again that ends, and the code server where it no longer answers. Where a Redis is set,
    commands on the list tg_commands are carried out; while it is away they wait, or, after REDIS_OUTAGE_MAX_SECONDS,
    all of it stops. Health and metrics are served beside it, as `tg-pipeline serve` does alone.
    """
    from tg_pipeline.cli.relay import relay_as_json
    from tg_pipeline.settings import inherited_environment, load_settings

    if not simulator:
        settings = load_settings()
        if settings.telegram_proxy is not None:
            from tg_pipeline.app.login import telegram_proxy

            telegram_proxy(settings)  # else each run would fail by itself
        relay_as_json(settings.log_format)
        _serve(settings, inherited_environment(), host, port, health_port)
        return
    from tg_pipeline.cli.showcase.stage import own_directory, running

    relay_as_json("auto")  # the default, which all of the demo's settings have
    with own_directory() as directory, running(directory, []) as stage:
        echo(f"A local Telegram is running; the settings to talk with it: set -a; . {stage.write_env_file()}; set +a")
        environment, look = stage.environment(), stage.start_again_what_ended
        _serve(stage.settings, environment, host, port, health_port, look)


def _serve(
    settings: "Settings",
    environment: Mapping[str, str],
    host: str,
    port: int,
    health_port: int,
    look: Callable[[], None] = lambda: None,
) -> None:
    from tg_pipeline.cli.supervise import Service, Supervisor
    from tg_pipeline.dagster_client.instance import open_instance, set_pool_limits
    from tg_pipeline.dagster_client.services import CodeServer, daemon_command, webserver_command
    from tg_pipeline.dagster_client.webserver import is_up, write_webserver_url
    from tg_pipeline.settings import PROJECT_DIRECTORY
    from tg_pipeline.web.service import listening, serving

    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"DAGSTER_HOME: {settings.home} cannot be a directory: {error.strerror}.") from error
    _be_the_only_one(settings.home)
    listener = listening(host, health_port, "tg-pipeline up --health-port") if health_port else None
    _refuse_taken_port(host, port)
    link = settings.home / "dagster.yaml"
    if not link.exists():
        link.unlink(missing_ok=True)  # a link to a checkout that is gone
        link.symlink_to(PROJECT_DIRECTORY / "dagster.yaml")
    with open_instance(settings) as instance:
        slots = set_pool_limits(instance, settings)
    url = f"http://{reachable(host)}:{port}"
    write_webserver_url(settings.home, url)
    echo(f"Runs that may fetch at once: {slots}. Dagster will be at {url} in a moment; Ctrl-C stops it.")
    if listener:
        service = f"http://{reachable(host)}:{health_port}"
        metrics = f", metrics: {service}/metrics" if settings.serves_metrics else ""
        echo(f"Health: {service}/health/details{metrics}")
    path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    # Dagster logs every sensor tick at INFO, which floods the console.
    level = "info" if settings.log_level == "DEBUG" else "warning"
    with TemporaryDirectory(prefix="tg-") as directory, serving(settings, listener) if listener else nullcontext():
        code = CodeServer(Path(directory))
        workspace = code.workspace()
        services = [
            Service(
                *("code server", code.command(level), code.is_listening, code.answers, code.is_loading),
                clean_up=code.end_inner,
                clean_up_idle=partial(code.end_inner, idle=True),
            ),
            Service("daemon", daemon_command(level, workspace)),
            Service("webserver", webserver_command(host, port, level, workspace), is_ready=partial(is_up, url)),
        ]
        # DAGSTER_IS_DEV_CLI: as `dagster dev` sets it, an error of the definitions is logged once, and briefly.
        # TMPDIR: a code server that is killed leaves its socket.
        own = {"DAGSTER_IS_DEV_CLI": "1", "DAGSTER_HOME": str(settings.home), "PATH": path, "TMPDIR": directory}
        supervisor = Supervisor(services, {**environment, **own}, Path.cwd())
        supervisor.run(_watch(settings, look), ready=lambda: log.info("Dagster is ready: %s", url))


def _watch(settings: "Settings", look: Callable[[], None]) -> Callable[[], None]:
    """What to look at while Dagster runs: Redis too, where one is set."""
    if settings.redis is None:
        return look
    from tg_pipeline.app.commands import command_queue
    from tg_pipeline.cli.supervise import RedisWatch

    redis = RedisWatch(command_queue(settings).counts, settings.redis_outage_max_seconds)

    def both() -> None:
        look()
        redis.look()

    return both


def _be_the_only_one(home: Path) -> None:
    """Hold the home's lease until this process ends. InputError where one runs."""
    from tg_pipeline.app.running import LEASE
    from tg_pipeline.contracts.errors import LeaseUnavailable
    from tg_pipeline.machine.lease import hold_until_exit, signer

    try:
        hold_until_exit(home, LEASE, what=str(home), wait_seconds=0.5)
    except LeaseUnavailable:
        holder = signer(home, LEASE) or "unknown"
        raise InputError(f"Dagster runs on {home} already (process {holder}). Stop it first: kill {holder}") from None


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
