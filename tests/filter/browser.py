"""Drive a real browser over the DevTools protocol: open a file, press keys, read values, take pictures, download."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
CODES = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowUp": 38, "ArrowDown": 40, "Enter": 13, "Backspace": 8, "Escape": 27}


class Browser:
    """One tab of a headless browser; everything that it logs or requests is in `errors` and `requests`."""

    def __init__(self, folder: Path) -> None:
        program = next((path for name in NAMES if (path := shutil.which(name))), None)
        if program is None:
            pytest.skip(f"none of {', '.join(NAMES)} is installed: the page is tried in a browser where there is one")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._wait(self._connect())

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(work, 60))

    async def _connect(self) -> None:
        port_file = self.folder / "profile" / "DevToolsActivePort"
        deadline = time.monotonic() + 50
        while not (port_file.exists() and port_file.read_text().count("\n")):
            assert self.process.poll() is None, "the browser ended before it opened its port"
            assert time.monotonic() < deadline, "the browser did not open its port"
            await asyncio.sleep(0.05)
        port = port_file.read_text().split("\n")[0]
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            tab = next(entry for entry in await answer.json() if entry["type"] == "page")
        self._socket = await self._session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0)
        self._reader = asyncio.ensure_future(self._read())
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._send(f"{domain}.enable")

    async def _read(self) -> None:
        async for message in self._socket:
            content = json.loads(message.data)
            if "id" in content:
                self._answers.pop(content["id"]).set_result(content)
            else:
                self._note(content["method"], content["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(params["args"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:200])
        elif method == "Page.loadEventFired":
            self._loaded.set()

    async def _send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(json.dumps({"id": self._number, "method": method, "params": params}))
        content = await answer
        assert "error" not in content, (method, content)
        return content["result"]

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        result: dict[str, Any] = self._wait(self._send(method, **params))
        return result

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        self._loaded.clear()
        self.send("Page.navigate", url=path.as_uri())
        self._wait(self._loaded.wait())

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, *keys: str, repeat: bool = False, control: bool = False) -> None:
        """Press keys one after the other; text keys by their character."""
        for key in keys:
            text = {"text": key} if len(key) == 1 and not control else {"text": "\r"} if key == "Enter" else {}
            more = {"modifiers": 2} if control else {}
            code = CODES.get(key, ord(key.upper()) if len(key) == 1 else 0)
            event = {"key": key, "windowsVirtualKeyCode": code, **more}
            self.send("Input.dispatchKeyEvent", type="keyDown", autoRepeat=repeat, **event, **text)
            if not repeat:
                self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def write(self, text: str) -> None:
        """Type into the focused field."""
        self.send("Input.insertText", text=text)

    def size(self, width: int, height: int, dark: bool = False, phone: bool = False) -> None:
        """Set the window's size and whether dark colours are preferred."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def picture(self, path: Path) -> None:
        """Write what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def downloads_to(self, folder: Path) -> None:
        """Let the page download into `folder`."""
        self.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def downloaded(self, folder: Path, count: int = 1) -> list[Path]:
        """Wait for `count` finished downloads and return them by name."""
        deadline = time.monotonic() + 20
        while True:
            files = sorted(path for path in folder.iterdir() if path.suffix == ".csv")
            if len(files) == count:
                return files
            assert time.monotonic() < deadline, sorted(folder.iterdir())
            self._wait(asyncio.sleep(0.05))

    def close(self) -> None:
        """End the browser."""

        async def end() -> None:
            self._reader.cancel()
            await self._socket.close()
            await self._session.close()

        if hasattr(self, "_socket"):
            self._wait(end())
        self._loop.close()
        self.process.terminate()
        self.process.wait(timeout=20)
