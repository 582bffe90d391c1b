"""auth.*: login by code, logging out, and carrying a login to another data centre."""

import secrets

from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.account import LOGIN_CODE
from tg_pipeline.simulator.errors import RpcError
from tg_pipeline.simulator.methods.registry import Call, handles


def check_api(call: Call) -> None:
    """Refuse with API_ID_INVALID what does not name the simulator's application."""
    server = call.server
    if (call.request.api_id, call.request.api_hash) != (server.api_id, server.api_hash):
        raise RpcError(400, "API_ID_INVALID")


def sign_in_key(call: Call) -> tl.auth.Authorization:
    """Log the call's key in, or refuse with SESSION_PASSWORD_NEEDED where a password is still to come."""
    if call.account.password:
        call.authorization.password_needed = True
        raise RpcError(401, "SESSION_PASSWORD_NEEDED")
    call.authorization.log_in()
    return tl.auth.Authorization(user=call.world.self_user)


@handles(functions.auth.SendCodeRequest, anonymous=True)
def send_code(call: Call) -> object:
    """A code "arrives" in the app; it is always LOGIN_CODE. Refuses with PHONE_NUMBER_INVALID or PHONE_MIGRATE_X."""
    check_api(call)
    phone = "".join(character for character in call.request.phone_number if character.isdigit())
    if not 7 <= len(phone) <= 15:
        raise RpcError(400, "PHONE_NUMBER_INVALID")
    if call.connection.dc_id != call.server.home_dc:
        raise RpcError(303, f"PHONE_MIGRATE_{call.server.home_dc}")
    return _sent(call, phone)


@handles(functions.auth.ResendCodeRequest, anonymous=True)
def resend_code(call: Call) -> object:
    """A new hash in the place of the old. Refuses with PHONE_CODE_EXPIRED."""
    phone, _ = call.account.sent_codes.pop(call.request.phone_code_hash, (None, 0))
    if phone is None:
        raise RpcError(400, "PHONE_CODE_EXPIRED")
    return _sent(call, phone)


def _sent(call: Call, phone: str) -> tl.auth.SentCode:
    code_type = tl.auth.SentCodeTypeApp(length=len(LOGIN_CODE))
    return tl.auth.SentCode(type=code_type, phone_code_hash=call.account.send_code(phone, call.now))


@handles(functions.auth.SignInRequest, anonymous=True)
def sign_in(call: Call) -> object:
    """Refuses with PHONE_CODE_EMPTY, PHONE_CODE_EXPIRED, PHONE_CODE_INVALID or SESSION_PASSWORD_NEEDED."""
    request, account = call.request, call.account
    if not request.phone_code:
        raise RpcError(400, "PHONE_CODE_EMPTY")
    phone, expires = account.sent_codes.get(request.phone_code_hash, ("", 0.0))
    if expires <= call.now:
        account.sent_codes.pop(request.phone_code_hash, None)
        raise RpcError(400, "PHONE_CODE_EXPIRED")
    if request.phone_code != LOGIN_CODE or request.phone_number.lstrip("+") != phone:
        raise RpcError(400, "PHONE_CODE_INVALID")
    del account.sent_codes[request.phone_code_hash]
    if phone != account.phone:
        return tl.auth.AuthorizationSignUpRequired()
    return sign_in_key(call)


@handles(functions.auth.LogOutRequest)
def log_out(call: Call) -> object:
    """The key is worth nothing afterwards."""
    call.authorization.log_out()
    return tl.auth.LoggedOut()


@handles(functions.auth.ExportAuthorizationRequest)
def export_authorization(call: Call) -> object:
    """A one-time secret that logs a key of another data centre in. Refuses with DC_ID_INVALID."""
    if call.request.dc_id not in call.server.ports or call.request.dc_id == call.connection.dc_id:
        raise RpcError(400, "DC_ID_INVALID")
    secret = secrets.token_bytes(128)
    call.account.transfers[call.world.self_user.id] = secret
    return tl.auth.ExportedAuthorization(call.world.self_user.id, secret)


@handles(functions.auth.ImportAuthorizationRequest, anonymous=True)
def import_authorization(call: Call) -> object:
    """Log a key in by such a secret. Refuses with AUTH_BYTES_INVALID."""
    if call.account.transfers.pop(call.request.id, None) != call.request.bytes:
        raise RpcError(400, "AUTH_BYTES_INVALID")
    call.authorization.log_in()
    return tl.auth.Authorization(user=call.world.self_user)
