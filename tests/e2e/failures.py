"""Failing accounts: the failing upstream and pools on it. Sessions are bound to accounts, so that a test knows the
first account of a request."""
import asyncio
import http.client
import itertools
import json
import signal

from crowd import Crowd
from relay import ROOT, Process, Stack, free_port, wait_until

ANY_NUMBER = ("--daily", "0", "--monthly", "0")
NO_BUDGET = "[health]\nretry_percent = 100\nretry_per_second = 10000\n"


class Failing(Process):
    """tests/demo/failing.py."""

    def __init__(self, directory, name="failing", program=ROOT / "tests/demo/failing.py"):
        super().__init__(name, ["/usr/bin/python3", program], directory / f"{name}.log")
        lines = wait_until("it listens", lambda: (t := self.text()).count("\n") >= 2 and t.splitlines())
        self.port, self.control = (int(line.split()[1]) for line in lines[:2])
        self.url = f"http://127.0.0.1:{self.port}"

    def _ask(self, method, path, value=None):
        c = http.client.HTTPConnection("127.0.0.1", self.control, timeout=60)
        c.request(method, path, body=json.dumps(value) if value is not None else None)
        answer = json.loads(c.getresponse().read())
        c.close()
        return answer

    def set(self, token, do="ok", **more):
        """Sets the behaviour of a token; a number is an answer of that status."""
        behaviour = {"do": "answer", "status": do, **more} if isinstance(do, int) else {"do": do, **more}
        self._ask("POST", "/behaviours", {token: behaviour})

    def set_some(self, behaviours):
        self._ask("POST", "/behaviours", behaviours)

    def calm(self):
        """Ends all failures and empties the book."""
        self._ask("DELETE", "/behaviours")
        self._ask("DELETE", "/book")

    def clear(self):
        self._ask("DELETE", "/book")

    def requests(self, method="POST"):
        """Requests of clients; the relay's probes are GETs."""
        return [r for r in self._ask("GET", "/requests") if method in (None, r["method"])]

    def counts(self):
        return self._ask("GET", "/counts")

    def now(self, token):
        """Requests in progress at the upstream."""
        return self.counts().get(token, {"now": 0})["now"]

    def total(self, token, method=None):
        count = self.counts().get(token, {"total": 0, "methods": {}})
        return count["methods"].get(method, 0) if method else count["total"]


class Pool:
    """Accounts of one upstream, a pool of them, a tenant and its key."""

    def __init__(self, s, name, n=2, upstream="openai", tokens=None, options=None, egresses=None, limits=()):
        self.s, self.name, self.failing = s, name, s.failing
        self.accounts = [f"{name}{i}" for i in range(n)]
        self.tokens = tokens or [f"token-of-{a}" for a in self.accounts]
        for i, account in enumerate(self.accounts):
            more = ("--egress", egresses[i]) if egresses and egresses[i] else ()
            s.account(account, upstream, self.tokens[i], *more, *(options[i] if options else ()))
        s.relay.adm("pools", "set", name, *self.accounts)
        s.relay.adm("tenants", "add", name, "--pool", name, *ANY_NUMBER, *limits)
        self.key = s.relay.issue(name)
        self.sessions = (f"session-{name}-{i}" for i in itertools.count())

    def account_of(self, token):
        return self.accounts[self.tokens.index(token)]

    def other(self, token):
        """The other token of a pool of two."""
        return next(t for t in self.tokens if t != token)

    def post(self, session=None, body=b"{}", path="/v1/x", headers=(), **options):
        if session:
            headers = [("session-id", session), *headers]
        answer = self.s.post(path, body=body, key=self.key, headers=headers, **options)
        answer.code = answer.getheader("X-Relay-Error")
        return answer

    def bind(self):
        """A new session and the token of its account."""
        session = next(self.sessions)
        answer = self.post(session)
        assert answer.status == 200, (answer.status, answer.body)
        return session, json.loads(answer.body)["token"]

    def reset(self):
        """Resets all accounts and ends all failures."""
        self.failing.calm()
        for account in self.accounts:
            self.s.relay.adm("accounts", "reset", account)

    def show(self, token):
        return self.s.relay.adm("accounts", "show", self.account_of(token))

    def wait_for(self, token, state, seconds=25):
        """Waits until `accounts show` reports the state; returns the output."""
        def seen():
            shown = self.show(token)
            return shown if shown["state"] in (state if isinstance(state, tuple) else (state,)) else None
        try:
            return wait_until(f"{self.account_of(token)} is {state}", seen, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}: {self.show(token)}") from None


