"""Headless Chromium over the DevTools protocol on a pair of pipes: no driver and no socket needed.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--remote-debugging-pipe",
)
SECONDS = 60.0

LOOK = """(() => {
  const edge = document.documentElement.clientWidth;
  const shows = image => {
    const box = image.getBoundingClientRect();
    return image.complete && image.naturalWidth > 0 && box.width > 0 && box.height > 0;
  };
  const hinted = box => {
    const after = getComputedStyle(box, '::after');
    const hint = ['none', 'normal'].includes(after.content) ? 0 : parseFloat(after.width) || 0;
    const cover = box.querySelector('.end').getBoundingClientRect();
    const right = box.getBoundingClientRect().right;
    return hint > 0 && (cover.left > right - hint + 0.5 || cover.right < right - 0.5);
  };
  const scrolled = box => {
    const scroller = box.querySelector('.scroll');
    const wide = scroller.scrollWidth > scroller.clientWidth + 1;
    const before = hinted(box);
    scroller.scrollLeft = scroller.scrollWidth;
    const after = hinted(box);
    scroller.scrollLeft = 0;
    return [wide, before, after];
  };
  const isShrunk = image => image.clientWidth < (parseFloat(image.style.getPropertyValue('--least')) || 0) - 0.5;
  const hasText = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  const outside = element => element.getBoundingClientRect().right > edge + 0.5 && !element.closest('.wide > *');
  return JSON.stringify({
    page: document.scrollingElement.scrollWidth,
    window: edge,
    images: [...document.images].map(shows),
    shrunk: [...document.images].filter(isShrunk).length,
    letters: Math.min(...[...document.body.querySelectorAll('*')].filter(hasText)
      .map(element => parseFloat(getComputedStyle(element).fontSize))),
    boxes: [...document.querySelectorAll('.wide')].map(scrolled),
    outside: [...document.body.querySelectorAll('*')].filter(outside).map(element => element.tagName.toLowerCase()),
  });
})()"""


def program() -> str | None:
    """The installed Chromium, if there is one."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class Look:
    """What a page looks like.

    Attributes:
        page, window: their widths in CSS pixels. images: whether each shows.
        shrunk: how many of them are narrower than their letters allow. letters: CSS pixels of the smallest text.
        boxes: of each that may scroll, whether it is wider than the window, whether a hint says so, and whether one is
            left at its end.
        outside: tags of the elements that reach over the right edge without a box of their own to scroll in.
        console: warnings, errors and exceptions. requests: addresses beyond the page itself and what it holds.
    """

    page: int
    window: int
    images: tuple[bool, ...]
    shrunk: int
    letters: float
    boxes: tuple[tuple[bool, bool, bool], ...]
    outside: tuple[str, ...]
    console: tuple[str, ...]
    requests: tuple[str, ...]


class Browser:
    """One Chromium with one tab, as a context manager."""

    def __init__(self, profile: Path) -> None:
        to_browser, commands = os.pipe()
        events, from_browser = os.pipe()
        inherited = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_browser, from_browser)]

        def connect() -> None:  # Chromium reads commands from descriptor 3 and answers on 4
            os.dup2(inherited[0], 3)
            os.dup2(inherited[1], 4)

        self._process = subprocess.Popen(
            [str(program()), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=connect,
        )
        for end in (to_browser, from_browser, *inherited):
            os.close(end)
        self._commands, self._events = commands, events
        self._numbers, self._buffer = itertools.count(1), b""
        self._seen: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    _session: str | None = None

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        os.close(self._commands)  # the browser ends when nobody can command it
        os.close(self._events)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def look(self, page: Path, width: int, screenshot: Path | None = None) -> Look:
        """Open a file in a window so many CSS pixels wide, and tell what is to be seen."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        self._seen.clear()
        address = page.resolve().as_uri()
        self._call("Page.navigate", url=address)
        while not any(message["method"] == "Page.loadEventFired" for message in self._seen):
            self._receive()
        answer = self._call("Runtime.evaluate", expression=LOOK)  # asked after the page loaded: its events came before
        seen = json.loads(answer["result"]["value"])
        if screenshot is not None:
            height = self._call("Page.getLayoutMetrics")["cssContentSize"]["height"]
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            shot = self._call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
            screenshot.write_bytes(base64.b64decode(shot["data"]))
        return Look(
            seen["page"],
            seen["window"],
            tuple(seen["images"]),
            seen["shrunk"],
            seen["letters"] or 0.0,
            tuple((wide, before, after) for wide, before, after in seen["boxes"]),
            tuple(seen["outside"]),
            tuple(filter(None, map(_complaint, self._seen))),
            tuple(filter(None, (_request(message, address) for message in self._seen))),
        )

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        """The next message; events are kept too."""
        deadline = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._events], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(self._events, 1 << 20) if ready else b""
            if not part:
                raise TimeoutError("Chromium does not answer")
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self._seen.append(message)
        return message


def _complaint(message: dict[str, Any]) -> str | None:
    content = message["params"]
    if message["method"] == "Runtime.exceptionThrown":
        return str(content["exceptionDetails"]["text"])
    if message["method"] == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning", "assert"):
        return " ".join(str(item.get("value", item)) for item in content["args"])
    if message["method"] == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
        return str(content["entry"]["text"])
    return None


def _request(message: dict[str, Any], page: str) -> str | None:
    if message["method"] != "Network.requestWillBeSent":
        return None
    address = str(message["params"]["request"]["url"])
    return None if address == page or address.startswith("data:") else address
