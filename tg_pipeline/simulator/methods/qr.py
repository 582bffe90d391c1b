"""Login by QR code (core.telegram.org/api/qr-login)."""

from datetime import UTC, datetime

from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.errors import RpcError
from tg_pipeline.simulator.methods.login import check_api, sign_in_key
from tg_pipeline.simulator.methods.registry import Call, handles
from tg_pipeline.simulator.telegram import Telegram


@handles(functions.auth.ExportLoginTokenRequest, anonymous=True)
def export_login_token(call: Call) -> object:
    """A token to show, or the login where the shown one was accepted meanwhile."""
    check_api(call)
    login = call.account.token_of(call.authorization)
    if login is None or not login.accepted:
        login = call.account.new_token(call.authorization, call.now)
        return tl.auth.LoginToken(datetime.fromtimestamp(login.expires, UTC), login.token)
    if call.connection.dc_id != call.server.home_dc:
        return tl.auth.LoginTokenMigrateTo(call.server.home_dc, login.token)
    del call.account.tokens[login.token]
    return tl.auth.LoginTokenSuccess(sign_in_key(call))


@handles(functions.auth.ImportLoginTokenRequest, anonymous=True)
def import_login_token(call: Call) -> object:
    """Log in by an accepted token of another data centre. Refuses with AUTH_TOKEN_INVALID or AUTH_TOKEN_EXPIRED."""
    login = call.account.tokens.get(call.request.token)
    if login is None or not login.accepted:
        raise RpcError(400, "AUTH_TOKEN_INVALID")
    del call.account.tokens[login.token]
    if login.expires <= call.now:
        raise RpcError(400, "AUTH_TOKEN_EXPIRED")
    return tl.auth.LoginTokenSuccess(sign_in_key(call))


@handles(functions.auth.AcceptLoginTokenRequest)
def accept_login_token(call: Call) -> object:
    """What a phone does that has scanned the code. Refuses as `import_login_token` does."""
    accept(call.server, call.request.token, call.now)
    now = datetime.fromtimestamp(call.now, UTC)
    return tl.Authorization(
        hash=1,
        device_model="simulated",
        platform="simulated",
        system_version="1",
        api_id=call.server.api_id,
        app_name="simulated",
        app_version="1",
        date_created=now,
        date_active=now,
        ip=call.server.host,
        country="NL",
        region="",
    )


def accept(server: Telegram, token: bytes, now: float) -> None:
    """Accept a token and notify the client that shows it. Raises RpcError where it is unknown or expired."""
    login = server.account.tokens.get(token)
    if login is None:
        raise RpcError(400, "AUTH_TOKEN_INVALID")
    if login.expires <= now:
        raise RpcError(400, "AUTH_TOKEN_EXPIRED")
    login.accepted = True
    update = tl.UpdateShort(tl.UpdateLoginToken(), datetime.fromtimestamp(now, UTC))
    for connection in login.authorization.connections:
        connection.send(update)
