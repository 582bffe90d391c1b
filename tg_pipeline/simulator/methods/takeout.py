"""account.*: takeout sessions for bulk export (core.telegram.org/api/takeout)."""

import secrets

from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.errors import RpcError
from tg_pipeline.simulator.methods.registry import Call, handles


@handles(functions.account.InitTakeoutSessionRequest)
def init_takeout(call: Call) -> object:
    """Open a takeout session; requests name it with invokeWithTakeout."""
    takeout_id = secrets.randbits(62)
    call.account.takeouts.add(takeout_id)
    return tl.account.Takeout(takeout_id)


@handles(functions.account.FinishTakeoutSessionRequest)
def finish_takeout(call: Call) -> object:
    """Close the takeout session that the call came in. Refuses with TAKEOUT_REQUIRED outside of one."""
    if call.takeout_id is None:
        raise RpcError(403, "TAKEOUT_REQUIRED")
    call.account.takeouts.discard(call.takeout_id)
    return True
