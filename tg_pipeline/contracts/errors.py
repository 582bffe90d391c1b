"""The error tree, grouped by what to do next.

TgPipelineError
├── RetryableError            the same call may succeed if made again
│   ├── NetworkError          connection refused, dropped, reset
│   ├── DeadlineExceeded      no answer within the call's deadline
│   ├── ServerError           Telegram answered with a 500-class error
│   └── PageIntegrityError    a page repeated or reordered ids and stayed so when read again
├── FloodWaitError            wait the given seconds, then the same call may be made
├── CircuitOpen               too many failures lately: nothing is called before the given time
├── LeaseUnavailable          another process holds the session or the chat; try later
├── StateUnavailable          the store that processes share cannot be reached or written; try later
├── Stopped                   somebody asked to stop; what is done is kept
├── ChatError                 skip this chat; others are unaffected
│   ├── ChatNotFound          nobody of that name, or the account cannot see it
│   │   └── UsernameUnknown   nobody has that username, whichever account asks
│   ├── ChatPrivate           the account is not (or no longer) a member
│   └── ChatMoved             the chat goes on as another one
│       └── UsernameTaken     the username now belongs to another chat than the one registered
├── OperatorError             stop and call a person
│   ├── SessionMissing        no login on this machine
│   ├── SessionRevoked        the login is dead; a person must log in again
│   ├── WrongAccount          the chat belongs to another account than the sessions'
│   ├── Undecodable           an answer holds something that this version cannot decode
│   └── ApiRejected           api id or hash is wrong, the account is banned, or a request was malformed
├── InputError                a person or a program asked for something that cannot be
│   └── SettingsError         a setting or a file of settings is wrong
└── StorageError              the archive could not be read or written
    ├── DiskFull              there is no space for it; try later
    └── DayFileError          a file where a day file should be is not one

`str(error)` is always one or two plain sentences that may be shown to a person; secrets never enter it.
"""


class TgPipelineError(Exception):
    """Base of every error that the project raises on purpose."""


class RetryableError(TgPipelineError):
    """The same call may succeed if made again."""


class NetworkError(RetryableError):
    """The connection was refused, dropped or reset."""


class DeadlineExceeded(RetryableError):
    """No answer within the call's deadline."""


class ServerError(RetryableError):
    """Telegram answered with a 500-class error."""


class PageIntegrityError(RetryableError):
    """A page repeated or reordered ids, and did so again when read again."""


class FloodWaitError(TgPipelineError):
    """Telegram asks for a pause before this method is called again.

    `seconds` is Telegram's number; `method` the request's name; `reason` is "flood", "premium" or "takeout".
    """

    def __init__(self, seconds: int, method: str, reason: str = "flood") -> None:
        super().__init__(f"Telegram asks to wait {seconds} s before the next {method} ({reason} wait).")
        self.seconds = seconds
        self.method = method
        self.reason = reason


class CircuitOpen(TgPipelineError):
    """The breaker of `component` lets nothing through for another `seconds`; nothing was called.

    `cause` is the sentence of the failure that opened it, where that is known.
    """

    def __init__(self, component: str, seconds: float, cause: str = "") -> None:
        last = f" The last failure: {cause}" if cause else ""
        super().__init__(
            f"Too many calls to {component} failed lately; the next one may be made in {seconds:.0f} s.{last}"
        )
        self.component = component
        self.seconds = seconds


class LeaseUnavailable(TgPipelineError):
    """Another process holds the lease and did not free it in the time allowed.

    `holder` says which, as far as it is known: "process 4711 since 2025-01-31T10:00:00+00:00", "another machine".
    """

    def __init__(self, message: str, *, holder: str = "") -> None:
        super().__init__(message)
        self.holder = holder


class StateUnavailable(TgPipelineError):
    """The store that processes share cannot be reached, or not be written."""


class Stopped(TgPipelineError):
    """The work was ended in order because somebody asked for it; the next call goes on from there."""


class ChatError(TgPipelineError):
    """This chat cannot be read; others are unaffected."""


class ChatNotFound(ChatError):
    """Nobody of that name, or nothing the account can see."""


class UsernameUnknown(ChatNotFound):
    """Nobody has that username, whichever account asks."""


class ChatPrivate(ChatError):
    """The account is not, or no longer, a member of the chat."""


class ChatMoved(ChatError):
    """The chat goes on as another one."""


class UsernameTaken(ChatMoved):
    """The username now belongs to another chat than the one registered, whichever account asks."""


class OperatorError(TgPipelineError):
    """Nothing will work until a person acts."""


class SessionMissing(OperatorError):
    """There is no login on this machine."""


class SessionRevoked(OperatorError):
    """The login is dead for good. `session` is its fingerprint, where it is one of those kept here."""

    session: str | None = None


class WrongAccount(OperatorError):
    """The chat's message ids are those of another account than the session's, or of any session here."""


class Undecodable(OperatorError):
    """An answer holds something that this version cannot decode; one without it may be decoded.

    `constructor` is the number of the type that is not known, None where it is something else.
    """

    def __init__(self, message: str, *, constructor: int | None = None) -> None:
        super().__init__(message)
        self.constructor = constructor


class ApiRejected(OperatorError):
    """Telegram rejects the API id, the account, or the form of a request."""


class InputError(TgPipelineError):
    """Something was asked for that cannot be; the message says what, where and what is allowed.

    `field` names the argument, option or setting that is wrong, where one is; of several, the first.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class SettingsError(InputError):
    """A setting, or a file of settings, is wrong."""


class StorageError(TgPipelineError):
    """The archive could not be read or written."""


class DiskFull(StorageError):
    """There is no space left, or the quota is used up; what was there before is untouched."""


class DayFileError(StorageError):
    """A file where a day file should be is truncated, foreign or of an unknown version."""


def other_account_hint(account: int | None) -> str:
    """What to do about a chat that belongs to `account`, or to one that is not known."""
    owner = "the account that it was archived with" if account is None else f"account {account}"
    return (
        f"Log in with {owner} again (`tg-pipeline login`), which must be the chat's `account` in chats.yaml if one is "
        "named there, or register the other account's chat under a slug of its own "
        "(`tg-pipeline chats add CHAT --slug SLUG --account ID`)."
    )


TRY_LATER = (RetryableError, FloodWaitError, CircuitOpen, LeaseUnavailable, StateUnavailable, DiskFull)
"""What may be gone after a while, though nobody does anything about it."""
