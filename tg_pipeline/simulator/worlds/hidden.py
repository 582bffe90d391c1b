"""A chat as an account sees it that may not see its beginning: it joined later, or cleared the history for itself."""

from collections.abc import Iterable, Sequence
from copy import copy

from telethon.tl import types as tl

from tg_pipeline.simulator.world import Chat, TypeChat, TypeMessage


class HiddenPast:
    """`base` without its messages up to an id. They are not deleted: another account's world may hold them all.

    A channel or supergroup says so in its full form (`available_min_id`), as Telegram does; nothing says it of a basic
    group or a private dialog.
    """

    def __init__(self, base: Chat, up_to: int = 0) -> None:
        self._base = base
        self._up_to = up_to
        self._hidings = 0

    def hide(self, up_to: int) -> None:
        """Hide the messages up to this id; 0 shows them all again."""
        self._up_to = up_to
        self._hidings += 1

    @property
    def peer(self) -> tl.PeerChannel | tl.PeerChat | tl.PeerUser:
        """The peer, with the bare positive id."""
        return self._base.peer

    @property
    def username(self) -> str | None:
        """Without the at sign."""
        return self._base.username

    @property
    def entity(self) -> TypeChat:
        """The TL object that names the peer in answers."""
        return self._base.entity

    @property
    def revision(self) -> int:
        """Grows with every change to what already existed, and when something is hidden: ranks then are others."""
        return self._base.revision + self._hidings

    def size(self, now: float) -> int:
        """How many messages are visible at `now`."""
        return self._base.size(now) - self._hidden(now)

    def rank_of_id(self, message_id: int, now: float) -> int:
        """How many visible messages have an id lower than `message_id`."""
        return max(0, self._base.rank_of_id(message_id, now) - self._hidden(now))

    def rank_of_date(self, timestamp: float, now: float) -> int:
        """How many visible messages precede the first one dated at `timestamp` or later."""
        return max(0, self._base.rank_of_date(timestamp, now) - self._hidden(now))

    def messages(self, start: int, stop: int, now: float) -> Sequence[TypeMessage]:
        """The visible messages of ranks start..stop-1, ascending by id."""
        hidden = self._hidden(now)
        return self._base.messages(start + hidden, stop + hidden, now)

    def people(self, messages: Iterable[TypeMessage]) -> Sequence[TypeChat]:
        """Users and other chats that these messages refer to."""
        return self._base.people(messages)

    def full(self, now: float) -> tl.messages.ChatFull:
        """The full form, which of a channel says up to which id messages are hidden."""
        answer = copy(self._base.full(now))
        if isinstance(answer.full_chat, tl.ChannelFull) and self._up_to:
            answer.full_chat = copy(answer.full_chat)
            answer.full_chat.available_min_id = self._up_to
            answer.full_chat.hidden_prehistory = True
        return answer

    def topics(self) -> Sequence[tl.ForumTopic]:
        """Forum topics."""
        return self._base.topics()

    def replies(self, root_id: int, now: float) -> Sequence[int]:
        """Ranks of the visible messages in the thread that hangs under `root_id`."""
        hidden = self._hidden(now)
        return [rank - hidden for rank in self._base.replies(root_id, now) if rank >= hidden]

    def file(self, file_id: int) -> bytes | None:
        """The bytes of a photo or document."""
        return self._base.file(file_id)

    def _hidden(self, now: float) -> int:
        return self._base.rank_of_id(self._up_to + 1, now) if self._up_to else 0


class AddedLater(HiddenPast):
    """A basic group as an account sees it that was added at `added_at` (POSIX s): dates up to then lead nowhere.

    The messages can be read by id all the same (gramjs issue 667).
    """

    def __init__(self, base: Chat, added_at: float) -> None:
        super().__init__(base)
        self._added_at = added_at

    def rank_of_date(self, timestamp: float, now: float) -> int:
        """Far before all messages for a date that leads nowhere."""
        return -(2**31) if timestamp <= self._added_at else super().rank_of_date(timestamp, now)
