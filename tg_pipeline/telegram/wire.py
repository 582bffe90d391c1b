"""From a session string to a connection that sends one request and gives one answer, with nothing hidden in between.

Telethon's client is built and configured here, but requests go to its sender directly: `TelegramClient.connect` costs
four calls where one will do, and `TelegramClient._call` sleeps on floods and server errors, remembers floods of other
chats, and on USER_MIGRATE discards the login (mtproto-facts: "What Telethon does by itself"). See ADR 0005.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.network import connection as transports
from telethon.sessions import StringSession
from telethon.tl.alltlobjects import LAYER
from telethon.tl.functions import InvokeWithLayerRequest, InvokeWithoutUpdatesRequest
from telethon.tl.functions.help import GetConfigRequest
from telethon.tl.tlobject import TLRequest

from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import NetworkError, SessionMissing, SettingsError, TgPipelineError
from tg_pipeline.observability import metrics
from tg_pipeline.telegram.errors import LOGIN_HINT, NotDecoded, is_connection_fault, reason, translate
from tg_pipeline.telegram.proxy import Proxy

CONNECT_TIMEOUT_SECONDS = 10

log = logging.getLogger(__name__)
SILENT = logging.getLogger(f"{__name__}.telethon")
SILENT.setLevel(logging.CRITICAL + 1)
"""Telethon logs whole requests, phone numbers and API hashes included. Its troubles reach people as our errors."""


@dataclass(frozen=True, slots=True)
class Api:
    """How this program introduces itself to Telegram. The hash is a secret and stays out of the repr."""

    id: int
    hash: str
    proxy: Proxy | None = None

    def __repr__(self) -> str:
        return f"Api(id={self.id}, hash=**********)"


def trust_server_key(pem: str) -> None:
    """Accept a test server's RSA key in handshakes of this process, beside Telegram's own."""
    try:
        rsa.add_key(pem.encode(), old=False)
    except Exception as error:
        raise SettingsError(
            "TELEGRAM_SERVER_PUBLIC_KEY: not an RSA public key in PEM form.", field="TELEGRAM_SERVER_PUBLIC_KEY"
        ) from error


def session_from(text: str) -> StringSession:
    """Read a session string; SessionMissing where it is none."""
    try:
        session = StringSession(text)
    except Exception as error:
        raise SessionMissing(f"The session string is malformed. {LOGIN_HINT}") from error
    if session.auth_key is None:
        raise SessionMissing(f"The session string is empty. {LOGIN_HINT}")
    return session


def build_client(session: StringSession, api: Api, *, for_login: bool = False) -> TelegramClient:
    """A Telethon client with all of its own sleeping, retrying and reconnecting switched off.

    `for_login` lets it follow a PHONE_MIGRATE once, and hear of the scanned QR code.
    """
    return TelegramClient(
        session,
        api.id,
        api.hash,
        connection=api.proxy.transport if api.proxy else transports.ConnectionTcpFull,
        proxy=api.proxy.address if api.proxy else None,
        timeout=CONNECT_TIMEOUT_SECONDS,
        request_retries=int(for_login),
        connection_retries=0,
        retry_delay=0,
        auto_reconnect=False,
        flood_sleep_threshold=0,
        raise_last_call_error=True,
        receive_updates=for_login,
        base_logger=SILENT,
    )


def unreached(session: StringSession, api: Api, error: BaseException) -> NetworkError:
    """Says where to and what to check. Telethon only logs why it could not connect."""
    check = "Check TELEGRAM_PROXY, and that the proxy runs." if api.proxy else "Check that this machine reaches it."
    return NetworkError(f"The connection to Telegram {_way(session, api)} failed ({reason(error)}). {check}")


def _way(session: StringSession, api: Api) -> str:
    return f"through the proxy {api.proxy.where}" if api.proxy else f"at {session.server_address}:{session.port}"


class Wire:
    """One TCP connection that is opened when first needed and again after a fault.

    `send` is one request and one answer; it neither waits nor retries. Errors are ours (`contracts.errors`).
    """

    def __init__(self, session: str, api: Api, clock: Clock) -> None:
        self._session = session_from(session)
        self._api = api
        self._clock = clock
        self._line: Line | None = None
        self._hanging_up: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self.connections = 0
        self.clock_offset = 0.0
        """Seconds that the server's clock is ahead of `clock`, or a little less: the answer that said so took time."""

    async def send(self, request: TLRequest, method: str) -> Any:
        """Send and await the answer. A pending request fails with NetworkError when the connection is lost.

        Given up (cancelled, or its deadline passed), it leaves the connection to the others that wait on it; the next
        request makes a new one.
        """
        line = await self.connect(method)
        metrics.CALLS.labels(method).inc()
        try:
            return await line.answer(_Request(request))
        except BaseException as error:
            ours = self._ours(error, method)
            if ours is None:
                line.is_doubtful = True
                raise
            if is_connection_fault(ours):
                await self._drop(line)
            raise ours from error

    async def connect(self, method: str = "help.getConfig") -> "Line":
        """The live line, made now if there is none: two at once would kill the session."""
        async with self._connecting:
            if self._line is not None and self._line.is_doubtful:
                await self._drop(self._line)
            if self._line is None:
                await self._hung_up()
                self._line = await self._connect(method)
            return self._line

    async def close(self) -> None:
        """Disconnect. Safe to call twice."""
        if self._line is not None:
            await self._drop(self._line)
        await self._hung_up()

    async def _connect(self, method: str) -> "Line":
        client = build_client(self._session, self._api)
        line = Line(client, self._session)
        self.connections += 1
        way, began = _way(self._session, self._api), self._clock.steady()
        log.debug("Connecting to Telegram %s.", way)
        try:
            await line.sender.connect(line.transport)
            hello = client._init_request
            hello.query = GetConfigRequest()
            metrics.CALLS.labels("help.getConfig").inc()
            config = await line.answer(InvokeWithLayerRequest(LAYER, InvokeWithoutUpdatesRequest(hello)))
            self.clock_offset = config.date.timestamp() - self._clock.now()
        except BaseException as error:
            self._hanging_up = asyncio.create_task(line.hang_up())
            await self._hung_up()
            ours = self._ours(error, method)
            if ours is None:
                raise
            raise (unreached(self._session, self._api, error) if isinstance(ours, NetworkError) else ours) from error
        took = round((self._clock.steady() - began) * 1_000)
        log.debug("Connected to Telegram %s.", way, extra={"duration_ms": took})
        return line

    async def _drop(self, line: "Line") -> None:
        """Give the line up; no call makes a new one before this one is closed, also when a caller is cancelled."""
        if self._line is line:
            self._line = None
            self._hanging_up = asyncio.create_task(line.hang_up())
        await self._hung_up()

    async def _hung_up(self) -> None:
        if self._hanging_up is not None:
            await asyncio.shield(self._hanging_up)

    @staticmethod
    def _ours(error: BaseException, method: str) -> TgPipelineError | None:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            return None
        return translate(error, method)


