"""Log lines on standard error: for people at a terminal, with time and origin elsewhere."""

import logging
import sys

from rich.console import Console
from rich.logging import RichHandler


def log_to_stderr(level: str) -> None:
    """Set up logging for this process.

    Telethon's own lines are kept down, because what they tell comes as our errors, and those of Alembic, which speaks
    whenever Dagster's history is opened.
    """
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = RichHandler(console=Console(stderr=True), show_path=False)
        handler.setFormatter(logging.Formatter("%(message)s", datefmt="[%X]"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("telethon").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
