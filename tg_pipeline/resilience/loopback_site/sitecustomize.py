"""Python imports this at start, before any other code (see `site`): puts the guard on, then hands over."""

import runpy
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

_HERE = Path(__file__).resolve().parent

# By path, not by name: the package and its dependencies need not be importable in every Python that is started.
try:
    runpy.run_path(str(_HERE.with_name("loopback.py")))["install"]()
except Exception as error:
    # Python would print a warning and go on without the guard; SystemExit it heeds.
    message = f"The loopback guard does not start: {error}"
    raise SystemExit(message) from error

# Python looks for one sitecustomize only; the one this file hides has its turn now.
_hidden = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if Path(entry).resolve() != _HERE])
if _hidden is not None and _hidden.loader is not None:
    _hidden.loader.exec_module(module_from_spec(_hidden))
