"""The control port: a plain HTTP/JSON server on 127.0.0.1 through which a world is watched and changed."""

from tg_pipeline.simulator.control.http import listen
from tg_pipeline.simulator.control.routes import describe

__all__ = ["describe", "listen"]
