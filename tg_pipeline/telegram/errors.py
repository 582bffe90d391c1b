"""Vendor errors cross into the project's error tree here, once, through one table.

The table is read top down: the first row whose class matches wins, so that a narrow class stands above its base.
Rules: telegram-facts "Limits and errors"; errors are matched by class, because CHANNEL_PRIVATE sent as 406 still
carries code 400, and FLOOD_PREMIUM_WAIT is a sibling, not a subclass, of FLOOD_WAIT.
"""

import asyncio
import re
from collections.abc import Callable

from telethon import errors as vendor

from tg_pipeline.contracts.errors import (
    ApiRejected,
    ChatError,
    ChatNotFound,
    ChatPrivate,
    DeadlineExceeded,
    FloodWaitError,
    NetworkError,
    RetryableError,
    ServerError,
    SessionRevoked,
    TgPipelineError,
    Undecodable,
    UsernameUnknown,
)

UPGRADE_HINT = "Upgrade with `pip install --upgrade tg-pipeline`: a newer one may know it."
LOGIN_HINT = "Log in again with `tg-pipeline login`."


class StalePeer(ChatNotFound):
    """The remembered access hash no longer opens the chat; resolve it again, once."""


SERVER_ERRORS = 500
"""From this code on, whatever its sign, the fault is Telegram's: -503 and -504 are answers that took too long."""
UNSAID_WAIT_SECONDS = 60
"""The pause after a flood error that names no number of seconds."""


def _flood(error: BaseException, method: str) -> TgPipelineError:
    reason = {
        vendor.FloodPremiumWaitError: "premium",
        vendor.TakeoutInitDelayError: "takeout",
    }.get(type(error), "flood")
    seconds = getattr(error, "seconds", None)
    if _name(error).startswith("FROZEN_"):
        return _banned(error, method)
    if seconds is None:
        number = re.search(r"_(\d+)$", _name(error))
        seconds = int(number[1]) if number else UNSAID_WAIT_SECONDS
    return FloodWaitError(max(1, seconds), method, reason)


def _dead(error: BaseException, _method: str) -> TgPipelineError:
    return SessionRevoked(f"Telegram no longer accepts this session ({_name(error)}). {LOGIN_HINT}")


def _duplicated(_error: BaseException, _method: str) -> TgPipelineError:
    return SessionRevoked(
        "The session was used by two connections at once (AUTH_KEY_DUPLICATED) and is dead for good. "
        f"{LOGIN_HINT} Use one session in one place only."
    )


def _deactivated(error: BaseException, _method: str) -> TgPipelineError:
    return SessionRevoked(
        f"Telegram has banned or deleted this account ({_name(error)}), and to log in again does not help. "
        "Remove its session, and use that of another account."
    )


def _half_logged_in(error: BaseException, _method: str) -> TgPipelineError:
    return SessionRevoked(f"The account's password was never given for this session ({_name(error)}). {LOGIN_HINT}")


def _bot(error: BaseException, method: str) -> TgPipelineError:
    return ApiRejected(
        f"This session is a bot's, and bots may not use {method} ({_name(error)}). "
        "Log in as a user: `tg-pipeline login`."
    )


def _outdated(error: BaseException, method: str) -> TgPipelineError:
    return ApiRejected(
        f"Telegram no longer understands {method} as this version sends it ({_name(error)}). {UPGRADE_HINT}"
    )


def _private(error: BaseException, _method: str) -> TgPipelineError:
    return ChatPrivate(f"The account may not read this chat ({_name(error)}). Join it with this account first.")


def _closed(error: BaseException, _method: str) -> TgPipelineError:
    return ChatPrivate(f"Telegram does not let the account read this chat ({_name(error)}); to join it is not enough.")


def _unknown_name(error: BaseException, _method: str) -> TgPipelineError:
    return UsernameUnknown(f"Telegram knows no such chat ({_name(error)}).")


def _deleted(error: BaseException, _method: str) -> TgPipelineError:
    return ChatNotFound(f"Telegram knows no such chat ({_name(error)}).")


def _stale(error: BaseException, _method: str) -> TgPipelineError:
    return StalePeer(f"Telegram does not open this chat for the account ({_name(error)}).")


def _server(error: BaseException, method: str) -> TgPipelineError:
    return ServerError(f"Telegram answered {method} with an error of its own ({_name(error)}).")


def _network(error: BaseException, method: str) -> TgPipelineError:
    return NetworkError(f"The connection failed during {method} ({reason(error)}).")


def reason(error: BaseException) -> str:
    """Why a connection failed, in words where there are any."""
    match error:
        case EOFError():
            return "the other side closed it"
        case vendor.InvalidBufferError(code=429):
            return "Telegram says that there are too many, transport error 429"
        case vendor.InvalidBufferError(code=int(code)):
            return f"transport error {code}"
        case OSError(strerror=str(words)):
            return words
        case _:
            return type(error).__name__


def _deadline(_error: BaseException, method: str) -> TgPipelineError:
    return DeadlineExceeded(f"No answer to {method} within its deadline.")


def _api(error: BaseException, _method: str) -> TgPipelineError:
    return ApiRejected(
        f"Telegram rejects the API credentials ({_name(error)}). Check TELEGRAM_API_ID and TELEGRAM_API_HASH "
        "against https://my.telegram.org."
    )


