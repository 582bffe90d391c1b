"""What the simulated Telegram answers, one module for each family of methods.

A handler takes a `Call` and returns the answer: a TL object, a Bool, a list, or bytes that are packed already.
It refuses by raising RpcError.
"""

from tg_pipeline.simulator.methods import (
    by_id,
    config,
    dialogs,
    files,
    history,
    login,
    password,
    peers,
    qr,
    takeout,
    threads,
    updates,
)
from tg_pipeline.simulator.methods.registry import HANDLERS, Call, Handler

__all__ = [
    "HANDLERS",
    "Call",
    "Handler",
    "by_id",
    "config",
    "dialogs",
    "files",
    "history",
    "login",
    "password",
    "peers",
    "qr",
    "takeout",
    "threads",
    "updates",
]
