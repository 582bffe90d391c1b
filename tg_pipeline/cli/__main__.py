"""Where the process begins, before anything else of the program is imported."""

import signal
from types import FrameType

IMPORTING = "<frozen importlib._bootstrap>"


def main() -> None:
    """`tg-pipeline`. Ctrl-C while modules are being imported ends the process without a word: nothing has begun."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    from tg_pipeline.cli.main import main as run

    run()


def _interrupted(number: int, frame: FrameType | None) -> None:
    """As Python does it, except that an exception is not let loose in an import: it may come out as any other."""
    importing, caller = False, frame
    while caller is not None and not importing:
        importing, caller = caller.f_code.co_filename == IMPORTING, caller.f_back
    if importing:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    signal.default_int_handler(number, frame)


if __name__ == "__main__":
    main()
