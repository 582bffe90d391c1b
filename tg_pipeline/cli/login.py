"""`tg-pipeline login`: once per account, at a terminal."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from tg_pipeline.cli.options import echo
from tg_pipeline.contracts.text import printable

if TYPE_CHECKING:
    from tg_pipeline.telegram.login import DataCentre

MAX_PORT = 65_535


@click.command()
@click.option("--qr", is_flag=True, help="Scan a QR code with a phone that is logged in, instead of typing a code.")
@click.option("--name", default="main", show_default=True, help="Name of the session; an account may hold several.")
@click.option("--phone", help="Phone number as +<country code><number>; default: TELEGRAM_PHONE, or asked.")
@click.option(
    "--server", metavar="HOST:PORT", help="Log in at a test server, such as the simulator, instead of Telegram."
)
def login(*, qr: bool, name: str, phone: str | None, server: str | None) -> None:
    """Log in to Telegram and keep the session under the instance home, readable by you alone.

    A session file is a login as you: treat it as a password. Use each session on one machine only.
    """
    from upath import UPath

    from tg_pipeline.app.login import telegram_api
    from tg_pipeline.cli.running import run
    from tg_pipeline.machine.atomic import check_writable
    from tg_pipeline.settings import load_settings
    from tg_pipeline.telegram.login import Prompts, login_by_code, login_by_qr
    from tg_pipeline.telegram.sessions import check_session_name, save_session

    check_session_name(name)
    settings = load_settings()
    known = phone or (settings.telegram_phone.get_secret_value() if settings.telegram_phone else None)
    prompts = Prompts(
        phone=lambda: known or click.prompt("Phone number"),
        code=click.prompt,
        password=lambda text: str(click.prompt(text, hide_input=True)),
        show_qr=_show_qr,
    )
    check_writable(UPath(settings.home))
    by = login_by_qr if qr else login_by_code
    done = run(by(telegram_api(settings), prompts, _server(server)))
    path = save_session(settings.home / "sessions", name, done.secret)
    echo(f"Logged in as {printable(done.name)}. The session is kept in {path}.")


def _show_qr(url: str, expires: datetime) -> None:
    import segno

    segno.make(url, error="l").terminal(compact=True)
    echo(f"Scan it in Telegram: Settings > Devices > Link Desktop Device. Valid until {expires:%H:%M:%S} UTC.")


def _server(text: str | None) -> "DataCentre | None":
    from tg_pipeline.telegram.login import DataCentre

    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise click.BadParameter(f"{text!r} is not HOST:PORT.", param_hint="--server")
    return DataCentre(host, int(port))
