"""The seam between the simulated server and the chats it serves.

The server (`server.py`, `methods/`) knows MTProto, sessions, faults and the exact offset rules of Telegram's history;
it knows nothing of how messages come to be. A `Chat` knows its messages; it never sees a connection. Every chat
offers its history as an array ordered by ascending id and addressed by *rank* (0-based position), so that a synthetic
chat can answer from a closed form and an imported one from a list.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from telethon.tl import types as tl

TypeChat: TypeAlias = tl.Channel | tl.Chat | tl.User
TypeMessage: TypeAlias = tl.Message | tl.MessageService


class Chat(Protocol):
    """One peer and its history. All times are POSIX seconds (UTC); `now` is the server's clock."""

    @property
    def peer(self) -> tl.PeerChannel | tl.PeerChat | tl.PeerUser:
        """The peer, with the bare positive id."""

    @property
    def username(self) -> str | None:
        """Without the at sign; None where the chat has none. May change while the world runs."""

    @property
    def entity(self) -> TypeChat:
        """The TL object that names the peer in answers, with its access hash."""

    @property
    def revision(self) -> int:
        """Grows with every change to what already existed (edit, deletion); 0 for a chat that never changes.

        Between two changes the message of a rank stays the same while `now` advances: the server keeps serialised
        messages under (revision, rank).
        """

    def size(self, now: float) -> int:
        """How many messages exist at `now`."""

    def rank_of_id(self, message_id: int, now: float) -> int:
        """How many messages have an id lower than `message_id`."""

    def rank_of_date(self, timestamp: float, now: float) -> int:
        """How many messages precede the first one dated at `timestamp` or later."""

    def messages(self, start: int, stop: int, now: float) -> Sequence[TypeMessage]:
        """The messages of ranks start..stop-1, ascending by id."""

    def people(self, messages: Iterable[TypeMessage]) -> Sequence[TypeChat]:
        """Users and other chats that these messages refer to (senders, forward origins), each once."""

    def full(self, now: float) -> tl.messages.ChatFull:
        """The answer to getFullChannel / getFullChat, with linked chat, migration and top-level counts."""

    def topics(self) -> Sequence[tl.ForumTopic]:
        """Forum topics; empty where the chat is no forum."""

    def replies(self, root_id: int, now: float) -> Sequence[int]:
        """Ranks, ascending, of the messages in the thread (or topic) that hangs under `root_id` in *this* chat."""

    def file(self, file_id: int) -> bytes | None:
        """The bytes of a photo or document of this chat; None where there is no such file."""


@dataclass
class World:
    """Everything the simulated Telegram holds: chats by marked id."""

    chats: Mapping[int, Chat]
    self_user: tl.User

    def by_username(self, username: str) -> Chat | None:
        """The chat of that name, compared without case, as Telegram does."""
        wanted = username.lstrip("@").lower()
        return next((c for c in self.chats.values() if (c.username or "").lower() == wanted), None)
