"""The registry of chats, joined to what Telegram says of them."""

import logging
import time

from upath import UPath

from tg_pipeline.app.accounts import Wanted, with_reader
from tg_pipeline.app.archive import open_archive
from tg_pipeline.app.login import Login
from tg_pipeline.contracts.chat import SLUG_RULE, Peer, RegisteredChat, is_slug
from tg_pipeline.contracts.errors import InputError, SettingsError
from tg_pipeline.contracts.registry import Registry, find_disabled, find_registered, free_slug, slug_of, unregistered
from tg_pipeline.ingest.ownership import confirm_owner
from tg_pipeline.machine.atomic import check_writable
from tg_pipeline.settings import Settings
from tg_pipeline.storage.registry import read_registry
from tg_pipeline.storage.registry_edit import add_chat
from tg_pipeline.telegram.details import ChatDetails, chat_details
from tg_pipeline.telegram.history import ChatHistory

log = logging.getLogger(__name__)


def registered(settings: Settings) -> list[RegisteredChat]:
    """The chats of `chats.yaml`, without those that are disabled. SettingsError where the file is wrong."""
    return registry(settings).chats


def registry(settings: Settings) -> Registry:
    """The chats of `chats.yaml` and its entries that are disabled. SettingsError where the file is wrong."""
    return read_registry(settings.chats_path)


def find_chat(settings: Settings, name: str) -> RegisteredChat:
    """The registered chat of that slug, username, link, id or title; else an unregistered one named so.

    A chat that is not registered is archived under its username, or `id<number>`. One named by title must be
    registered first, because a title is no stable name. Raises InputError, and SettingsError for one that is disabled.
    """
    known = registry(settings)
    chat = find_registered(known.chats, name)
    if chat is None and (disabled := find_disabled(known.disabled, name)):
        raise SettingsError(f"The chat {disabled.name} is disabled: {disabled.reason}", field="chat")
    chat = chat or unregistered(name)
    if chat is None:
        raise InputError(
            f"chat: {name!r} is not registered. Register it first: tg-pipeline chats add {name!r}.", field="chat"
        )
    return chat


def settled(settings: Settings, chat: RegisteredChat, peer: Peer, account: int) -> RegisteredChat:
    """The entry to archive a chat under, now that it is known which one it is, so that no chat is archived twice.

    One that was named in a way the registry does not have may be registered all the same; an unregistered one is
    called after its username, however it was named. One whose id is known stays as it was named while the registry
    cannot be understood: somebody is editing it.
    """
    try:
        chats = registered(settings)
    except SettingsError as error:
        if chat.id is None:
            raise
        log.warning("%s is archived as it was registered before: %s", chat.slug, error)
        return chat
    if chat in chats:
        return chat
    same = next((c for c in chats if c.id == peer.marked_id and c.account in {None, account}), None)
    return same or chat.model_copy(update={"slug": slug_of(peer.username or "") or f"id{peer.id}"})


async def register(
    settings: Settings, name: str, slug: str | None, account: int | None = None
) -> tuple[RegisteredChat, ChatDetails]:
    """Look the chat up on Telegram and write it into the registry, with its id and the day its history begins.

    `account`: the user id of the only one to look it up with; else the first that can read it. A private dialog or
    basic group belongs to the account that it was looked up with: the message ids are that account's own.
    Raises InputError (bad name or slug), StorageError before anything is called where the registry cannot be written,
    SettingsError (already registered), ChatNotFound, ChatPrivate, WrongAccount (no session is the account's, or the
    day files under that slug are what another account sees).
    """
    if slug is not None and not is_slug(slug):
        raise InputError(f"slug: {slug!r} is not allowed. Allowed are {SLUG_RULE}.", field="slug")
    check_writable(UPath(settings.chats_path.resolve().parent))

    async def look_up(login: Login) -> tuple[ChatDetails, int]:
        details = await chat_details(login.connection, login.resolver, name)
        called = slug or free_slug(registry(settings), details.peer)
        history = ChatHistory(login.connection, login.resolver, details.peer, name=name, slug=called)
        await confirm_owner(history, open_archive(settings), called, chat_id=details.peer.marked_id)
        now = time.time()
        login.resolver.note_reading(details.peer.marked_id, can_read=True, now=now)
        login.resolver.note_seen(details.peer, details.visible, now)
        return details, login.resolver.own_id

    details, reader = await with_reader(settings, Wanted(name, account=account), look_up)
    peer = details.peer
    chat = RegisteredChat(
        slug=slug or free_slug(registry(settings), peer),
        chat=f"@{peer.username}" if peer.username else str(peer.marked_id),
        id=peer.marked_id,
        username=peer.username,
        title=peer.title,
        start=details.first_day,
        account=None if peer.kind == "channel" else reader,
    )
    add_chat(settings.chats_path, chat)
    return chat, details
