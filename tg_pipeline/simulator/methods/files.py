"""upload.*: files in parts (core.telegram.org/api/files)."""

from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.errors import RpcError
from tg_pipeline.simulator.methods.registry import Call, handles

PART_LIMIT = 1 << 20
STEP = 1 << 12
PRECISE_STEP = 1 << 10


@handles(functions.upload.GetFileRequest)
def get_file(call: Call) -> object:
    """The part of `limit` bytes at `offset`. Refuses with LOCATION_INVALID, OFFSET_INVALID or LIMIT_INVALID."""
    request = call.request
    step = PRECISE_STEP if request.precise else STEP
    if request.offset < 0 or request.offset % step:
        raise RpcError(400, "OFFSET_INVALID")
    if not 0 < request.limit <= PART_LIMIT or request.limit % step:
        raise RpcError(400, "LIMIT_INVALID")
    if not isinstance(request.location, tl.InputPhotoFileLocation | tl.InputDocumentFileLocation):
        raise RpcError(400, "LOCATION_INVALID")
    contents = (chat.file(request.location.id) for chat in call.world.chats.values())
    content = next((found for found in contents if found is not None), None)
    if content is None:
        raise RpcError(400, "LOCATION_INVALID")
    part = content[request.offset : request.offset + request.limit]
    return tl.upload.File(tl.storage.FileUnknown(), int(call.now), part)
