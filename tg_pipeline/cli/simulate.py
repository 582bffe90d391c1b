"""`tg-pipeline simulate`: a local Telegram."""

from pathlib import Path

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
def simulate(
    exports: tuple[Path, ...], seed: int, port: int, latency_ms: float, faults: Path | None, journal: Path | None
) -> None:
    """Serve a local Telegram on 127.0.0.1 until SIGTERM or Ctrl-C.

    Prints one JSON line when ready: host, port, control, api_id, api_hash, session, public_key, chats. Any Telethon
    client can connect with these; tg-pipeline takes them as TELEGRAM_API_ID, TELEGRAM_API_HASH and TELEGRAM_SESSION.
    """
    from tg_pipeline.simulator.main import simulate as serve

    serve(exports=exports, seed=seed, port=port, latency_ms=latency_ms, faults=faults, journal=journal)
