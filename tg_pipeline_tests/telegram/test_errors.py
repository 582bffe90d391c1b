"""Every error of the vendor becomes exactly one of ours, by what to do next."""

import asyncio
import inspect
from typing import Any

import pytest
from telethon import errors as vendor
from telethon.errors.rpcerrorlist import rpc_errors_dict

from tg_pipeline.contracts import errors as ours
from tg_pipeline.telegram.errors import TABLE, StalePeer, is_connection_fault, translate

RPC_ERRORS = sorted(
    {kind for kind in vars(vendor).values() if inspect.isclass(kind) and issubclass(kind, vendor.RPCError)},
    key=lambda kind: kind.__name__,
)


def made(kind: Any, seconds: int = 42) -> Any:
    """An instance of an RPC error class as Telethon makes it from an answer."""
    parameters = inspect.signature(kind).parameters
    if "capture" in parameters:
        return kind(request=None, capture=seconds)
    return kind(request=None, message=kind.message) if "message" in parameters else kind(request=None)


@pytest.mark.parametrize("kind", RPC_ERRORS, ids=lambda kind: kind.__name__)
def test_every_rpc_error_is_one_of_ours_with_a_sentence_for_people(kind: type) -> None:
    error = translate(made(kind), "messages.getHistory")
    assert isinstance(error, ours.TgPipelineError)
    assert type(error) is not ours.TgPipelineError
    assert str(error).endswith((".", ")."))
    assert "caused by" not in str(error)


def named(message: str, code: int = 400) -> Any:
    """The exception that Telethon raises for an answer of that name."""

    class Answer:
        error_message = message
        error_code = code

    return vendor.rpc_message_to_error(Answer, None)


@pytest.mark.parametrize(
    ("message", "code", "expected"),
    [
        ("AUTH_KEY_UNREGISTERED", 401, ours.SessionRevoked),
        ("SESSION_REVOKED", 401, ours.SessionRevoked),
        ("SESSION_EXPIRED", 401, ours.SessionRevoked),
        ("USER_DEACTIVATED", 401, ours.SessionRevoked),
        ("USER_DEACTIVATED_BAN", 401, ours.SessionRevoked),
        ("SOMETHING_NEW", 401, ours.SessionRevoked),
        ("AUTH_KEY_DUPLICATED", 406, ours.SessionRevoked),
        ("UPDATE_APP_TO_LOGIN", 406, ours.ApiRejected),
        ("PHONE_NUMBER_BANNED", 400, ours.ApiRejected),
        ("API_ID_INVALID", 400, ours.ApiRejected),
        ("FROZEN_METHOD_INVALID", 420, ours.ApiRejected),
        ("USER_MIGRATE_4", 303, ours.ApiRejected),
        ("LIMIT_INVALID", 400, ours.ApiRejected),
        ("SOMETHING_NEW", 400, ours.ApiRejected),
        ("CHANNEL_PRIVATE", 400, ours.ChatPrivate),
        ("CHANNEL_PRIVATE", 406, ours.ChatPrivate),
        ("CHAT_ADMIN_REQUIRED", 400, ours.ChatPrivate),
        ("SOMETHING_NEW", 403, ours.ChatPrivate),
        ("USERNAME_NOT_OCCUPIED", 400, ours.UsernameUnknown),
        ("USERNAME_INVALID", 400, ours.UsernameUnknown),
        ("INPUT_USER_DEACTIVATED", 400, ours.ChatNotFound),
        ("CHANNEL_INVALID", 400, StalePeer),
        ("PEER_ID_INVALID", 400, StalePeer),
        ("CHAT_ID_INVALID", 400, StalePeer),
        ("RPC_CALL_FAIL", 500, ours.ServerError),
        ("SOMETHING_NEW", -500, ours.ServerError),
        ("Timedout", -503, ours.ServerError),
        ("CONNECTION_NOT_INITED", 400, ours.NetworkError),
        ("-504", -504, ours.ServerError),
        ("BOT_METHOD_INVALID", 400, ours.ApiRejected),
        ("CONNECTION_LAYER_INVALID", 400, ours.ApiRejected),
        ("FROZEN_SOMETHING_NEW", 420, ours.ApiRejected),
        ("PEER_FLOOD", 400, ours.ApiRejected),
        ("CHANNEL_MONOFORUM_UNSUPPORTED", 400, ours.ChatPrivate),
        ("CHANNEL_SOMETHING_NEW", 400, ours.ChatPrivate),
        ("CHAT_SOMETHING_NEW", 406, ours.ChatPrivate),
        ("ALLOW_PAYMENT_REQUIRED_5", 403, ours.ChatPrivate),
        ("TOPIC_DELETED", 400, ours.ChatPrivate),
        ("USER_DELETED", 403, ours.ChatNotFound),
        ("CHANNEL_ID_INVALID", 400, StalePeer),
        ("USER_INVALID", 400, StalePeer),
    ],
)
def test_what_to_do_next_follows_from_the_name(message: str, code: int, expected: type) -> None:
    error = translate(named(message, code), "messages.getHistory")
    assert type(error) is expected