class FailingStack(Stack):
    """A stack with the failing upstream under each provider, and an egress without a listener."""

    def __init__(self, version, extra=NO_BUDGET, render=()):
        super().__init__(version, extra, render)
        self.failing = Failing(self.dir)

    def start(self):
        super().start()
        for provider in ("openai", "codex", "anthropic", "generic", "gemini"):
            self.relay.adm("upstreams", "add", provider, "--url", self.failing.url, "--provider", provider)
        self.relay.adm("upstreams", "add", "prefixed", "--url", self.failing.url + "/pre/fix", "--strip", "/v1")
        self.relay.adm("upstreams", "add", "hasty", "--url", self.failing.url, "--first-byte-timeout", "1s")
        self.relay.adm("upstreams", "add", "unprobed", "--url", self.failing.url, "--probe", "none")
        self.add_closed_egress("closed")
        self.nowhere = Pool(self, "nowhere", 1, egresses=["closed"])
        wait_until("HAProxy knows the closed egress", lambda: self.nowhere.post().code == "upstream_unreachable")
        return self

    def add_closed_egress(self, name):
        self.relay.adm("egress", "add", name, "--socks4", f"127.0.0.1:{free_port()}", "--shared")

    def stop(self):
        try:
            self.failing.stop()
        finally:
            super().stop()

    def configure(self, extra):
        """Sets [health] and other options; they apply on return."""
        before = self.relay.metric("relay_snapshot_version")
        self.relay.write_config(extra)
        self.relay.process.popen.send_signal(signal.SIGHUP)
        wait_until("a new snapshot is in force", lambda: self.relay.metric("relay_snapshot_version") > before)

    def pool(self, name, n=2, **options):
        pool = Pool(self, name, n, **options)
        wait_until("HAProxy knows the pool", lambda: self.get("/v1/x", key=pool.key).status == 200)
        self.failing.clear()
        return pool


CLOSED = "closed without an answer"


class Steady(Crowd):
    """Clients that stay and repeat the same request. Answers are counted by status and relay code. Every other request
    belongs to one of some conversations."""

    def __init__(self, pool, clients=32, body=2000, conversations=200, seed=1, path="/v1/x"):
        super().__init__(pool.s.port, pool.key, clients, seed)
        self.body, self.conversations, self.path = b"x" * body, conversations, path

    def request(self, moment):
        n = self.random.randrange(2 * self.conversations)
        session = f"session-id: steady-{n}\r\n" if n < self.conversations else ""
        head = (f"POST {self.path} HTTP/1.1\r\nHost: relay\r\nX-API-Key: {self.key}\r\n{session}"
                f"Content-Length: {len(self.body)}\r\n\r\n")
        return head.encode(), self.body

    async def read_answer(self, reader):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        except (ConnectionError, asyncio.IncompleteReadError):
            return CLOSED, True
        named = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        await reader.readexactly(int(named["content-length"]))
        status, code = int(head.split(" ", 2)[1]), named.get("x-relay-error")
        return (f"{status} {code}" if code else status), named.get("connection") == "close"

    def send(self, requests):
        """The answers, as a dict."""
        asyncio.run(self.run(requests))
        return self.statuses


def leases(s):
    return s.relay.metric("relay_leases_outstanding")


def wait_for_no_leases(s, seconds=25):
    wait_until("all slots are free", lambda: leases(s) == 0, seconds)


def attempts_of(pool):
    """HAProxy 2.6 does not tell a refusal from a connection that was closed: the same account may get the request once more."""
    rows = pool.failing.requests()
    if pool.s.version == "2.6" and len(rows) > 1 and rows[0]["token"] == rows[1]["token"]:
        del rows[1]
    return rows
