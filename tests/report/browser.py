"""A headless Chromium for tests of pages, driven over its debugging pipe; no package is needed for that.

Protocol: https://chromedevtools.github.io/devtools-protocol/ (messages are JSON, each ended by a zero byte).
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Nothing is loaded, shown, looked up or kept. Chromium's sandbox does not start for root, as in containers.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)
HEIGHT = 900  # pixels of the window
A4_INSIDE = (672, 994)  # 178 x 263 mm in CSS pixels: A4 without the margins of the style sheet


def find_chromium() -> str | None:
    """Return the path of an installed Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One window. `problems` holds what the console said and what did not load since the last `open`."""

    def __init__(self, program: str, profile: Path) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # Chromium reads from 3 and writes to 4. Away from these two, so that one copy does not cover the other.
        ends = tuple(fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (to_read, to_write))
        command = f'exec "$0" "$@" 3<&{ends[0]} 4>&{ends[1]}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (to_read, to_write, *ends):
            os.close(end)
        self._rest, self._count, self._session, self._loaded = b"", 0, "", False
        self.problems: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)
        os.close(self._read)
        os.close(self._write)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            block = os.read(self._read, 1 << 20)
            if not block:
                raise RuntimeError("Chromium ended")
            self._rest += block
        message, self._rest = self._rest.split(b"\0", 1)
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, message: dict[str, Any]) -> None:
        method, values = message.get("method"), message.get("params", {})
        if method == "Log.entryAdded":
            self.problems.append(f"{values['entry']['level']}: {values['entry']['text']}")
        elif method == "Runtime.exceptionThrown":
            self.problems.append(f"exception: {values['exceptionDetails']['text']}")
        elif method == "Runtime.consoleAPICalled":
            self.problems.append(f"console.{values['type']}")
        elif method == "Network.requestWillBeSent" and values["request"]["url"].startswith("http"):
            self.problems.append(f"asks for {values['request']['url']}")
        elif method == "Page.loadEventFired":
            self._loaded = True

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come in between are noted."""
        self._count += 1
        session = {"sessionId": self._session} if self._session else {}
        text = json.dumps({"id": self._count, "method": method, "params": values, **session})
        os.write(self._write, text.encode() + b"\0")
        while (message := self._receive()).get("id") != self._count:
            self._note(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        result: dict[str, Any] = message["result"]
        return result

    def open(self, page: Path, width: int, scheme: str = "light", height: int = HEIGHT) -> None:
        """Load a page in a window of `width` CSS pixels, for readers of a light or dark `scheme`."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.problems, self._loaded = [], False
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not self._loaded:
            self._note(self._receive())

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def as_printed(self, page: Path, scheme: str = "light") -> None:
        """Load a page as it is laid out on A4 paper inside its margins, without page breaks."""
        self.open(page, A4_INSIDE[0], scheme, A4_INSIDE[1])
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media="print", features=features)
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def pdf(self) -> bytes:
        """Return what is printed, in the page's own paper size."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    def picture(self, path: Path) -> None:
        """Save a picture of the whole page."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))
