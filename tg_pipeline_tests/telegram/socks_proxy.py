"""A SOCKS5 proxy on loopback: enough of RFC 1928 and 1929 to stand between a client and the simulator."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

VERSION = 5
NO_LOGIN, LOGIN, NO_METHOD = 0, 2, 0xFF
CONNECT, IPV4, DOMAIN = 1, 1, 3


@asynccontextmanager
async def socks_proxy(password: str | None = None) -> AsyncIterator[int]:
    """A proxy for the time of the block; gives its port. With `password` it lets in `user` with that password only."""
    tunnels: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tunnels.add(task)
        try:
            if await _greeted(reader, writer, password):
                await _tunnel(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()
            tunnels.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tunnels:
            task.cancel()
        await asyncio.gather(*tunnels, return_exceptions=True)


async def _greeted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, password: str | None) -> bool:
    _, count = await reader.readexactly(2)
    methods = await reader.readexactly(count)
    wanted = NO_LOGIN if password is None else LOGIN
    writer.write(bytes((VERSION, wanted if wanted in methods else NO_METHOD)))
    if wanted not in methods:
        return False
    if password is not None:
        name = await reader.readexactly((await reader.readexactly(2))[1])
        given = await reader.readexactly((await reader.readexactly(1))[0])
        accepted = (name, given) == (b"user", password.encode())
        writer.write(bytes((1, 0 if accepted else 1)))
        return accepted
    return True


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    _, command, _, kind = await reader.readexactly(4)
    assert command == CONNECT
    if kind == IPV4:
        host = ".".join(map(str, await reader.readexactly(4)))
    else:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    port = int.from_bytes(await reader.readexactly(2), "big")
    there, back = await asyncio.open_connection(host, port)
    writer.write(bytes((VERSION, 0, 0, IPV4, 0, 0, 0, 0, 0, 0)))
    try:
        await asyncio.gather(_pump(reader, back), _pump(there, writer))
    finally:
        back.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        sink.write(data)
        await sink.drain()
    sink.close()
