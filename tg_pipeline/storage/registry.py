"""`chats.yaml`: the chats that are archived, as people write and read them.

chats:
  - slug: durov
    chat: "@durov"
    id: -1001006503122
    start: 2025-01-01
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tg_pipeline.contracts.chat import RegisteredChat, identifier
from tg_pipeline.contracts.errors import InputError, SettingsError
from tg_pipeline.contracts.names import ById, ByTitle, ByUsername, parse_name
from tg_pipeline.contracts.registry import DisabledChat, Registry, find_disabled

CHATS = "chats"
MAX_DEPTH = 50
"""A file needs 3."""


@dataclass(frozen=True)
class Entry:
    """One item of the list, with its place in the text. `chat` is None where something is wrong, as `reason` says."""

    node: yaml.Node
    fields: Mapping[str, str]
    chat: RegisteredChat | None = None
    reason: str = ""

    @property
    def line(self) -> int:
        """Where it begins, counted from 1."""
        return int(self.node.start_mark.line) + 1


def load_registry(path: Path) -> list[RegisteredChat]:
    """The registered chats in the order of the file, without those that are disabled; none where there is no file.

    A SettingsError, with the line, where the file as a whole cannot be understood.
    """
    return read_registry(path).chats


def read_registry(path: Path) -> Registry:
    """The registered chats, and the entries that are disabled because something is wrong with them.

    The reason names file, line, field, value and what is allowed. SettingsError as `load_registry`.
    """
    entries = parse_registry(path, read_text(path))
    return Registry([entry.chat for entry in entries if entry.chat], _disabled(entries))


def _disabled(entries: Iterable[Entry]) -> list[DisabledChat]:
    return [DisabledChat(entry.fields, entry.line, entry.reason) for entry in entries if not entry.chat]


def read_text(path: Path) -> str:
    """The file's text, empty where there is no file."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}.") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error


def parse_registry(path: Path, text: str) -> list[Entry]:
    """Every entry with its place in the text. PyYAML's C parser, because ruamel's takes a second for 2,000 chats."""
    loader = yaml.CSafeLoader(text)
    try:
        _refuse_deep(path, text)
        entries = [_entry(path, loader, node) for node in _entry_nodes(path, loader.get_single_node())]
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        hint = (
            " A name that begins with @ needs quotes." if "'@'" in str(error) or "start any token" in str(error) else ""
        )
        raise SettingsError(f"{path}{line}: this is not YAML: {error.problem}.{hint}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: this is not YAML: {' '.join(str(error).split())}.") from None
    finally:
        loader.dispose()
    return list(_without_repeated(path, entries))