def _moved(error: BaseException, _method: str) -> TgPipelineError:
    return ApiRejected(f"The account lives in another data centre ({_name(error)}). {LOGIN_HINT}")


def _banned(error: BaseException, _method: str) -> TgPipelineError:
    return ApiRejected(
        f"Telegram has banned, frozen or limited this account ({_name(error)}). "
        "What can be done about it stands in a Telegram app, in the chat with @SpamBot."
    )


class NotDecoded(Exception):
    """Telethon failed to decode an answer; its own error is the cause."""


def _not_decoded(error: BaseException, method: str) -> TgPipelineError:
    cause = error.__cause__ if isinstance(error, NotDecoded) else error
    number = getattr(cause, "invalid_constructor_id", None)
    what = type(cause).__name__ if number is None else f"the type {number:08x}"
    return Undecodable(
        f"Telegram's answer to {method} holds something that this version cannot decode ({what}). {UPGRADE_HINT}",
        constructor=number,
    )


def _forbidden(error: BaseException, method: str) -> TgPipelineError:
    found = _refused(error, method)
    return found if isinstance(found, ChatError) else _closed(error, method)


def _rejected(error: BaseException, method: str) -> TgPipelineError:
    return ApiRejected(f"Telegram rejects {method} ({_name(error)}).")


Row = tuple[tuple[type[BaseException], ...], Callable[[BaseException, str], TgPipelineError]]

NAMED: tuple[tuple[str, Callable[[BaseException, str], TgPipelineError]], ...] = (
    ("FROZEN_.*|PEER_FLOOD", _banned),
    ("CONNECTION_LAYER_INVALID|INPUT_(CONSTRUCTOR|LAYER|METHOD)_INVALID|INPUT_FETCH_(ERROR|FAIL)", _outdated),
    ("UPDATE_APP_TO_LOGIN", _outdated),
    ("USERNAME_.*", _unknown_name),
    ("USER_DELETED|INPUT_USER_DEACTIVATED", _deleted),
    ("(CHANNEL|CHAT|USER)(_ID)?_(INVALID|EMPTY)|PEER_ID_INVALID", _stale),
    ("CHANNEL_PRIVATE|CHAT_FORBIDDEN|CHANNEL_PUBLIC_GROUP_NA|USER_NOT_PARTICIPANT", _private),
    ("(CHANNEL|CHAT|MEGAGROUP|PEER|TOPIC|USER|ALLOW_PAYMENT|PREMIUM_ACCOUNT)_.*", _closed),
)
"""By Telegram's name, for requests that are refused: one row for kinds of names, because Telethon knows not all of them
(CHANNEL_MONOFORUM_UNSUPPORTED), and every one that begins like this concerns the chat or the account."""


def _refused(error: BaseException, method: str) -> TgPipelineError:
    name = _name(error)
    if abs(getattr(error, "code", None) or 0) >= SERVER_ERRORS:
        return _server(error, method)
    return next((make for names, make in NAMED if re.fullmatch(names, name)), _rejected)(error, method)


TABLE: tuple[Row, ...] = (
    ((vendor.AuthKeyDuplicatedError,), _duplicated),
    ((vendor.UserDeactivatedError, vendor.UserDeactivatedBanError), _deactivated),
    ((vendor.SessionPasswordNeededError,), _half_logged_in),
    ((vendor.AuthKeyNotFound, vendor.UnauthorizedError), _dead),
    ((vendor.PhoneNumberBannedError, vendor.FrozenMethodInvalidError), _banned),
    ((vendor.ApiIdInvalidError, vendor.ApiIdPublishedFloodError, vendor.ConnectionApiIdInvalidError), _api),
    ((vendor.BotMethodInvalidError,), _bot),
    ((vendor.FloodError,), _flood),
    ((vendor.ForbiddenError,), _forbidden),
    ((vendor.ConnectionNotInitedError,), _network),
    ((vendor.ServerError, vendor.TimedOutError), _server),
    ((vendor.InvalidDCError,), _moved),
    ((vendor.RPCError,), _refused),
    ((NotDecoded, vendor.TypeNotFoundError), _not_decoded),
    ((TimeoutError,), _deadline),
    (
        (
            OSError,
            EOFError,
            asyncio.CancelledError,
            vendor.InvalidChecksumError,
            vendor.InvalidBufferError,
            vendor.SecurityError,
            vendor.BadMessageError,
        ),
        _network,
    ),
)


def translate(error: BaseException, method: str) -> TgPipelineError | None:
    """Our error for a vendor's one met during `method`; None for what is no vendor error, such as a bug of ours."""
    return next((make(error, method) for classes, make in TABLE if isinstance(error, classes)), None)


def is_connection_fault(error: TgPipelineError) -> bool:
    """Whether the connection itself is in doubt after this error, so that it must be opened again."""
    return isinstance(error, RetryableError) and not isinstance(error, ServerError)


def _name(error: BaseException) -> str:
    """Telegram's own name for the error, such as CHANNEL_PRIVATE, which Telethon keeps in the class name only."""
    kind = type(error)
    if isinstance(error, vendor.RPCError) and kind.__module__ == vendor.RPCError.__module__:
        return str(error.message)
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__.removesuffix("Error")).upper()
