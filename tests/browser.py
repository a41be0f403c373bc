"""A headless Chromium, driven through the DevTools protocol on a pair of pipes: the standard library is enough."""

import base64
import json
import os
import select
import shutil
import subprocess
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
"""The browser; None where there is none."""

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_PATIENCE_SECONDS = 60


class Browser:
    """One tab of a browser of its own."""

    def __init__(self, profile: Path) -> None:
        """Begin with an empty folder for what the browser keeps."""
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # Chromium reads commands from descriptor 3 and writes to 4; a shell puts the pipes there.
        command = ["/bin/bash", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}', CHROMIUM, *_OPTIONS]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._number, self._buffer, self._session = 0, b"", None
        self.messages = []
        """What pages have logged, and what was thrown in them."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def close(self):
        """End it."""
        self.send("Browser.close")
        self._process.wait(10)
        os.close(self._read)
        os.close(self._write)

    def send(self, method, **parameters):
        """Send a command and wait for its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        return self._until(lambda reply: reply.get("id") == self._number)["result"]

    def open(self, path):
        """Load a file; forgets what earlier pages have logged."""
        self.messages.clear()
        self.send("Page.navigate", url=Path(path).as_uri())
        self._until(lambda event: event.get("method") == "Page.loadEventFired")

    def view(self, width, *, is_dark=False, media="screen"):
        """Look at it on a screen so wide, in a theme."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[theme])

    def evaluate(self, script):
        """What a script gives, as JSON can hold it."""
        reply = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def screenshot(self, path):
        """A picture of the whole page."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    def pdf(self):
        """The page as it is printed."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])

    def _until(self, is_wanted):
        """The next message that is wanted; what is logged meanwhile is kept."""
        while True:
            *whole, self._buffer = self._buffer.split(b"\0")
            for place, raw in enumerate(whole):
                message = json.loads(raw)
                self._keep(message)
                if is_wanted(message):
                    self._buffer = b"\0".join([*whole[place + 1 :], self._buffer])
                    assert "error" not in message, message
                    return message
            assert select.select([self._read], [], [], _PATIENCE_SECONDS)[0], "the browser does not answer"
            found = os.read(self._read, 1 << 20)
            assert found, "the browser has gone"
            self._buffer += found

    def _keep(self, message):
        if message.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.messages.append(message["params"])
