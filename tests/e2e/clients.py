"""The clients of docs/CLIENTS.md, unmodified, and what each of them does for a feature. A cell of the table there is the
outcome of its run here."""
import hashlib
import http.server
import json
import re
import subprocess
import threading
import time

import agents
from browser import Browser
from failures import NO_BUDGET, Pool
from relay import Stack, header, wait_until

FEATURES = ("chat", "stream", "tools", "files", "large bodies", "bad key", "quota", "failover")
YES, NOT_A_FEATURE = "yes", "–"
UNLIMITED = ("--rpm", "0", "--rph", "0", "--concurrency", "0", "--max-consecutive", "0")
LARGE = 8 << 20
LARGE_PROMPT = 300_000  # bytes, for agents; their limits are lower
BAD_KEY, BAD_KEY_SAID = "rk_" + "x" * 36, "relay key is not known"
MESSAGES = [{"role": "user", "content": "hi"}]
SHELL = {"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}


class ClientStack(Stack):
    """An upstream of each provider, which talks and keeps files."""

    def __init__(self, version):
        super().__init__(version, NO_BUDGET + "[cors]\norigins = *\n")
        self.failing = agents.Provider(self.dir)

    def start(self):
        super().start()
        url = self.failing.url
        for provider in ("openai", "anthropic", "gemini"):
            self.relay.adm("upstreams", "add", provider, "--url", url, "--provider", provider)
        for name, websocket in (("codex", "off"), ("codex-websocket", "on")):
            self.relay.adm("upstreams", "add", name, "--url", f"{url}/backend-api/codex", "--strip", "/v1", "--provider",
                           "codex", "--websocket", websocket)
        return self

    def stop(self):
        try:
            self.failing.stop()
        finally:
            super().stop()


class Seen:
    """What a user sees of a run: its text, and whether it is a success."""

    def __init__(self, ok, text, goes_on=False):
        self.ok, self.text, self.goes_on = ok, text, goes_on

    def __repr__(self):
        return f"{'ok' if self.ok else 'failed'}: {self.text[-1500:]}"


class Client:
    """A client with a pool of two accounts, and a tenant whose quota of the day is used up."""
    quota_said = "1 request a day"

    def at(self, site, row, home):
        self.site, self.row, self.home = site, row, home
        self.url = f"http://127.0.0.1:{site.port}"
        self.failing = site.failing
        name = re.sub("[^a-z0-9]+", "-", row.lower()).strip("-")
        self.pool = Pool(site, name, 2, upstream=self.upstream, tokens=self.tokens(name, 2), options=[UNLIMITED] * 2)
        self.used_up = Pool(site, f"{name}-used", 1, upstream=self.upstream, tokens=self.tokens(f"{name}-used", 1),
                            options=[UNLIMITED])
        site.relay.adm("tenants", "set", self.used_up.name, "--daily", "1")
        wait_until("HAProxy knows the pool", lambda: site.get("/v1/models", key=self.pool.key).status == 200)
        wait_until("the quota is used up", lambda: site.get("/v1/models", key=self.used_up.key).status == 429)
        return self

    def tokens(self, name, n):
        return [f"sk-ant-api03-{name}-{i}" for i in range(n)] if self.upstream == "anthropic" else None

    def outcome(self, feature):
        """The word for the cell."""
        self.failing.calm()
        return getattr(self, feature.replace(" ", "_"))()

    def done(self, seen):
        assert seen.ok and agents.DONE in seen.text, seen
        return YES

    def rows(self):
        return [r for r in self.failing.requests() if r.get("stream") is not None]

    def told(self, key, code, words):
        """The user reads the relay's own words, some only after their client has repeated the request. Some clients try again
        for longer than anyone waits."""
        before = self.times_refused(code)
        seen = self.refused(key, code)
        times = self.times_refused(code) - before
        print(f"{self.row}, {code}: {times} requests, {seen}")
        assert not seen.ok and times and self.rows() == [], (times, seen)
        if seen.goes_on:
            return "told, tries on" if words in seen.text else "tries on"
        assert words in seen.text, seen
        return "told" if times == 1 else "told after repeats"

    def times_refused(self, code):
        return int(self.site.relay.metric("relay_decisions_total", action="deny", code=code))

    def refused(self, key, code):
        return self.ask("chat", key)

    def bad_key(self):
        return self.told(BAD_KEY, "invalid_api_key", BAD_KEY_SAID)

    def quota(self):
        return self.told(self.used_up.key, "quota_exceeded", self.quota_said)

    def chat(self):
        return self.done(self.ask("chat"))

    def stream(self):
        word = self.done(self.ask("stream"))
        assert [r["stream"] for r in self.rows()] == [True], self.rows()
        return word

    def tools(self):
        word = self.done(self.ask("tools"))
        assert [r["turn"] for r in self.rows()] == list(range(6))
        return word

    def files(self):
        seen = self.ask("files")
        assert seen.ok, seen
        beside = [r for r in self.failing.requests(None) if r["token"] not in self.pool.tokens]
        assert not any("rk_" in r["token"] for r in beside), beside
        return "beside the relay" if beside else YES

    def large_bodies(self):
        word = self.done(self.ask("large"))
        assert max(r["body_len"] for r in self.rows()) > LARGE
        return word

    def failover(self):
        """An account fails, and the other one answers the same request."""
        self.failing.set("model", 503, times=1)
        word = self.done(self.ask("chat"))
        first, second, *_ = self.rows()
        assert first["did"] == 503 and second["did"] == "ok", (first, second)
        assert first["token"] != second["token"] or self.site.version == "2.6"  # docs/HEALTH.md
        return word


class Sdk(Client):
    """A feature in sdk/features.mjs; the tools of the official SDKs in sdk/turns.mjs."""

    def __init__(self, upstream, turns=None, has_files=True):
        self.upstream, self.turns, self.has_files = upstream, turns, has_files

    def ask(self, feature, key=None):
        place = agents.installed(agents.SDK_SOURCE)
        script = ["turns.mjs", self.url, key or self.pool.key, self.turns] if feature == "tools" and self.turns else [
            "features.mjs", self.url, key or self.pool.key, self.row, feature]
        run = agents.Run([agents.node(), place / script[0], *script[1:]], self.home, agents.environment_of(
            self.home, NODE_OPTIONS="--no-warnings"))
        said = json.loads(run.text.splitlines()[-1])
        return Seen(run.code == 0, said.get("text") or json.dumps(said))

    def files(self):
        return super().files() if self.has_files else NOT_A_FEATURE


class Agent(Client):
    """A command line with a prompt. `patience`: seconds from the first refusal until we no longer wait for its end."""

    def __init__(self, run, upstream, quota_said=None, patience=60):
        self.run, self.upstream, self.patience, self.clean = run, upstream, patience, None
        self.quota_said = quota_said or Client.quota_said

    def ask(self, feature, key=None, is_over=None):
        run = self.run(self.url, key or self.pool.key, self.home, "x" * LARGE_PROMPT if feature == "large" else "", is_over)
        print(f"{self.row}: {run}")
        return Seen(run.code == 0, run.text, run.code is None)

    def refused(self, key, code):
        before, since = self.times_refused(code), []

        def is_over():
            if not since and self.times_refused(code) > before:
                since.append(time.monotonic())
            return since and time.monotonic() - since[0] > self.patience
        return self.ask("chat", key, is_over)

    def all_turns(self):
        """One run is enough for all that a clean run shows."""
        if not self.clean:
            seen = self.ask("chat")
            self.clean = (seen, self.failing.turns())
        return self.clean

    def chat(self):
        return self.done(self.all_turns()[0])

    def stream(self):
        turns = self.all_turns()[1]
        assert turns and all(r["stream"] for r in turns)
        return YES

    def tools(self):
        assert [r["turn"] for r in self.all_turns()[1]] == list(range(6))
        return YES

    def files(self):
        return NOT_A_FEATURE

    def large_bodies(self):
        word = self.done(self.ask("large"))
        assert max(r["body_len"] for r in self.rows()) > LARGE_PROMPT
        return word


class Curl(Client):
    """curl with one version of HTTP."""
    upstream = "openai"

    def __init__(self, version):
        self.version = version

    def curl(self, path, *words, key=None):
        run = subprocess.run(["curl", "-sS", "-N", self.version, "-H", f"X-API-Key: {key or self.pool.key}", *words,
                              self.url + path], capture_output=True, timeout=agents.PATIENCE, cwd=self.home)
        return Seen(run.returncode == 0 and b'"error"' not in run.stdout[:200], (run.stdout + run.stderr).decode())

    def ask(self, feature, key=None):
        said = {"model": "demo", "messages": MESSAGES, "stream": feature == "stream"}
        if feature == "tools":
            said["tools"] = [SHELL]
        if feature == "large":
            said["messages"] = [{"role": "user", "content": "x" * LARGE}]
        body = self.home / "body.json"
        body.write_text(json.dumps(said))
        return self.curl("/v1/chat/completions", "-H", "Content-Type: application/json", "--data-binary", f"@{body}", key=key)

    def large_bodies(self):
        word = super().large_bodies()
        sent = hashlib.sha256((self.home / "body.json").read_bytes()).hexdigest()
        assert [r["body_sha256"] for r in self.rows()] == [sent]
        return word

    def stream(self):
        word = super().stream()
        assert self.ask("stream").text.rstrip().endswith("data: [DONE]")
        return word

    def tools(self):
        seen = self.ask("tools")
        assert seen.ok and "echo step-0" in seen.text, seen
        return YES

    def files(self):
        (self.home / "a.txt").write_text("the content of a file\n" * 5000)
        made = json.loads(self.curl("/v1/files", "-F", "purpose=user_data", "-F", "file=@a.txt").text)["id"]
        assert made in self.curl("/v1/files").text
        assert self.curl(f"/v1/files/{made}/content").text == (self.home / "a.txt").read_text()
        assert json.loads(self.curl(f"/v1/files/{made}", "-X", "DELETE").text)["deleted"]
        return YES


class Origin(http.server.BaseHTTPRequestHandler):
    """Where the page is from."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>page</title>")

    def log_message(self, *_):
        pass


class Page(Client):
    """A page of another origin in Chromium, whose script asks the relay: page.js."""
    upstream = "openai"

    def ask(self, feature, key=None):
        origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        browser = Browser()
        try:
            browser.open(f"http://127.0.0.1:{origin.server_address[1]}")
            words = ", ".join(json.dumps(word) for word in (self.url, key or self.pool.key, feature))
            answer = browser.call("Runtime.evaluate", awaitPromise=True, returnByValue=True,
                                  expression=f"({(agents.HERE / 'page.js').read_text()})({words})")
        finally:
            browser.close()
            origin.shutdown()
            origin.server_close()
        said = json.loads(answer["result"]["value"])
        return Seen(said["ok"], said["text"])

    def tools(self):
        seen = self.ask("tools")
        assert seen.ok and "echo step-0" in seen.text, seen
        return YES


def codex(**options):
    return Agent(lambda *place: agents.codex(*place, **options), "codex", "Try again at")


class OpenCode(Agent):
    """It repeats each 429 and sleeps until Retry-After; meanwhile its interfaces show why."""

    def __init__(self):
        super().__init__(agents.opencode, "openai")

    def quota(self):
        status, _ = agents.opencode_waits(self.url, self.used_up.key, self.home)
        assert status["type"] == "retry" and self.quota_said in status["message"], status
        return "told, tries on"


class CodexSocket(Agent):
    """Codex over a WebSocket, which the handshake decides on; if it is refused, Codex goes on over HTTP."""

    def __init__(self):
        super().__init__(lambda *place: agents.codex(*place, websocket=True), "codex-websocket", "Try again at")

    def sockets(self):
        return [r for r in self.failing.requests("GET") if header(r, "Upgrade")]

    def chat(self):
        word = super().chat()
        assert len(self.sockets()) == 1 and not any(header(r, "Content-Length") for r in self.rows())
        return word

    def failover(self):
        self.failing.set("model", 503, times=1)
        word = self.done(self.ask("chat"))
        first, second = self.sockets()
        assert first["did"] == 503 and first["token"] != second["token"]
        return word


CLIENTS = {
    "Codex CLI, `env_key`": lambda: codex(),
    "Codex CLI, `X-API-Key`": lambda: codex(send="X-API-Key"),
    "Codex CLI, WebSocket": CodexSocket,
    "Claude Code": lambda: Agent(agents.claude, "anthropic"),
    "Gemini CLI": lambda: Agent(agents.gemini, "gemini"),
    "OpenCode": OpenCode,
    "Qwen Code": lambda: Agent(agents.qwen, "openai", patience=20),
    "Cline": lambda: Agent(agents.cline, "openai", patience=150),
    "pi": lambda: Agent(agents.pi, "openai"),
    "OpenAI SDK": lambda: Sdk("openai", "chat"),
    "Azure client": lambda: Sdk("openai", "azure"),
    "Anthropic SDK": lambda: Sdk("anthropic", "messages"),
    "Google SDK": lambda: Sdk("gemini", "gemini"),
    "AI SDK, OpenAI": lambda: Sdk("openai"),
    "AI SDK, Anthropic": lambda: Sdk("anthropic"),
    "AI SDK, Google": lambda: Sdk("gemini"),
    "LangChain, OpenAI": lambda: Sdk("openai", has_files=False),
    "LangChain, Anthropic": lambda: Sdk("anthropic", has_files=False),
    "LangChain, Google": lambda: Sdk("gemini", has_files=False),
    "page in Chromium": Page,
    "curl, HTTP/1.1": lambda: Curl("--http1.1"),
    "curl, HTTP/2": lambda: Curl("--http2-prior-knowledge"),
    "curl, HTTP/1.0": lambda: Curl("--http1.0"),
}
