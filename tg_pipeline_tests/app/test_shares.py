"""How chats are divided among sessions."""

import time
from pathlib import Path

from tg_pipeline.app.archive import peer_cache
from tg_pipeline.app.login import sessions_here
from tg_pipeline.app.shares import shares
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.history import Visible
from tg_pipeline.settings import Settings
from tg_pipeline_tests.app.test_accounts import OTHER, other_world, two
from tg_pipeline_tests.telegram_account import ME, world_of


def known(settings: Settings) -> list[str]:
    """The sessions of ME and of OTHER, once it is known whose they are."""
    sessions = list(sessions_here(settings))
    for session, user in zip(sessions, (ME, OTHER), strict=True):
        peer_cache(settings).remember_account(session, str(user.id))
    return sessions


def of(found: object) -> dict[str | None, list[str]]:
    assert isinstance(found, dict)
    return {session: [chat.slug for chat in share] for session, share in found.items()}


def chat(slug: str, account: int | None = None, id_: int | None = None) -> RegisteredChat:
    return RegisteredChat(slug=slug, chat=f"@{slug}", account=account, id=id_)


def test_a_chat_goes_to_a_session_of_its_account_and_the_others_fill_up(tmp_path: Path) -> None:
    with two(tmp_path, world_of(), other_world()) as both:
        settings = both.account("ab").settings
        a, b = known(settings)
        chats = [chat("x"), chat("y"), chat("theirs", OTHER.id), chat("mine", ME.id), chat("theirs2", OTHER.id)]
        assert of(shares(settings, chats)) == {a: ["mine", "x", "y"], b: ["theirs", "theirs2"]}


def test_a_chat_goes_to_the_account_that_sees_most_of_it(tmp_path: Path) -> None:
    with two(tmp_path, world_of(), other_world()) as both:
        settings = both.account("ab").settings
        _, b = known(settings)
        cache, now = peer_cache(settings), time.time()
        for marked_id in (-1001, -1002):
            cache.remember_reading(str(ME.id), marked_id, can_read=marked_id == -1001, now=now)
            cache.remember_visible(str(ME.id), marked_id, Visible(9, 0), now=now)
            cache.remember_reading(str(OTHER.id), marked_id, can_read=True, now=now)
        assert of(shares(settings, [chat("p", id_=-1001), chat("q", id_=-1002)])) == {b: ["p", "q"]}


def test_a_chat_of_an_account_that_is_not_here_is_in_some_share_all_the_same(tmp_path: Path) -> None:
    with two(tmp_path, world_of(), other_world()) as both:
        settings = both.account("ab").settings
        known(settings)
        assert [slug for share in of(shares(settings, [chat("far", 9)])).values() for slug in share] == ["far"]


def test_with_one_session_or_none_it_does_not_matter(tmp_path: Path) -> None:
    with two(tmp_path, world_of(), other_world()) as both:
        chats = [chat("x"), chat("y")]
        for sessions in (both.a.session, ""):
            assert shares(both.account("a", telegram_sessions=sessions).settings, chats) == {None: chats}
        assert shares(both.account("a").settings, []) == {}