def _refuse_deep(path: Path, text: str) -> None:
    """A SettingsError where lists and mappings are nested so deeply that building them would exhaust the C stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise SettingsError(
                f"{path}, line {line}: more than {MAX_DEPTH} lists or mappings within each other. "
                f"The file is one mapping with a list of chats under `{CHATS}`."
            )


def refuse_registered(chats: Iterable[RegisteredChat], new: RegisteredChat) -> None:
    """A SettingsError where one of `chats` is `new`, under whatever name, or has its slug."""
    for known in chats:
        shared = {kind for kind, _ in _identities(known) & _identities(new)}
        if shared - {"slug"}:
            raise SettingsError(f"{new.chat} is registered already, as {known.slug}.")
        if known.slug == new.slug:
            raise SettingsError(f"The slug {known.slug} is that of {known.chat} already; {new.chat} needs another one.")
        if shared:
            raise SettingsError(f"{_differ(new.slug, known.slug)} Choose another one with --slug.")


def refuse_disabled(entries: Iterable[Entry], new: RegisteredChat) -> None:
    """A SettingsError where one of the entries that are disabled has the slug or a name of `new`."""
    disabled = _disabled(entries)
    names = (new.slug, new.chat, new.username and f"@{new.username}", new.id and str(new.id))
    known = next((entry for name in names if name and (entry := find_disabled(disabled, name))), None)
    if known is not None:
        raise SettingsError(f"{new.chat} is registered already, as {known.name}, which is disabled: {known.reason}")


def _differ(slug: str, other: str) -> str:
    return f"The slugs {slug} and {other} differ in '-' and '_' only, which are one name to Dagster."


def chats_node(root: yaml.Node | None) -> yaml.Node | None:
    """The value of the top-level key `chats`."""
    pairs: list[tuple[yaml.Node, yaml.Node]] = root.value if isinstance(root, yaml.MappingNode) else []
    return next((value for key, value in pairs if key.value == CHATS), None)


def _entry_nodes(path: Path, root: yaml.Node | None) -> list[yaml.Node]:
    if root is None or _is_null(root):
        return []
    if not isinstance(root, yaml.MappingNode):
        raise SettingsError(f"{path}: the file must be a mapping with the one key `{CHATS}`.")
    for key, _ in _fields(path, root):
        if key.value != CHATS:
            raise SettingsError(f"{path}{_line(key)}: unknown key {key.value!r}; allowed is `{CHATS}`.")
    chats = chats_node(root)
    if _is_null(chats):
        return []
    if not isinstance(chats, yaml.SequenceNode):
        raise SettingsError(f"{path}{_line(root)}: `{CHATS}` must be a list of chats, each beginning with `- slug:`.")
    return list(chats.value)


def _is_null(node: yaml.Node | None) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _fields(path: Path, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    seen = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise SettingsError(f"{path}{_line(key)}: a key must be a word.")
        if key.value in seen:
            raise SettingsError(f"{path}{_line(key)}: the key {key.value!r} stands twice.")
        seen.add(key.value)
        yield key, value


def _entry(path: Path, loader: yaml.CSafeLoader, node: yaml.Node) -> Entry:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    fields = {
        str(key.value): str(value.value)
        for key, value in pairs
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }
    try:
        return Entry(node, fields, _chat(path, loader, node))
    except SettingsError as error:
        return Entry(node, fields, reason=str(error))


def _chat(path: Path, loader: yaml.CSafeLoader, node: yaml.Node) -> RegisteredChat:
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError(f"{path}{_line(node)}: a chat must be a mapping such as `- slug: name`.")
    fields: dict[str, Any] = {}
    lines: dict[str, yaml.Node] = {}
    for key, value in _fields(path, node):
        lines[key.value] = key
        try:
            fields[key.value] = loader.construct_object(value, deep=True)
        except (ValueError, LookupError, yaml.constructor.ConstructorError) as error:
            reason = getattr(error, "problem", error)  # of a tag that YAML does not define
            raise SettingsError(f"{path}{_line(key)}: {key.value} is {value.value!r}: {reason}.") from None
    if type(fields.get("chat")) is int:
        fields["chat"] = str(fields["chat"])
    try:
        chat = RegisteredChat.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        field = str(problem["loc"][0])
        where = f"{path}{_line(lines.get(field, node))}"
        match problem["type"]:
            case "extra_forbidden":
                allowed = ", ".join(RegisteredChat.model_fields)
                raise SettingsError(f"{where}: unknown key {field!r}; allowed are {allowed}.") from None
            case "missing":
                raise SettingsError(f"{where}: this chat has no {field!r}.") from None
            case "string_type":
                raise SettingsError(f"{where}: {field} must be text; put quotes around {fields[field]!r}.") from None
            case _:
                message = problem["msg"].removeprefix("Value error, ")
                raise SettingsError(f"{where}: {field} is {str(fields[field])[:80]!r}: {message}.") from None
    if chat.start is not None and chat.start > datetime.now(UTC).date():
        raise SettingsError(f"{path}{_line(lines['start'])}: start is {chat.start}: this day has not begun (UTC).")
    return chat


def _without_repeated(path: Path, entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries; what has the slug of an earlier one, or is the same chat under whatever name, is disabled.

    Also after one that is disabled itself: with another chat in its place, two would be written into one directory.
    """
    seen: dict[tuple[str, str], str] = {}
    for entry in entries:
        ours = _identities(entry.chat) if entry.chat else {("slug", identifier(entry.fields.get("slug", "")))}
        slug = entry.fields.get("slug", "")
        shared = next(((kind, name) for kind, name in sorted(ours) if (kind, name) in seen), None)
        if entry.chat and shared:
            kind, name = shared
            first = seen[shared]
            same = f"{slug} and {first} have the same {kind}, {name}."
            reason = _differ(slug, first) if kind == "slug" and slug != first else same
            yield Entry(entry.node, entry.fields, reason=f"{path}{_line(entry.node)}: {reason}")
        else:
            yield entry
        for identity in ours:
            seen.setdefault(identity, slug)


def _identities(chat: RegisteredChat) -> set[tuple[str, str]]:
    """What no two entries may share, in one notation: `@X`, `https://t.me/x` and `x` are one name.

    Chats that belong to two accounts are two.
    """
    found = {_named(chat.chat)}
    if chat.id is not None:
        found.add(("id", str(chat.id)))
    if chat.username is not None:
        found.add(("name", chat.username.casefold()))
    if chat.account is not None:
        found = {(kind, f"{name} of account {chat.account}") for kind, name in found}
    return {("slug", identifier(chat.slug)), *found}


def _named(text: str) -> tuple[str, str]:
    try:
        name = parse_name(text)
    except InputError:
        return ("name", text.strip().removeprefix("@").casefold())
    match name:
        case ByUsername(username):
            return ("name", username.casefold())
        case ById(marked_id):
            return ("id", str(marked_id))
        case ByTitle(title):
            return ("title", title)


def _line(node: yaml.Node) -> str:
    return f", line {node.start_mark.line + 1}"
