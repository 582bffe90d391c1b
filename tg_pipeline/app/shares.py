"""Which session is to read which of many chats, so that each session has about as many as any other."""

import time
from collections.abc import Mapping, Sequence

from tg_pipeline.app.accounts import Wanted, sessions_for
from tg_pipeline.app.login import sessions_here
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.errors import SessionMissing
from tg_pipeline.settings import Settings


def shares(settings: Settings, chats: Sequence[RegisteredChat]) -> Mapping[str | None, Sequence[RegisteredChat]]:
    """The chats by the fingerprint of the session that is to read them; None where it does not matter.

    A chat that belongs to an account, or that only some accounts are known to read, goes to one of their sessions.
    This is a wish: the fetch of a chat decides again, by what is known of it then.
    """
    try:
        sessions = list(sessions_here(settings))
    except SessionMissing:
        sessions = []
    if len(sessions) <= 1:
        return {None: chats} if chats else {}
    found: dict[str | None, list[RegisteredChat]] = {session: [] for session in sessions}
    now = time.time()
    for chat in sorted(chats, key=lambda chat: chat.account is None):  # those that have no choice come first
        ranked = sessions_for(settings, sessions, Wanted(chat.chat, chat.id, chat.account), now)
        best = [session for session, rank in ranked.items() if rank == min(ranked.values())] or sessions
        found[min(best, key=lambda session: len(found[session]))].append(chat)
    return {session: share for session, share in found.items() if share}
