"""Reading fault scripts from JSON, with one sentence for what is wrong in them."""

from fnmatch import fnmatchcase
from pathlib import Path

import orjson
from pydantic import ValidationError

from tg_pipeline.simulator.errors import SimulatorError
from tg_pipeline.simulator.faults.rules import FaultScript
from tg_pipeline.simulator.journal import method_name
from tg_pipeline.simulator.methods import HANDLERS


def load_script(path: Path) -> FaultScript:
    """The script in a file. Raises SimulatorError naming the file and the place."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SimulatorError(f"fault script {path} cannot be read: {error.strerror}") from error
    return parse_script(text, f"fault script {path}")


def parse_script(text: bytes, source: str = "fault script") -> FaultScript:
    """A script from JSON text. Raises SimulatorError, its sentence opening with `source`."""
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SimulatorError(f"{source} is not JSON: {error}") from error
    try:
        script = FaultScript.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise SimulatorError(f"{source}, {place}: {_sentence(first['type'], first['msg'])}") from error
    names = [method_name(request) for request in HANDLERS]
    for number, rule in enumerate(script.rules):
        if not any(fnmatchcase(name, rule.method) for name in names):
            raise SimulatorError(f"{source}, rules.{number}.method: no simulated method is called {rule.method!r}")
    return script


def _sentence(kind: str, message: str) -> str:
    return "there is no such key" if kind == "extra_forbidden" else message[0].lower() + message[1:]