@pytest.mark.parametrize(
    ("message", "seconds", "reason"),
    [
        ("FLOOD_WAIT_31", 31, "flood"),
        ("FLOOD_WAIT_0", 1, "flood"),
        ("FLOOD_PREMIUM_WAIT_7", 7, "premium"),
        ("TAKEOUT_INIT_DELAY_86400", 86_400, "takeout"),
        ("SLOWMODE_WAIT_9", 9, "flood"),
        ("FLOOD_OF_A_NEW_KIND_11", 11, "flood"),
        ("FLOOD_UNTOLD", 60, "flood"),
    ],
)
def test_a_flood_says_how_long_and_why(message: str, seconds: int, reason: str) -> None:
    error = translate(named(message, 420), "messages.getHistory")
    assert isinstance(error, ours.FloodWaitError)
    assert (error.seconds, error.reason, error.method) == (seconds, reason, "messages.getHistory")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(), ours.NetworkError),
        (asyncio.IncompleteReadError(b"", 4), ours.NetworkError),
        (OSError("no route"), ours.NetworkError),
        (asyncio.CancelledError(), ours.NetworkError),
        (vendor.InvalidChecksumError(1, 2), ours.NetworkError),
        (vendor.InvalidBufferError(b"\x53\xfe\xff\xff"), ours.NetworkError),
        (vendor.SecurityError("odd"), ours.NetworkError),
        (TimeoutError(), ours.DeadlineExceeded),
        (vendor.AuthKeyNotFound(), ours.SessionRevoked),
        (vendor.TypeNotFoundError(0x1234, b""), ours.Undecodable),
    ],
)
def test_troubles_of_the_connection(error: BaseException, expected: type) -> None:
    assert type(translate(error, "users.getUsers")) is expected


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (asyncio.IncompleteReadError(b"", 4), "the other side closed it"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (vendor.InvalidBufferError(b"\x53\xfe\xff\xff"), "too many, transport error 429"),
        (vendor.InvalidBufferError(b"\x44\xfe\xff\xff"), "transport error 444"),
        (vendor.InvalidBufferError(b"\x44"), "InvalidBufferError"),
        (ConnectionError("closed"), "ConnectionError"),
    ],
)
def test_why_a_connection_failed_is_said_in_words_where_there_are_any(error: Exception, words: str) -> None:
    assert str(translate(error, "users.getUsers")).endswith(f"{words}).")


@pytest.mark.parametrize("bug", [ValueError("x"), KeyError("x"), AttributeError("x"), KeyboardInterrupt()])
def test_a_bug_stays_a_bug(bug: BaseException) -> None:
    assert translate(bug, "users.getUsers") is None


