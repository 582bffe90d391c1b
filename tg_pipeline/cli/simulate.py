"""`tg-pipeline simulate`: a local Telegram."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click


@click.command()
@click.option(
    "--export",
    "exports",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Serve a Telegram Desktop export: a folder with result.json. May be given several times.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the synthetic world served when there is no export."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    show_default=True,
    help="To listen on at 127.0.0.1; 0 is any free one.",
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
@click.option("--timezone", help="Where the exports were made, as Europe/Berlin: for old ones without UTC dates.")
def simulate(timezone: str | None, **options: Any) -> None:
    """Serve a local Telegram on 127.0.0.1 until SIGTERM or Ctrl-C.

    Prints one JSON line when ready: host, port, control, api_id, api_hash, session, public_key, chats. Any Telethon
    client can connect with these; tg-pipeline takes them as TELEGRAM_API_ID, TELEGRAM_API_HASH and TELEGRAM_SESSION.
    """
    from tg_pipeline.simulator.main import simulate as serve

    serve(timezone=_zone(timezone) if timezone else None, **options)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise click.BadParameter(
            f"{name!r} is no time zone, such as Europe/Berlin.", param_hint="--timezone"
        ) from error
