"""A headless Chromium without a network, spoken to through a pipe, and all that it complains of."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from roadseg.doctor.software import BROWSERS

ABSENT = "Chromium is not here: apt-get install chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
]


@dataclass
class Tab:
    """A page in a browser.

    Attributes:
        requests: every address that it asked for.
        complaints: errors and warnings of its console, and what it failed to load.
    """

    outgoing: Any
    incoming: Any
    unread: bytes = b""
    session: str = ""
    number: int = 0
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def call(self, method: str, **params: Any) -> Any:
        """Send one command of the DevTools protocol and wait for its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        self.outgoing.write(json.dumps(message).encode() + b"\0")
        self.outgoing.flush()
        while (answer := self._next()).get("id") != self.number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, page: Path | str) -> None:
        """Load a file, or an address of loopback, and wait until it and its pictures are there."""
        self.seen.clear()
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while "Page.loadEventFired" not in self.seen:
            self._next()

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def look(self, width: int, scheme: str = "light") -> None:
        """Show the page at a width in CSS pixels, in the light or in the dark."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, target: Path) -> None:
        """Write the whole page as a PNG."""
        whole = self.call("Page.getLayoutMetrics")["cssContentSize"]  # without it the size is the one before a change
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=whole | {"scale": 1})
        target.write_bytes(base64.b64decode(shot["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.unread:
            chunk = self.incoming.read1(1 << 20)
            assert chunk, "Chromium has ended; its log is chromium.log"
            self.unread += chunk
        message, _, self.unread = self.unread.partition(b"\0")
        event: dict[str, Any] = json.loads(message)
        self._note(event.get("method", ""), event.get("params", {}))
        return event

    def _note(self, method: str, params: dict[str, Any]) -> None:
        self.seen.append(method)
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Network.loadingFailed":
                self.complaints.append(f"not loaded: {params['errorText']}")
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(params["exceptionDetails"]["text"])
            case "Runtime.consoleAPICalled":
                self.complaints.append(f"console: {params['args']}")


@contextmanager
def chromium(folder: Path) -> Iterator[Tab]:
    """Start a browser with a new profile in `folder`; it ends with the block."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not program:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(ABSENT)
    to_browser, ours_out = os.pipe()
    ours_in, from_browser = os.pipe()
    command = ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "sh", program, *FLAGS]  # it wants 3 and 4
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=log,
            stderr=log,
        )
    os.close(to_browser)
    os.close(from_browser)
    with os.fdopen(ours_out, "wb") as outgoing, os.fdopen(ours_in, "rb") as incoming:
        tab = Tab(outgoing, incoming)
        try:
            target = tab.call("Target.createTarget", url="about:blank")["targetId"]
            tab.session = tab.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                tab.call(f"{domain}.enable")
            yield tab
        finally:
            process.terminate()
            process.wait()


def texts(tab: Tab, selector: str) -> list[str]:
    """What the elements say, with single spaces."""
    found = tab.evaluate(f"[...document.querySelectorAll({selector!r})].map(each => each.textContent)")
    return [" ".join(text.split()) for text in found]


def assert_quiet(tab: Tab, page: Path, width: int, scheme: str) -> None:
    """Open a page: it fits into the width, asks for nothing but itself, and its console is empty."""
    tab.requests.clear()
    tab.complaints.clear()
    tab.look(width, scheme)
    tab.open(page)
    assert tab.evaluate("document.fonts.ready.then(() => document.documentElement.scrollWidth)") <= width
    assert [each for each in tab.requests if not each.startswith("data:")] == [page.as_uri()]
    assert tab.complaints == []
