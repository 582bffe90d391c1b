"""`tg-pipeline serve`: health and metrics over HTTP."""

import asyncio

import click

from tg_pipeline.cli.options import echo, reachable
from tg_pipeline.cli.running import run

PORT = 9464
"""The port that exporters of OpenTelemetry to Prometheus listen on."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65_535), default=PORT, show_default=True, help="Port to listen on.")
def serve(host: str, port: int) -> None:
    """Serve health and metrics over HTTP until Ctrl-C; `tg-pipeline up` does so by itself.

    /health answers as long as the process lives; /health/ready is 503 while nothing could be fetched, and says why;
    /health/details shows everything; /metrics is for Prometheus.
    """
    from tg_pipeline.cli.relay import relay_as_json
    from tg_pipeline.settings import load_settings
    from tg_pipeline.web.service import listening, serving

    settings = load_settings()
    relay_as_json(settings.log_format)
    with serving(settings, listening(host, port, "tg-pipeline serve --port")):
        echo(f"Health: http://{reachable(host)}:{port}/health/details; Ctrl-C stops it.")
        run(_for_ever())


async def _for_ever() -> None:
    await asyncio.Event().wait()
