"""Downloads, from this data centre and from another."""

from collections.abc import Iterator
from typing import Any

import pytest
from telethon import errors, functions
from telethon.crypto import rsa
from telethon.tl import types as tl

from tg_pipeline.simulator import Error, Simulator
from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline_tests.simulator.clients import connected, history, methods

NOW = 1_750_000_000.0


@pytest.fixture
def demo() -> Iterator[Simulator]:
    with Simulator(build_world(0, NOW, lambda: NOW), clock=lambda: NOW) as simulator:
        rsa.add_key(simulator.public_key.read_bytes(), old=False)
        yield simulator


async def document(client: Any) -> tl.Message:
    """A post with a document of more than a few kilobytes."""
    channel = await client.get_input_entity("demo_channel")
    page = await client(history(channel))
    return next(one for one in page.messages if one.document and one.document.size > 9_000)


async def test_a_file_comes_whole_and_in_parts(demo: Simulator) -> None:
    async with connected(demo) as client:
        message = await document(client)
        content = await client.download_media(message, bytes)
        assert len(content) == message.document.size
        location = tl.InputDocumentFileLocation(message.document.id, message.document.access_hash, b"", "")
        part = await client(functions.upload.GetFileRequest(location, 4096, 4096))
        assert part.bytes == content[4096:8192]
        precise = await client(functions.upload.GetFileRequest(location, 1024, 1024, precise=True))
        assert precise.bytes == content[1024:2048]


async def test_a_file_that_moved_is_fetched_from_its_data_centre(demo: Simulator) -> None:
    demo.faults.add(Error(method="upload.getFile", error="FILE_MIGRATE_4"))
    async with connected(demo, request_retries=1, connection_retries=1) as client:
        message = await document(client)
        assert len(await client.download_media(message, bytes)) == message.document.size
    names = [name for name in methods(demo) if name != "help.getConfig"]
    assert names[-4:] == [
        "upload.getFile",
        "auth.exportAuthorization",
        "auth.importAuthorization",
        "upload.getFile",
    ]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"offset": 1}, "OFFSET_INVALID"),
        ({"offset": -4096}, "OFFSET_INVALID"),
        ({"limit": 100}, "LIMIT_INVALID"),
        ({"limit": 2 << 20}, "LIMIT_INVALID"),
        ({}, "LOCATION_INVALID"),
        ({"location": tl.InputPeerPhotoFileLocation(tl.InputPeerSelf(), 1)}, "LOCATION_INVALID"),
    ],
)
async def test_an_impossible_part_is_refused(demo: Simulator, fields: dict[str, Any], error: str) -> None:
    usual = {"location": tl.InputDocumentFileLocation(5, 5, b"", ""), "offset": 0, "limit": 4096}
    async with connected(demo) as client:
        with pytest.raises(errors.BadRequestError):
            await client(functions.upload.GetFileRequest(**(usual | fields)))
    assert demo.journal[-1]["error"] == error
