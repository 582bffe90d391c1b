"""Headless Chromium over the W3C WebDriver protocol (w3.org/TR/webdriver2): JSON over HTTP to a local chromedriver.

Elements are named by XPath, because what a person sees in Dagster's UI is text, and its class names change with every
build. Waiting is polling: a step is tried until it can be done.
"""

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tg_pipeline.machine.tether import tethered
from tg_pipeline_tests.processes import wait_until

T = TypeVar("T")

WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1
REQUEST_SECONDS = 60.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key that marks a JSON object as a reference to an element; fixed by the protocol."""
NOT_YET = {"no such element", "stale element reference", "element click intercepted", "element not interactable"}
"""Errors that a page still being drawn gives."""

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    # The page may ask for what it likes: nothing but this machine has an address.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--no-proxy-server",
]


def missing_programs() -> list[str]:
    """Which of chromium and chromedriver are not on PATH."""
    return [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


class BrowserError(Exception):
    """The browser refuses; `kind` is the protocol's name for why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message.splitlines()[0] if message else ''}")
        self.kind = kind


class Browser:
    """One window. Every step waits until it can be done, up to WAIT_SECONDS, and else raises TimeoutError."""

    def __init__(self, session_url: str) -> None:
        self._url = session_url

    def open(self, url: str) -> None:
        """Go there and wait until it has loaded."""
        _request("POST", f"{self._url}/url", {"url": url})

    def click(self, xpath: str, seconds: float = WAIT_SECONDS) -> None:
        """Click the first element of that path that can be clicked."""
        self._on_element(xpath, seconds, lambda url: _request("POST", f"{url}/click", {}))

    def write(self, xpath: str, text: str) -> None:
        """Type `text` into a field in the place of what it holds."""

        def into(url: str) -> None:
            select_all = "\ue009a\ue000"  # the protocol's codes: Control pressed, then all keys released
            _request("POST", f"{url}/value", {"text": select_all + text})

        self._on_element(xpath, WAIT_SECONDS, into)

    def see(self, xpath: str, seconds: float = WAIT_SECONDS) -> str:
        """The text of the first element of that path, once one is displayed."""
        return str(self._on_element(xpath, seconds, self._text_if_displayed))

    def screenshot(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(_request("GET", f"{self._url}/screenshot"))

    def source(self) -> str:
        """The document as it stands, as HTML."""
        return str(_request("GET", f"{self._url}/source"))

    def _on_element(self, xpath: str, seconds: float, do: Callable[[str], T]) -> T:
        deadline = time.monotonic() + seconds
        while True:
            problem = BrowserError("no such element", xpath)
            for element in self._find(xpath):
                try:
                    return do(f"{self._url}/element/{element}")
                except BrowserError as error:
                    if error.kind not in NOT_YET:
                        raise
                    problem = error
            if time.monotonic() > deadline:
                raise TimeoutError(f"{seconds:.0f} s were not enough for {xpath}") from problem
            time.sleep(POLL_SECONDS)

    def _find(self, xpath: str) -> list[str]:
        found = _request("POST", f"{self._url}/elements", {"using": "xpath", "value": xpath})
        return [element[ELEMENT] for element in found]

    @staticmethod
    def _text_if_displayed(url: str) -> str:
        if not _request("GET", f"{url}/displayed"):
            raise BrowserError("element not interactable", "it is not displayed")
        return str(_request("GET", f"{url}/text"))


@contextmanager
def browser(directory: Path, *, width: int = 1600, height: int = 1000) -> Iterator[Browser]:
    """A window of that size in pixels; the profile and logs lie in `directory`. Dies with this process.

    Where the block fails, `failure.png` and `failure.html` show in `directory` what the browser showed.
    """
    with _chromium(directory, width, height) as address, _driver(directory) as driver_url:
        options = {"browserName": "chrome", "goog:chromeOptions": {"debuggerAddress": address}}
        session = _request("POST", f"{driver_url}/session", {"capabilities": {"alwaysMatch": options}})
        window = Browser(f"{driver_url}/session/{session['sessionId']}")
        try:
            yield window
        except BaseException as error:
            (directory / "failure.png").write_bytes(window.screenshot())
            (directory / "failure.html").write_text(window.source())
            error.add_note(f"What the browser showed is in {directory}: failure.png, failure.html.")
            raise


@contextmanager
def _chromium(directory: Path, width: int, height: int) -> Iterator[str]:
    """The browser; gives the address of its debugging port.

    Not left to chromedriver to start: what that starts stays when it is killed.
    """
    profile = directory / "profile"
    own = [f"--window-size={width},{height}", f"--user-data-dir={profile}", "--remote-debugging-port=0"]
    with (directory / "chromium.log").open("wb") as log:
        chromium = subprocess.Popen(
            tethered(["chromium", *FLAGS, *own]), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        port = profile / "DevToolsActivePort"
        if not wait_until(lambda: port.is_file() and "\n" in port.read_text(), WAIT_SECONDS):
            raise TimeoutError((directory / "chromium.log").read_text())
        yield f"127.0.0.1:{port.read_text().splitlines()[0]}"
    finally:
        chromium.terminate()
        chromium.wait()


@contextmanager
def _driver(directory: Path) -> Iterator[str]:
    """Chromedriver on a free port; gives its address."""
    command = tethered(["chromedriver", "--port=0", f"--log-path={directory / 'chromedriver.log'}"])
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as driver:
        try:
            assert driver.stdout is not None
            ready = next(line for line in driver.stdout if "successfully on port" in line)
            port = ready.rpartition(" ")[2].rstrip(".\n")
            yield f"http://127.0.0.1:{port}"
        finally:
            driver.terminate()


def _request(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:  # noqa: S310 - our own loopback address
            return json.load(answer)["value"]
    except urllib.error.HTTPError as refusal:
        with refusal:
            value = json.load(refusal)["value"]
        raise BrowserError(value["error"], value["message"]) from None
