"""From the name of a chat to the peer that this account can read: resolved once, then remembered with its access hash.

ResolveUsername and getDialogs are the methods Telegram limits hardest (telegram-facts: "Limits and errors"), so the
cache is asked first and a sweep of the dialogs remembers everything it saw.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from telethon.tl import types as tl
from telethon.tl.functions.contacts import ResolveUsernameRequest
from telethon.tl.functions.messages import GetDialogsRequest

from tg_pipeline.contracts.chat import Peer, PeerKind
from tg_pipeline.contracts.errors import ChatNotFound, InputError, UsernameTaken, UsernameUnknown
from tg_pipeline.contracts.history import Visible
from tg_pipeline.contracts.names import ALLOWED, ById, ByTitle, ByUsername, ChatName, parse_name, readings
from tg_pipeline.state.peers import PeerCache
from tg_pipeline.telegram.connection import Connection

DIALOGS_PAGE = 100

log = logging.getLogger(__name__)


class Resolver:
    """Names to peers for one account over one connection."""

    def __init__(self, connection: Connection, cache: PeerCache, account: str) -> None:
        self._connection = connection
        self._cache = cache
        self._account = account

    @property
    def own_id(self) -> int:
        """The account's user id."""
        return int(self._account)

    async def resolve(self, name: str, expected_id: int | None = None) -> Peer:
        """The peer called `name`; at most one resolve call, and none when it is remembered.

        `expected_id` is the marked id the chat had when it was added or first archived. The chat that the account knows
        by that id is the one, whatever it is called now; otherwise a username that leads to another chat is
        UsernameTaken: one that changed hands is never followed silently. A title is looked for in the list of dialogs
        every time; so is a bare word that is nobody's username.
        Raises ChatNotFound, UsernameUnknown and InputError (name of no valid form).
        """
        parsed = parse_name(name)
        if expected_id is not None and (known := self._cache.by_id(self._account, expected_id)):
            return known
        peer = _remembered(self._cache, self._account, parsed) or await self._asked(parsed, name)
        if expected_id is not None and peer.marked_id != expected_id:
            kind = UsernameTaken if isinstance(parsed, ByUsername) else ChatNotFound
            raise kind(
                f"{name} now belongs to another chat (id {peer.marked_id}, {peer.title or 'no title'!r}) than the one "
                f"kept here (id {expected_id}). Name the old one by its id; add the new one under a slug of its own."
            )
        return peer

    def forget(self, peer: Peer) -> None:
        """Drop a peer whose access hash Telegram refused."""
        self._cache.forget(self._account, peer.marked_id)

    def learn(self, entities: Iterable[Any]) -> None:
        """Remember chats that came along with an answer."""
        self._cache.remember(self._account, [peer for e in entities if (peer := peer_of(e))])

    def note_reading(self, marked_id: int, *, can_read: bool, now: float) -> None:
        """Remember whether the account can read the chat."""
        self._cache.remember_reading(self._account, marked_id, can_read=can_read, now=now)

    def seen(self, peer: Peer, *, since: float) -> Visible | None:
        """What the account may see of the chat's past, where that was asked after `since` (POSIX s)."""
        return self._cache.visible(self._account, peer.marked_id, since=since)

    def note_seen(self, peer: Peer, visible: Visible, now: float) -> None:
        """Remember what the account may see of the chat's past."""
        self._cache.remember_visible(self._account, peer.marked_id, visible, now=now)

    async def _asked(self, name: ChatName, text: str) -> Peer:
        if isinstance(name, ByUsername):
            try:
                answer = await self._connection.call(ResolveUsernameRequest(name.username))
            except UsernameUnknown as error:
                if not name.may_be_title:
                    raise UsernameUnknown(f"{text}: {error}") from error
                found = _only(await self._sweep_dialogs(), name.username)
                if found is None:
                    raise ChatNotFound(f"{text}: {error}") from error
                return found
            except ChatNotFound as error:
                raise ChatNotFound(f"{text}: {error}") from error
            self.learn([*answer.users, *answer.chats])
            found = next(
                (p for e in (*answer.chats, *answer.users) if (p := peer_of(e)) and p.id == _bare(answer.peer)), None
            )
        else:
            dialogs = await self._sweep_dialogs()
            found = (
                _only(dialogs, name.title)
                if isinstance(name, ByTitle)
                else _remembered(self._cache, self._account, name)
            )
        if found is None:
            raise ChatNotFound(f"{text}: no such chat among those this account can see. Allowed: {ALLOWED}.")
        return found

    async def _sweep_dialogs(self) -> dict[int, Peer]:
        """Read the whole list of dialogs, page by page, and remember every chat in it. Gives them by marked id."""
        dialogs: dict[int, Peer] = {}
        offset: dict[str, Any] = {"offset_date": None, "offset_id": 0, "offset_peer": tl.InputPeerEmpty()}
        while True:
            answer = await self._connection.call(GetDialogsRequest(limit=DIALOGS_PAGE, hash=0, **offset))
            entities = [*answer.chats, *answer.users]
            self.learn(entities)
            peers = {(p.kind, p.id): p for e in entities if (p := peer_of(e))}
            listed = [p for d in answer.dialogs if (p := peers.get(_kind_and_id(d.peer)))]
            dialogs.update((p.marked_id, p) for p in listed)
            if isinstance(answer, tl.messages.Dialogs) or not answer.dialogs:
                return dialogs
            last = _last_dated(answer)
            if last is None or (last.id == offset["offset_id"] and last.date == offset["offset_date"]):
                return dialogs
            top = peers.get(_kind_and_id(last.peer_id))
            offset = {
                "offset_date": last.date,
                "offset_id": last.id,
                "offset_peer": input_peer(top) if top else tl.InputPeerEmpty(),
            }


