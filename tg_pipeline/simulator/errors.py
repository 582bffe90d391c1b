"""What the simulated server answers when it refuses a request."""

from tg_pipeline.contracts.errors import InputError


class RpcError(Exception):
    """A refusal that reaches the client as `rpc_error` with this code and message.

    Codes and names are Telegram's own (core.telegram.org/api/errors): 303 another data centre, 400 bad request,
    401 log in again, 406 refused for good, 420 wait, 500 and -503 the server's fault.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class SimulatorError(InputError):
    """The simulator was asked for something it cannot do; the message is one sentence for its user."""
