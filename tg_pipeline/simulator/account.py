"""The one account of the simulated Telegram, and the logins under way."""

import base64
import secrets
from dataclasses import dataclass, field
from functools import cached_property

from telethon.tl import types as tl

from tg_pipeline.simulator.authorizations import Authorization
from tg_pipeline.simulator.errors import SimulatorError
from tg_pipeline.simulator.srp import PasswordCheck

LOGIN_CODE = "12345"
CODE_SECONDS = 300
TOKEN_SECONDS = 30
DEFAULT_PHONE = "9996621234"


@dataclass
class LoginToken:
    """What a QR code shows: `authorization` asks to be logged in until `expires` (POSIX seconds)."""

    token: bytes
    authorization: Authorization
    expires: float
    accepted: bool = False


@dataclass
class Account:
    """Who can log in, and with what.

    `sent_codes`: phone and end of validity of each login code by its hash. `tokens`: QR logins by token. `transfers`:
    one-time secrets with which a login is carried to another data centre, by id. `takeouts`: open takeout sessions.
    """

    user: tl.User
    password: str | None = None
    sent_codes: dict[str, tuple[str, float]] = field(default_factory=dict)
    tokens: dict[bytes, LoginToken] = field(default_factory=dict)
    transfers: dict[int, bytes] = field(default_factory=dict)
    takeouts: set[int] = field(default_factory=set)

    @property
    def phone(self) -> str:
        """Digits only."""
        return self.user.phone or DEFAULT_PHONE

    @cached_property
    def password_check(self) -> PasswordCheck | None:
        """Made when first needed: the key derivation takes a tenth of a second."""
        return PasswordCheck(self.password) if self.password else None

    def send_code(self, phone: str, now: float) -> str:
        """Remember that a code went to `phone`; returns the hash that signIn must bring back."""
        code_hash = secrets.token_hex(9)
        self.sent_codes[code_hash] = (phone, now + CODE_SECONDS)
        return code_hash

    def new_token(self, authorization: Authorization, now: float) -> LoginToken:
        """A QR login for this key, in the place of any earlier one."""
        self.tokens = {key: old for key, old in self.tokens.items() if old.authorization is not authorization}
        login = LoginToken(secrets.token_bytes(32), authorization, now + TOKEN_SECONDS)
        self.tokens[login.token] = login
        return login

    def token_of(self, authorization: Authorization) -> LoginToken | None:
        """The QR login that this key has open."""
        return next((token for token in self.tokens.values() if token.authorization is authorization), None)

    def find_token(self, text: str | None) -> bytes:
        """The token in a `tg://login?token=` address (or bare, in base64); the youngest open one for None.

        Raises SimulatorError where there is none.
        """
        if text is None:
            if not self.tokens:
                raise SimulatorError("nobody has asked for a QR login")
            return list(self.tokens)[-1]
        encoded = text.rpartition("token=")[2]
        token = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        if token not in self.tokens:
            raise SimulatorError("there is no such login token")
        return token
