"""Changes of `chats.yaml` by the program: whole lines, so that all else in the file stays as a person wrote it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from upath import UPath

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.errors import InputError, SettingsError
from tg_pipeline.contracts.text import is_printable
from tg_pipeline.machine.atomic import make_directory, replace, sweep, writing
from tg_pipeline.machine.locks import locked_directory
from tg_pipeline.storage.registry import (
    CHATS,
    Entry,
    chats_node,
    parse_registry,
    read_text,
    refuse_disabled,
    refuse_registered,
)

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_INDENT = 2


def add_chat(path: Path, chat: RegisteredChat) -> None:
    """Add the chat at the end; the file is made where there is none. A SettingsError where it is registered already.

    Entries that are disabled stay as they are.
    """
    with _editing(path) as edit:
        refuse_registered((entry.chat for entry in edit.entries if entry.chat), chat)
        refuse_disabled(edit.entries, chat)
        edit.save([*map(_content, edit.entries), None], _with(edit.text, chat), added=chat)


def remove_chat(path: Path, slug: str) -> None:
    """Take the chat out of the file, also one that is disabled. An InputError where there is none of that slug."""
    with _editing(path) as edit:
        found = [entry for entry in edit.entries if entry.fields.get("slug") == slug]
        if not found:
            raise InputError(f"{slug!r} is not in {path}.")
        gone = next((entry for entry in found if entry.chat), found[0])
        lines = edit.text.splitlines(keepends=True)
        del lines[gone.node.start_mark.line : _last_line(gone.node) + 1]
        edit.save([_content(entry) for entry in edit.entries if entry is not gone], "".join(lines))


class _Edit:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.text = read_text(path)
        self.entries = parse_registry(path, self.text)

    def save(self, expected: list[Any], text: str, added: RegisteredChat | None = None) -> None:
        """Replace the file, once it is sure that the text says what was meant: `added` stands for None."""
        try:
            found = parse_registry(self._path, text)
        except SettingsError:
            found = []
        contents = [None if added and entry.chat == added else _content(entry) for entry in found]
        if contents != expected:
            raise SettingsError(
                f"{self._path} is laid out in a way that can only be changed by hand; it was left alone."
            )
        path = UPath(self._path.resolve())
        sweep(path.parent)
        with replace(path) as stream:
            stream.write(text.encode())


@contextmanager
def _editing(path: Path) -> Iterator[_Edit]:
    with writing(path):
        make_directory(path.absolute().parent)
        with locked_directory(path.absolute().parent):
            yield _Edit(path)


def _content(entry: Entry) -> Any:
    """All that the entry says, whatever it is, without where it stands."""

    def of(node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return [(of(key), of(value)) for key, value in node.value]
        return [of(item) for item in node.value] if isinstance(node, yaml.SequenceNode) else (node.tag, node.value)

    return of(entry.node)


def _with(text: str, chat: RegisteredChat) -> str:
    node = chats_node(yaml.compose(text, Loader=yaml.CSafeLoader))
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    if node is None:
        lines += [f"{CHATS}:\n", *_entry(chat, _INDENT)]
    elif isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        last = _last_line(node) + 1
        lines[last:last] = _entry(chat, node.start_mark.column)
    else:
        line = node.start_mark.line
        lines[line] = f"{CHATS}:\n"
        lines[line + 1 : line + 1] = _entry(chat, _INDENT)
    return "".join(lines)


def _last_line(node: yaml.Node) -> int:
    """The last line that has something of the node on it; the marks of a block reach to where the next one begins."""
    match node:
        case yaml.MappingNode(value=[*_, (_, last)]) | yaml.SequenceNode(value=[*_, last]):
            return _last_line(last)
        case _:
            return node.end_mark.line


def _entry(chat: RegisteredChat, indent: int) -> list[str]:
    values = chat.model_dump(mode="json", exclude_none=True)
    lines = [f"{' ' * (indent + 2)}{key}: {_scalar(value, key)}\n" for key, value in values.items()]
    lines[0] = f"{' ' * indent}- {lines[0].lstrip()}"
    return lines


def _scalar(value: str | int, key: str) -> str:
    """Plain where YAML reads the same text or number back, else in double quotes."""
    if isinstance(value, int) or key == "start" or (_PLAIN.fullmatch(value) and yaml.safe_load(value) == value):
        return str(value)
    return f'"{"".join(map(_escaped, value))}"'


def _escaped(character: str) -> str:
    if character in {'"', "\\"}:
        return f"\\{character}"
    return character if is_printable(character) else f"\\U{ord(character):08X}"
