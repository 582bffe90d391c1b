"""The service in a thread of this process, so that signals stay with the caller."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Final

import uvicorn

from tg_pipeline.contracts.errors import InputError
from tg_pipeline.settings import Settings
from tg_pipeline.web.app import app

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5


class ServiceError(InputError):
    """The service did not come up."""


def listening(host: str, port: int, flag: str) -> socket.socket:
    """A socket that listens there, before anything else is begun. An InputError that names `flag` where it cannot."""
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise InputError(
            f"Health and metrics cannot be served at {host}:{port} ({error.strerror}). Choose another port: {flag} N"
        ) from None
    return listener


@contextmanager
def serving(settings: Settings, listener: socket.socket) -> Iterator[None]:
    """Answer at the socket, which is closed in the end, while the block runs."""
    config = uvicorn.Config(
        app(settings),
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="service", daemon=True)
    with listener:
        thread.start()
        try:
            _await_start(server, thread)
            yield
        finally:
            server.should_exit = True
            thread.join(2 * STOP_SECONDS)


def _await_start(server: uvicorn.Server, thread: Thread) -> None:
    give_up = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > give_up:
            raise ServiceError("The service of health and metrics did not start; the log says why.")
        time.sleep(0.01)