def test_a_narrow_class_stands_above_its_base() -> None:
    rows = [kind for kinds, _ in TABLE for kind in kinds]
    for place, kind in enumerate(rows):
        assert not any(issubclass(kind, above) for above in rows[:place]), kind


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ours.NetworkError("x"), True),
        (ours.DeadlineExceeded("x"), True),
        (ours.ServerError("x"), False),
        (ours.FloodWaitError(1, "m"), False),
        (ours.ChatPrivate("x"), False),
    ],
)
def test_after_which_errors_the_connection_is_made_anew(error: ours.TgPipelineError, *, expected: bool) -> None:
    assert is_connection_fault(error) is expected


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("CHANNEL_PRIVATE", 400, "The account may not read this chat (CHANNEL_PRIVATE). Join it with this account"),
        ("USERNAME_NOT_OCCUPIED", 400, "Telegram knows no such chat (USERNAME_NOT_OCCUPIED)."),
        (
            "SESSION_REVOKED",
            401,
            "Telegram no longer accepts this session (SESSION_REVOKED). Log in again with `tg-pip",
        ),
        ("AUTH_KEY_DUPLICATED", 406, "The session was used by two connections at once (AUTH_KEY_DUPLICATED) and is "),
        ("API_ID_INVALID", 400, "Telegram rejects the API credentials (API_ID_INVALID). Check TELEGRAM_API_ID and "),
        ("INTERNAL", 500, "Telegram answered messages.getHistory with an error of its own (INTERNAL)."),
        ("SOMETHING_NEW", 400, "Telegram rejects messages.getHistory (SOMETHING_NEW)."),
    ],
)
def test_the_sentence_names_the_error_as_telegram_does(name: str, code: int, sentence: str) -> None:
    assert str(translate(named(name, code), "messages.getHistory")).startswith(sentence)


ADVICE = (
    "Log in again",
    "Log in as",
    "Join it",
    "not enough",
    "Upgrade",
    "@SpamBot",
    "another account",
    "my.telegram.org",
)
HELPS = {
    "AUTH_KEY_UNREGISTERED": "Log in again",
    "AUTH_KEY_DUPLICATED": "Log in again",
    "SESSION_PASSWORD_NEEDED": "Log in again",
    "USER_DEACTIVATED": "another account",
    "USER_DEACTIVATED_BAN": "another account",
    "PHONE_NUMBER_BANNED": "@SpamBot",
    "FROZEN_METHOD_INVALID": "@SpamBot",
    "PEER_FLOOD": "@SpamBot",
    "BOT_METHOD_INVALID": "Log in as",
    "API_ID_INVALID": "my.telegram.org",
    "API_ID_PUBLISHED_FLOOD": "my.telegram.org",
    "CONNECTION_API_ID_INVALID": "my.telegram.org",
    "CONNECTION_LAYER_INVALID": "Upgrade",
    "INPUT_CONSTRUCTOR_INVALID": "Upgrade",
    "UPDATE_APP_TO_LOGIN": "Upgrade",
    "CHANNEL_PRIVATE": "Join it",
    "CHAT_FORBIDDEN": "Join it",
    "CHANNEL_PUBLIC_GROUP_NA": "Join it",
    "CHAT_ADMIN_REQUIRED": "not enough",
    "USER_BANNED_IN_CHANNEL": "not enough",
    "CHANNEL_BANNED": "not enough",
    "USER_PRIVACY_RESTRICTED": "not enough",
}


@pytest.mark.parametrize("name", HELPS)
def test_each_error_gives_the_one_advice_that_helps(name: str) -> None:
    found = str(translate(named(name), "messages.getHistory"))
    assert [advice for advice in ADVICE if advice in found] == [HELPS[name]]


@pytest.mark.parametrize("name", sorted(name for name in rpc_errors_dict if name.startswith(("CHANNEL_", "CHAT_"))))
def test_what_concerns_one_chat_stops_no_other(name: str) -> None:
    found = translate(named(name), "messages.getHistory")
    assert isinstance(found, ours.ChatError | ours.ServerError)
