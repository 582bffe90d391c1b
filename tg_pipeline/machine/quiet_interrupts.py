"""What a process of Dagster imports first: one that is asked to stop while it loads the rest ends without a stack.

Dagster raises an interrupt wherever the process happens to be (`raise_interrupts_as`, 1.13.27), which Python prints
with the stack. Hooks of the interpreter, since nothing of ours is running yet that could catch it.
"""

import sys
from types import TracebackType
from typing import Final

INTERRUPTS: Final = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}
"""By name: the rest of Dagster is loaded with the definitions."""

_print_uncaught = sys.excepthook
_print_unraisable = sys.unraisablehook


def _uncaught(kind: type[BaseException], error: BaseException, stack: TracebackType | None) -> None:
    if kind.__name__ not in INTERRUPTS:
        _print_uncaught(kind, error, stack)


def _unraisable(what: "sys.UnraisableHookArgs") -> None:
    if what.exc_type.__name__ not in INTERRUPTS:
        _print_unraisable(what)


sys.excepthook, sys.unraisablehook = _uncaught, _unraisable
