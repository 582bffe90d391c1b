"""Talk with a running Dagster webserver over its public GraphQL."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tg_pipeline.contracts.errors import SettingsError, TgPipelineError
from tg_pipeline.machine.http import http_client

TIMEOUT_SECONDS = 60
IS_UP_SECONDS = 5
UNREACHABLE = "DagsterUserCodeUnreachableError"
"""How Dagster names the error, in the message."""
DEFAULT_URL = "http://127.0.0.1:3000"
"""Where Dagster listens by default."""


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
        with http_client(url, IS_UP_SECONDS) as client:
            return client.get(f"{url}/server_info").is_success
    except httpx.HTTPError:
        return False


def ask(url: str, query: str, **variables: Any) -> Any:
    """The value of the query's one field. `url` is the webserver's, such as `http://127.0.0.1:3000`.

    Raises NobodyAnswers where nobody listens, CodeServerUnreachable, and WebserverError where there is no sensible
    answer or the answer's type is an error with a message.
    """
    answer = _post(url, {"query": query, "variables": variables})
    if answer.get("errors"):
        raise _refused(url, f"refuses the query: {answer['errors'][0]['message']}")
    (value,) = answer["data"].values()
    if isinstance(value, Mapping) and "message" in value:
        raise _refused(url, value["message"].strip())
    return value


def reload_code_location(url: str, name: str = "tg_pipeline") -> None:
    """Have Dagster read `chats.yaml` again. WebserverError with the reason where the definitions cannot be loaded."""
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


def _post(url: str, question: Mapping[str, Any]) -> Any:
    """The answer's JSON, also where its status is an error's: then the body says what is wrong."""
    try:
        with http_client(url, TIMEOUT_SECONDS) as client:
            return client.post(f"{url.rstrip('/')}/graphql", json=question).json()
    except (httpx.HTTPError, ValueError) as error:
        kind = NobodyAnswers if isinstance(error, httpx.ConnectError) else WebserverError
        raise kind(f"Dagster does not answer at {url}: {str(error) or type(error).__name__}.") from error


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
