"""Which thread each exported message belongs to. Exports name only the message replied to."""

from collections.abc import Iterable, Sequence

from tg_pipeline.exports.fields import Fields, number


class Threads:
    """Follows replies up to the message that began the thread; in a forum, that is the topic's own message."""

    def __init__(self, messages: Iterable[tuple[int, Fields]]) -> None:
        """`messages` are (id, exported fields), ascending by id."""
        self.topics: list[tuple[int, Fields]] = []
        self._roots: dict[int, int] = {}
        self._ranks: dict[int, list[int]] = {}
        for rank, (message_id, fields) in enumerate(messages):
            if fields.get("action") == "topic_created":
                self.topics.append((message_id, fields))
            target = number(fields, "message_id" if fields.get("action") == "pin_message" else "reply_to_message_id")
            if target and "reply_to_peer_id" not in fields:
                root = self._roots[message_id] = self._roots.get(target, target)
                self._ranks.setdefault(root, []).append(rank)
        self._topic_ids = {message_id for message_id, _ in self.topics}

    def root_of(self, message_id: int) -> int | None:
        """The id that began the thread of a reply; None for what replies to nothing in this chat."""
        return self._roots.get(message_id)

    def is_topic(self, message_id: int | None) -> bool:
        """Whether that message began a forum topic."""
        return message_id in self._topic_ids

    def ranks(self, root_id: int) -> Sequence[int]:
        """Ranks, ascending, of the messages under `root_id`."""
        return self._ranks.get(root_id, ())
