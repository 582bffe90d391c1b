"""Talk with a running Dagster webserver over its public GraphQL."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tg_pipeline.contracts.errors import SettingsError, TgPipelineError

TIMEOUT_SECONDS = 60
UNREACHABLE = "DagsterUserCodeUnreachableError"
"""How Dagster names the error, in the message."""
DEFAULT_URL = "http://127.0.0.1:3000"
"""Where Dagster listens that was told nothing else."""


class WebserverError(TgPipelineError):
    """Dagster's webserver does not answer, or refuses what it was asked."""


class CodeServerUnreachable(WebserverError):
    """The webserver answers, and the process that loads the definitions does not."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"Dagster's code server does not answer the webserver at {url}. Try again in a minute; if that does not "
            "help, stop `tg-pipeline up` and start it again."
        )


class NobodyAnswers(WebserverError):
    """There is no webserver at the address."""


def write_webserver_url(home: Path, url: str) -> None:
    """Say where the webserver of the instance in `home` listens from now on."""
    (home / "webserver.url").write_text(f"{url}\n")


def webserver_url(home: Path) -> str:
    """Where the webserver of the instance in `home` was last started. It may have ended since."""
    try:
        return (home / "webserver.url").read_text().strip()
    except FileNotFoundError:
        return DEFAULT_URL


def is_up(url: str) -> bool:
    """Whether a webserver answers at the address."""
    try:
        urllib.request.urlopen(f"{url}/server_info", timeout=5).close()  # noqa: S310 - our own webserver
    except OSError:
        return False
    return True


def ask(url: str, query: str, **variables: Any) -> Any:
    """The value of the query's one field. `url` is the webserver's, such as `http://127.0.0.1:3000`.

    Raises NobodyAnswers where nobody listens, CodeServerUnreachable, and WebserverError where there is no sensible
    answer or the answer's type is an error with a message.
    """
    request = urllib.request.Request(  # noqa: S310 - the operator's own webserver
        f"{url.rstrip('/')}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with _open(request) as response:
            answer = json.load(response)
    except (OSError, ValueError) as error:
        refused = isinstance(getattr(error, "reason", None), ConnectionRefusedError)
        raise (NobodyAnswers if refused else WebserverError)(f"Dagster does not answer at {url}: {error}.") from error
    if answer.get("errors"):
        raise _refused(url, f"refuses the query: {answer['errors'][0]['message']}")
    (value,) = answer["data"].values()
    if isinstance(value, Mapping) and "message" in value:
        raise _refused(url, value["message"].strip())
    return value


def reload_code_location(url: str, name: str = "tg_pipeline") -> None:
    """Have Dagster read `chats.yaml` anew. WebserverError with the reason where the definitions cannot be loaded."""
    entry = ask(url, _RELOAD, name=name)
    loaded = entry["locationOrLoadError"]
    if loaded["__typename"] == "PythonError":
        if UNREACHABLE in loaded["message"]:
            raise CodeServerUnreachable(url)
        reason = [loaded, *loaded["errorChain"]][-1]
        message = reason.get("error", reason)["message"].strip().removeprefix(f"{SettingsError.__module__}.")
        raise WebserverError(f"Dagster cannot load the definitions: {message.removeprefix('SettingsError: ')}")


def _refused(url: str, message: str) -> WebserverError:
    return CodeServerUnreachable(url) if UNREACHABLE in message else WebserverError(f"Dagster at {url}: {message}")


def _open(request: urllib.request.Request) -> Any:
    """The answer, also where its status is an error's: then the body says what is wrong."""
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310 - as above
    except urllib.error.HTTPError as error:
        return error


_RELOAD = """
mutation($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    ... on WorkspaceLocationEntry {
      locationOrLoadError { __typename ... on PythonError { message errorChain { error { message } } } }
    }
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}
"""
