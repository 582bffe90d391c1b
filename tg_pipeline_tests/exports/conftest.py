from collections.abc import Callable
from pathlib import Path

import orjson
import pytest


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Writes `content` as the result.json of a folder, and gives the folder."""

    def write(content: object, folder: str = "my_chat") -> Path:
        path = tmp_path / folder
        path.mkdir()
        (path / "result.json").write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
        return path

    return write
