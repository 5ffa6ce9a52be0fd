"""A headless Chromium over its DevTools pipe: one page, as a person sees it. Standard library only."""
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

NAMES = ("chromium-headless-shell", "chromium", "google-chrome")


def find_browser():
    """RELAY_BROWSER names another one."""
    for name in filter(None, (os.environ.get("RELAY_BROWSER"), *NAMES)):
        if path := shutil.which(name):
            return path
    raise AssertionError(f"none of {', '.join(NAMES)} is here: scripts/install-deps test")


class Browser:
    """The browser reads commands from descriptor 3 and answers on 4; a zero byte ends each message."""

    def __init__(self, width=1700, height=1400):
        commands, self.to = os.pipe()
        self.fr, answers = os.pipe()
        self.home = tempfile.TemporaryDirectory(prefix="relay-browser-", ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "bash", find_browser(), "--headless", "--no-sandbox",
             "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run", "--disable-quic",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={self.home.name}",
             f"--window-size={width},{height}", "--remote-debugging-pipe"],
            pass_fds=(commands, answers), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self.home.name}, start_new_session=True)
        os.close(commands)
        os.close(answers)
        self.buffer, self.number, self.session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def _read(self, seconds):
        deadline = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fr], [], [], left)[0], "the browser does not answer"
            data = os.read(self.fr, 65536)
            assert data, "the browser has ended"
            self.buffer += data
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read(30)
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self.events.append(answer.get("method"))

    def open(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        while "Page.loadEventFired" not in self.events:
            self.events.append(self._read(30).get("method"))

    def ask(self, expression):
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def point_at(self, selector):
        """Moves the mouse onto the first element that matches."""
        x, y = self.ask(f"(e => {{ e.scrollIntoView({{block: 'center'}}); let r = e.getBoundingClientRect();"
                        f" return [r.x + r.width / 2, r.y + r.height / 2] }})(document.querySelector({json.dumps(selector)}))")
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def take_picture(self, path):
        picture = self.call("Page.captureScreenshot", format="png")["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(picture))

    def close(self):
        """The browser's helpers write to its home directory until they end; they belong to its process group."""
        self.session = None
        self.call("Browser.close")
        os.close(self.to)
        os.close(self.fr)
        try:
            self.process.wait(60)
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.home.cleanup()
