"""The 2FA password (core.telegram.org/api/srp)."""

import os

from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.errors import RpcError
from tg_pipeline.simulator.methods.registry import Call, handles


@handles(functions.account.GetPasswordRequest, anonymous=True)
def get_password(call: Call) -> object:
    """How to prove the password, with a fresh challenge where there is one."""
    if not (call.authorization.logged_in or call.authorization.password_needed):
        raise RpcError(401, "AUTH_KEY_UNREGISTERED")
    check = call.account.password_check
    if check is None:
        return tl.account.Password(tl.PasswordKdfAlgoUnknown(), tl.SecurePasswordKdfAlgoUnknown(), os.urandom(256))
    check.renew()
    return tl.account.Password(
        new_algo=check.algorithm,
        new_secure_algo=tl.SecurePasswordKdfAlgoUnknown(),
        secure_random=os.urandom(256),
        has_password=True,
        current_algo=check.algorithm,
        srp_B=check.challenge,
        srp_id=check.challenge_id,
    )


@handles(functions.auth.CheckPasswordRequest, anonymous=True)
def check_password(call: Call) -> object:
    """Finish a login that asked for the password. Refuses with SRP_ID_INVALID or PASSWORD_HASH_INVALID."""
    if not call.authorization.password_needed:
        raise RpcError(401, "AUTH_KEY_UNREGISTERED")
    check, proof = call.account.password_check, call.request.password
    if check is None or getattr(proof, "srp_id", None) != check.challenge_id:
        raise RpcError(400, "SRP_ID_INVALID")
    if not check.accepts(proof.A, proof.M1):
        raise RpcError(400, "PASSWORD_HASH_INVALID")
    call.authorization.log_in()
    return tl.auth.Authorization(user=call.world.self_user)
