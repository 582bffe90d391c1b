"""`tg-pipeline simulate`: a local Telegram."""

from pathlib import Path
from typing import Any

import click

from tg_pipeline.cli.options import Zone


@click.command()
@click.option(
    "--export",
    "exports",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Serve a Telegram Desktop export: a folder with result.json. May be given several times.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the synthetic world, served without exports.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    show_default=True,
    help="To listen on at 127.0.0.1; 0 is any free one.",
)
@click.option(
    "--control-port",
    type=click.IntRange(0, 65_535),
    default=0,
    show_default=True,
    help="Port of the control server; 0 is any free one.",
)
@click.option("--latency-ms", type=click.FloatRange(min=0), default=0, show_default=True, help="Delay of every answer.")
@click.option(
    "--faults", type=click.Path(path_type=Path), help="A JSON file that scripts faults; see docs/simulator.md."
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    help="Write every request served to this file, one JSON object a line.",
)
@click.option("--password", help="Second factor that a login asks for; none if not given.")
@click.option("--timezone", type=Zone(), help="Where the exports were made, for old ones without UTC dates.")
def simulate(**options: Any) -> None:
    """Serve a local Telegram on 127.0.0.1 until SIGTERM or Ctrl-C.

    Prints one JSON line when ready: host, port, control, api_id, api_hash, session, phone, login_code, password,
    public_key, chats. Any Telethon client can connect with these; tg-pipeline takes them as TELEGRAM_API_ID,
    TELEGRAM_API_HASH, TELEGRAM_SESSION and TELEGRAM_SERVER_PUBLIC_KEY.
    """
    from tg_pipeline.simulator.main import simulate as serve

    serve(**options)
