"""From the name of a chat to the peer that this account can read: resolved once, then remembered with its access hash.

ResolveUsername and getDialogs are the methods Telegram limits hardest (telegram-facts: "Limits and errors"), so the
cache is asked first and a sweep of the dialogs remembers everything it saw.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from telethon.tl.functions.contacts import ResolveUsernameRequest

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.errors import ChatNotFound, InputError, UsernameTaken, UsernameUnknown
from tg_pipeline.contracts.history import Visible
from tg_pipeline.contracts.names import ALLOWED, ById, ByTitle, ByUsername, ChatName, parse_name, readings
from tg_pipeline.state.peers import PeerCache
from tg_pipeline.telegram.connection import Connection
from tg_pipeline.telegram.dialogs import DialogList
from tg_pipeline.telegram.errors import UPGRADE_HINT
from tg_pipeline.telegram.peers import peer_in, peer_of


class Resolver:
    """Names to peers for one account over one connection."""

    def __init__(self, connection: Connection, cache: PeerCache, account: str) -> None:
        self._connection = connection
        self._cache = cache
        self._account = account

    def over(self, connection: Connection) -> "Resolver":
        """The same resolver for the calls of that connection."""
        return Resolver(connection, self._cache, self._account)

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
                dialogs, left_out = await self._sweep_dialogs()
                found = _only(dialogs, name.username)
                if found is None:
                    raise ChatNotFound(f"{text}: {error}{_perhaps(left_out)}") from error
                return found
            except ChatNotFound as error:
                raise ChatNotFound(f"{text}: {error}") from error
            self.learn([*answer.users, *answer.chats])
            found, left_out = peer_in(answer, answer.peer), 0
        else:
            dialogs, left_out = await self._sweep_dialogs()
            if isinstance(name, ByTitle):
                found = _only(dialogs, name.title)
            else:
                found = _remembered(self._cache, self._account, name)
        if found is None:
            raise ChatNotFound(
                f"{text}: no such chat among those this account can see. Allowed: {ALLOWED}.{_perhaps(left_out)}"
            )
        return found

    async def _sweep_dialogs(self) -> tuple[dict[int, Peer], int]:
        """Read the whole list of dialogs and remember every chat in it.

        Gives those listed by marked id, and how often something that cannot be decoded had to be left out.
        """
        dialogs: dict[int, Peer] = {}
        sweep = DialogList(self._connection)
        async for answer in sweep.pages():
            self.learn([*answer.chats, *answer.users])
            dialogs.update((peer.marked_id, peer) for d in answer.dialogs if (peer := peer_in(answer, d.peer)))
        return dialogs, sweep.left_out


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


def _only(dialogs: Mapping[int, Peer], title: str) -> Peer | None:
    found = [marked_id for marked_id, peer in dialogs.items() if peer.title == title]
    if len(found) > 1:
        ids = ", ".join(map(str, sorted(found, reverse=True)))
        raise InputError(
            f"chat: {len(found)} dialogs are titled {title!r} (ids {ids}). Name the one you mean by its id.",
            field="chat",
        )
    return dialogs[found[0]] if found else None


def _perhaps(left_out: int) -> str:
    return (
        f" Or it is among the dialogs that cannot be decoded and were left out: name it by @username. {UPGRADE_HINT}"
        if left_out
        else ""
    )
