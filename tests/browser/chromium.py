"""One chromium and its tabs, over the DevTools protocol; whatever a tab requests, logs or throws is kept.

Nothing of it outlives the test: its profile lies in the folder that it is given, and it is ended by its process id.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.cluster import WITHIN, wait_until

#: What it is called: by Debian, by Ubuntu and others, and by who else builds it.
_NAMES = ("chromium", "chromium-browser", "google-chrome")

_KEYS = {"Escape": 27, "Enter": 13, "ArrowDown": 40, "ArrowUp": 38}


class BrowserMissingError(Exception):
    """There is no chromium on this machine."""


def locate() -> str:
    """Return where chromium is."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    raise BrowserMissingError("no chromium on the PATH, and these tests need a real browser: run `make browser-deps`")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run chromium with its profile in *folder*, and give the address of its protocol."""
    options = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--hide-scrollbars", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--force-color-profile=srgb",
        "--remote-debugging-port=0", f"--user-data-dir={folder}",
    ]  # fmt: skip
    with (folder.parent / "chromium.log").open("wb") as log:
        # A session of its own: its helpers end with it, and nothing else does.
        process = subprocess.Popen([locate(), *options, "about:blank"], stdout=log, stderr=log, start_new_session=True)
        try:
            yield wait_until(
                lambda: _address(folder, process),
                "chromium offers its protocol",
                details=lambda: (folder.parent / "chromium.log").read_text(errors="replace")[-2000:],
            )
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _address(folder: Path, process: subprocess.Popen[bytes]) -> str | None:
    if process.poll() is not None:
        raise BrowserMissingError(f"chromium ended with {process.returncode}; see {folder.parent / 'chromium.log'}")
    try:
        port, path = (folder / "DevToolsActivePort").read_text().splitlines()
    except (FileNotFoundError, ValueError):  # not there, or not whole yet
        return None
    return f"ws://127.0.0.1:{port}{path}"


class Tab:
    """One tab, and what it did that a page should not do."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._session = ""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of a command of the protocol."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        where = {"sessionId": self._session} if self._session else {}
        await self._socket.send_json({"id": number, "method": method, "params": parameters, **where})
        result = await asyncio.wait_for(answer, WITHIN)
        assert "error" not in result, f"{method}: {result['error']}"
        found: dict[str, Any] = result["result"]
        return found

    async def listen(self) -> None:
        """Take what chromium says, until it is cancelled."""
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            else:
                self._note(said["method"], said["params"])

    def _note(self, event: str, about: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(about["exceptionDetails"]["exception"].get("description", "exception"))
        elif event == "Log.entryAdded":
            self.complaints.append(about["entry"]["text"])
        elif event == "Runtime.consoleAPICalled":
            self.complaints.append(str(about["args"]))
        elif event == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialog: {about['message']}")
        elif event == "Page.loadEventFired":
            self._loaded.set()

    async def start(self) -> None:
        """Make the tab, and have it tell everything."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")

    async def open(self, page: str, fragment: str = "") -> None:
        """Load address *page*, anew also if it is the same one."""
        for url in ("about:blank", page + fragment):
            self._loaded.clear()
            await self.call("Page.navigate", url=url)
            await asyncio.wait_for(self._loaded.wait(), WITHIN)
        await self.settle()

    async def evaluate(self, expression: str) -> Any:
        """Return what *expression* is in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def settle(self) -> None:
        """Wait until the page has drawn what it was last told, address changes included."""
        await self.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")

    async def press(self, *keys: str) -> None:
        """Press *keys* one after the other: a letter, or a name such as Escape."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            code = {"windowsVirtualKeyCode": _KEYS[key]} if key in _KEYS else {}
            await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text, **code)
            await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **code)
            await self.settle()

    async def resize(self, width: int, height: int, *, mobile: bool = False, scale: float = 1) -> None:
        """Make the window so large, in CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    async def prefer(self, scheme: str) -> None:
        """Ask the page for colour scheme *scheme*: light or dark."""
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await self.settle()

    async def picture(self) -> bytes:
        """Return what the window shows, as PNG."""
        answer = await self.call("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        return base64.b64decode(answer["data"])


@asynccontextmanager
async def tab(address: str) -> AsyncIterator[Tab]:
    """Open a tab of the chromium at *address*."""
    async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=1 << 28) as socket:
        made = Tab(socket)
        listening = asyncio.create_task(made.listen())
        try:
            await made.start()
            yield made
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
