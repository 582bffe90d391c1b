"""Reaction counts."""

from telethon.tl import types as tl

_EMOJI = ("👍", "❤", "🔥", "🥰", "👏", "😁", "🤔", "🤯")


def reactions(bits: int) -> tl.MessageReactions:
    """One to three kinds of reaction with their counts."""
    kinds = range(1 + bits % 3)
    return tl.MessageReactions(
        results=[
            tl.ReactionCount(reaction=tl.ReactionEmoji(_EMOJI[(bits >> 4) + n & 7]), count=1 + (bits >> 7 + 4 * n & 15))
            for n in kinds
        ],
        min=True,
    )
