"""As much of HTTP/1.1 as the control port needs: one request a connection, JSON in, JSON or JSON lines out."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from tg_pipeline.simulator.control.routes import Refusal, Request, answer
from tg_pipeline.simulator.errors import RpcError, SimulatorError
from tg_pipeline.simulator.telegram import Telegram

BODY_LIMIT = 16 * 2**20


async def listen(server: Telegram, host: str, port: int = 0) -> asyncio.Server:
    """Serve the control port of `server` on `port` of `host` (0: any free one)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _exchange(server, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, host, port)


async def _exchange(server: Telegram, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        request = await _read(reader)
        reply = answer(server, request)
    except Refusal as refusal:
        reply, status = {"error": str(refusal)}, refusal.status
    except (ValueError, SimulatorError, RpcError) as error:
        reply, status = {"error": str(error)}, HTTPStatus.BAD_REQUEST
    else:
        status = HTTPStatus.OK
    if isinstance(reply, AsyncIterator):
        await _stream(writer, reply)
        return
    body = orjson.dumps(reply)
    writer.write(_head(status, f"Content-Length: {len(body)}") + body)
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request:
    line = (await reader.readline()).decode("latin-1").split()
    if len(line) != 3:
        raise Refusal(HTTPStatus.BAD_REQUEST, "this is not an HTTP request")
    length = 0
    while (header := await reader.readline()).strip():
        name, _, value = header.decode("latin-1").partition(":")
        if name.strip().lower() == "content-length":
            length = int(value)
    if length > BODY_LIMIT:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large")
    url = urlsplit(line[1])
    path = tuple(unquote(part) for part in url.path.split("/") if part)
    return Request(line[0], path, dict(parse_qsl(url.query)), await reader.readexactly(length))


async def _stream(writer: asyncio.StreamWriter, lines: AsyncIterator[bytes]) -> None:
    writer.write(_head(HTTPStatus.OK, "Transfer-Encoding: chunked", "application/jsonl"))
    async for chunk in lines:
        writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _head(status: HTTPStatus, header: str, content_type: str = "application/json") -> bytes:
    first = f"HTTP/1.1 {status.value} {status.phrase}"
    return f"{first}\r\nContent-Type: {content_type}\r\nConnection: close\r\n{header}\r\n\r\n".encode()