class _Request(InvokeWithoutUpdatesRequest):
    """A request whose answer, where it cannot be decoded, is distinguished from a connection that failed."""

    def read_result(self, reader: Any) -> Any:
        try:
            return super().read_result(reader)
        except Exception as error:
            raise NotDecoded from error


class Line:
    """One connection of Telethon's: its sender, and the transport under it, which the sender forgets when it fails."""

    is_doubtful = False
    """Whether a request was given up on it, for want of an answer maybe."""

    def __init__(self, client: TelegramClient, session: StringSession) -> None:
        self.sender = client._sender
        self.transport = client._connection(
            session.server_address, session.port, session.dc_id, loggers=client._log, proxy=client._proxy
        )

    async def answer(self, request: TLRequest) -> Any:
        """Send and await the answer, or the end of the connection.

        Telethon forgets the requests that were on their way to the socket when the connection ended: nobody ever
        answers those (mtproto-facts: "What Telethon does by itself").
        """
        answer, end = self.sender.send(request), self.sender._disconnected
        answer.add_done_callback(_retrieved)
        await asyncio.wait((answer, end), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise end.exception() or ConnectionError("closed")
        if answer.cancelled():
            raise ConnectionError("closed")
        return answer.result()

    async def hang_up(self) -> None:
        """Disconnect, also from a server or proxy that was never greeted; the socket is closed when this returns.

        Telethon leaves a socket open that it was still connecting, or that another of its tasks is about to close. Two
        disconnects of a sender at once hide its end: a caller in `answer` would wait for the deadline.
        """
        await self.sender.disconnect()
        if self.transport._writer is not None:
            self.transport._writer.transport.abort()
            await asyncio.sleep(0)
        end = self.sender._disconnected
        if not end.done():
            end.set_result(None)
        elif not end.cancelled():
            end.exception()


def _retrieved(answer: "asyncio.Future[Any]") -> None:
    """An answer that fails after its caller was cancelled is nobody's any more; asyncio would complain of it."""
    if not answer.cancelled():
        answer.exception()