def is_remembered(cache: PeerCache, account: str, name: str, expected_id: int | None) -> bool:
    """Whether the account finds the chat without asking Telegram. Raises InputError as `Resolver.resolve` does."""
    if expected_id is not None:
        return cache.by_id(account, expected_id) is not None
    return _remembered(cache, account, parse_name(name)) is not None


def _remembered(cache: PeerCache, account: str, name: ChatName) -> Peer | None:
    match name:
        case ByUsername(username):
            return cache.by_username(account, username)
        case ById(marked_id):
            return next(filter(None, (cache.by_id(account, i) for i in readings(marked_id))), None)
        case ByTitle():
            return None


def input_peer(peer: Peer) -> tl.InputPeerChannel | tl.InputPeerChat | tl.InputPeerUser:
    """The peer as requests want it."""
    match peer.kind:
        case "channel":
            return tl.InputPeerChannel(peer.id, peer.access_hash)
        case "chat":
            return tl.InputPeerChat(peer.id)
        case "user":
            return tl.InputPeerUser(peer.id, peer.access_hash)


def peer_of(entity: Any) -> Peer | None:
    """The peer an answer's user or chat object describes; None for one that cannot be addressed (empty, or `min`)."""
    if getattr(entity, "min", False):
        return None
    match entity:
        case tl.User():
            names = (entity.first_name, entity.last_name)
            title = " ".join(n for n in names if n) or None
            return Peer("user", entity.id, entity.access_hash or 0, username_of(entity), title)
        case tl.Channel():
            return Peer("channel", entity.id, entity.access_hash or 0, username_of(entity), entity.title)
        case tl.ChannelForbidden():
            return Peer("channel", entity.id, entity.access_hash, None, entity.title)
        case tl.Chat() | tl.ChatForbidden():
            return Peer("chat", entity.id, 0, None, entity.title)
        case _:
            return None


def username_of(entity: Any) -> str | None:
    """The main username: the plain one, or the first active of the several an owner may buy."""
    if entity.username:
        return str(entity.username)
    return next((str(u.username) for u in getattr(entity, "usernames", None) or () if u.active), None)


def _kind_and_id(peer: Any) -> tuple[PeerKind, int]:
    match peer:
        case tl.PeerChannel():
            return "channel", peer.channel_id
        case tl.PeerChat():
            return "chat", peer.chat_id
        case _:
            return "user", peer.user_id


def _bare(peer: Any) -> int:
    return _kind_and_id(peer)[1]


def _only(dialogs: Mapping[int, Peer], title: str) -> Peer | None:
    found = [marked_id for marked_id, peer in dialogs.items() if peer.title == title]
    if len(found) > 1:
        ids = ", ".join(map(str, found))
        raise InputError(
            f"chat: {len(found)} dialogs are titled {title!r} (ids {ids}). Name the one you mean by its id.",
            field="chat",
        )
    return dialogs[found[0]] if found else None


def _last_dated(answer: Any) -> Any | None:
    """The message to go on from: the top message of the last dialog that has one (Telegram's paging rule)."""
    tops = {(_kind_and_id(m.peer_id), m.id): m for m in answer.messages if getattr(m, "date", None)}
    for dialog in reversed(answer.dialogs):
        top = tops.get((_kind_and_id(dialog.peer), dialog.top_message))
        if top is not None:
            return top
    return None
