"""What is said in a basic group, or in private with one user."""

from datetime import UTC, datetime

from telethon.tl import types as tl

from tg_pipeline.simulator.world import TypeMessage
from tg_pipeline.simulator.worlds.bodies import TALK
from tg_pipeline.simulator.worlds.content import Content
from tg_pipeline.simulator.worlds.draws import draw
from tg_pipeline.simulator.worlds.ids import IdPattern


class DialogContent(Content):
    """Messages between the account itself and a few others.

    In private nobody is named as the sender: `out` marks the account's own messages, as on Telegram.
    """

    def __init__(
        self,
        seed: int,
        peer: tl.PeerChat | tl.PeerUser,
        ids: IdPattern,
        members: list[int],
        actions: dict[int, tl.TypeMessageAction],
    ) -> None:
        """`members` are user ids, the account's own first; `actions` says which ranks are service messages."""
        super().__init__(seed)
        self._peer = peer
        self._ids = ids
        self._members = members
        self._actions = actions

    def message(self, rank: int, message_id: int, timestamp: int) -> TypeMessage:
        """The message of that rank; it never changes."""
        bits = draw(self._seed, rank)
        sender = self._members[(bits >> 24) % len(self._members)]
        common = {
            "id": message_id,
            "peer_id": self._peer,
            "date": datetime.fromtimestamp(timestamp, UTC),
            "out": sender == self._members[0] or None,
            "from_id": None if isinstance(self._peer, tl.PeerUser) else tl.PeerUser(sender),
        }
        action = self._actions.get(rank)
        if action is not None:
            return tl.MessageService(action=action, **common)
        target = rank - 1 - (bits >> 18) % 8
        reply_to = (
            tl.MessageReplyHeader(reply_to_msg_id=self._ids.id_of(target))
            if target > 0 and not bits >> 16 & 3
            else None
        )
        return tl.Message(reply_to=reply_to, **common, **TALK[bits >> 36 & 1023](bits, self._lane | rank, timestamp))
