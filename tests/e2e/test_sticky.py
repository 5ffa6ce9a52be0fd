"""Conversations and their accounts."""
import asyncio
import json

import pytest

from failures import FailingStack
from relay import VERSIONS, wait_until

ACCOUNTS = 20
CONVERSATIONS = 10000
CLIENTS = 24


async def ask(port, key, name, reader, writer):
    writer.write(f"GET /echo HTTP/1.1\r\nHost: relay\r\nX-API-Key: {key}\r\nsession-id: {name}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    body = (await reader.readexactly(length)).decode()
    return next(v for k, v in json.loads(body)["headers"] if k.lower() == "x-which")


async def accounts_of(port, key, names):
    found = {}
    names = list(names)

    async def client():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while names:
            name = names.pop()
            found[name] = await ask(port, key, name, reader, writer)
        writer.close()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return found


@pytest.mark.takes(25)
def test_ten_thousand_conversations(fresh):
    s = fresh()
    names = [f"a{n}" for n in range(ACCOUNTS)]
    for name in names:
        s.account(name, "demo", f"token-of-{name}", "--header", f"X-Which: {name}")
    s.relay.adm("pools", "set", "many", *names)
    s.relay.adm("tenants", "add", "many", "--pool", "many", "--daily", "0", "--monthly", "0")
    key = s.relay.issue("many")
    wait_until("HAProxy knows the header", lambda: s.get("/echo", key=key).status == 200)
    conversations = [f"conversation-{n}" for n in range(CONVERSATIONS)]

    def look(some=conversations):
        return asyncio.run(accounts_of(s.port, key, some))
    first = look()
    counts = {name: list(first.values()).count(name) for name in names}
    assert min(counts.values()) > 250 and max(counts.values()) < 800, counts
    assert look(conversations[::5]) == {c: first[c] for c in conversations[::5]}

    s.relay.stop()
    s.relay.start()
    wait_until("it answers again", lambda: s.get("/relay/health").status == 200)
    assert look(conversations[::5]) == {c: first[c] for c in conversations[::5]}

    s.relay.adm("pools", "set", "many", *names[1:])
    after = look()
    moved = [c for c in conversations if after[c] != first[c]]
    own = [c for c in conversations if first[c] == "a0"]
    print("moved", len(moved), "own", len(own))
    assert set(own) <= set(moved) and len(moved) - len(own) <= 0.02 * CONVERSATIONS
    state = (s.dir / "state" / "state").read_bytes()
    assert b"conversation-" not in state


# --- accounts that fail ---

@pytest.fixture(scope="module", params=VERSIONS)
def site(request):
    s = FailingStack(request.param)
    try:
        yield s.start()
    finally:
        s.stop()


UNLIMITED = ("--rpm", "0", "--rph", "0", "--concurrency", "0", "--max-consecutive", "0")


def pool_of(site, name, upstream="codex", sticky="soft", n=2):
    pool = site.pool(name, n, upstream=upstream, options=[UNLIMITED] * n)
    site.relay.adm("pools", "set", name, *pool.accounts, "--sticky", sticky, "--wait", "0s")
    return pool


class Closed:
    """No answer: the connection was closed."""
    status, code, body = 0, None, b""

    @staticmethod
    def getheader(_):
        return None


class Talk:
    """A client with a history: each turn sends all reasoning that it got. A failed turn is sent again, as often as
    the clients do it; a 400 ends the conversation for good."""

    def __init__(self, pool):
        self.pool, self.session, self.history = pool, next(pool.sessions), []

    def ask(self):
        body = json.dumps({"model": "m", "input": [*self.history, {"type": "message", "content": "go on"}]})
        return self.pool.post(self.session, body=body.encode(), path="/v1/responses")

    def turn(self, tries=5):
        """The token that answered, and the answers before."""
        before = []

        def answered():
            try:
                answer = self.ask()
            except ConnectionError:
                answer = Closed  # HAProxy passes on that an idle connection was closed
            assert answer.status != 400, (answer.body, [a.status for a in before])
            if answer.status != 200:
                before.append(answer)
                assert len(before) < tries, [(a.status, a.code, a.body) for a in before]
                return None
            said = json.loads(answer.body)
            self.history += said["output"]
            return said["token"]
        return wait_until("the turn is answered", answered), before


FAILURES = {
    "503": {"do": 503, "times": 1},
    "503 with Retry-After": {"do": 503, "times": 1, "headers": [("Retry-After", "30")]},
    "503 three times": {"do": 503, "times": 3},
    "529": {"do": 529, "times": 1, "headers": [("Retry-After", "3600")]},
    "closed": {"do": "close", "times": 1, "seen": 0},  # the relay sends it again, on a new connection
    "401": {"do": 401, "times": 1},
}


def test_a_session_survives_failures_of_its_account(site):
    """Another account could not read its reasoning. The client sees each failure, and its next request succeeds."""
    pool = pool_of(site, "bound")
    talk = Talk(pool)
    own, before = talk.turn()
    assert before == []
    for name, failure in ((n, dict(f)) for n, f in FAILURES.items()):
        pool.failing.clear()
        seen = failure.pop("seen", failure["times"])
        pool.failing.set(own, **failure, method="POST")
        token, before = talk.turn()
        assert token == own and len(before) == seen, (name, [a.status for a in before])
        assert {r["token"] for r in pool.failing.requests()} == {own}, name
        for answer in before:
            assert answer.code in (None, "upstream_unreachable", "upstream_invalid"), (name, answer.code)
            assert int(answer.getheader("Retry-After") or 0) <= 10, (name, answer.getheader("Retry-After"))
        pool.s.relay.adm("accounts", "reset", pool.account_of(own))
    site.relay.adm("haproxy", "reload")
    assert talk.turn() == (own, [])
    site.relay.stop()
    site.relay.start()
    wait_until("it answers again", lambda: site.get("/relay/health").status == 200)
    assert talk.turn() == (own, [])


def test_the_first_request_may_go_anywhere(site):
    """Nothing is bound before an account has answered."""
    pool = pool_of(site, "first")
    for do in (503, 401, "close"):
        pool.reset()
        for token in pool.tokens:
            pool.failing.set(token, do, method="POST", times=1)
        pool.failing.set(pool.tokens[1])
        talks = [Talk(pool) for _ in range(6)]
        for talk in talks:
            talk.turn()
        pool.failing.calm()
        for talk in talks:
            assert talk.turn()[1] == []


def window(seconds):
    error = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "resets_in_seconds": seconds}
    return {"do": 429, "times": 1, "method": "POST", "body": {"error": error}}


def reach_window(pool, talk, own, seconds):
    pool.failing.set(own, **window(seconds))
    assert talk.ask().status == 429
    pool.wait_for(own, "window")


def test_foreign_state_pins_a_conversation(site):
    pool = pool_of(site, "pinned")
    talk = Talk(pool)
    own, _ = talk.turn()
    reach_window(pool, talk, own, 7200)
    before = site.relay.metric("relay_bindings_pinned_total")
    pool.failing.clear()
    answer = talk.ask()
    assert answer.status == 400 and json.loads(answer.body)["error"]["code"] == "invalid_encrypted_content"
    assert [r["token"] for r in pool.failing.requests()] == [pool.other(own)]
    wait_until("it is pinned", lambda: site.relay.metric("relay_bindings_pinned_total") == before + 1)
    for _ in range(3):
        answer = talk.ask()
        assert answer.status in (429, 503) and answer.code
    assert len(pool.failing.requests()) == 1
    # others go on
    assert Talk(pool).turn()[0] == pool.other(own)
    site.relay.adm("accounts", "reset", pool.account_of(own))
    assert talk.turn() == (own, [])


def test_a_conversation_moves_when_another_account_answers(site):
    """With a window beyond a minute. A shorter one is refused, and the client waits."""
    pool = pool_of(site, "moving")
    talk = Talk(pool)
    own, _ = talk.turn()
    reach_window(pool, talk, own, 40)
    pool.failing.clear()
    answer = talk.ask()
    assert answer.status in (429, 503) and answer.code and pool.failing.requests() == []
    site.relay.adm("accounts", "reset", pool.account_of(own))
    reach_window(pool, talk, own, 7200)
    talk.history = []  # it has state at the other account only
    before = site.relay.metric("relay_bindings_moved_total")
    pool.failing.set(pool.other(own), 503, method="POST", times=1)
    assert talk.turn()[0] == pool.other(own)
    wait_until("it has moved", lambda: site.relay.metric("relay_bindings_moved_total") == before + 1)
    site.relay.adm("accounts", "reset", pool.account_of(own))
    assert talk.turn() == (pool.other(own), [])


@pytest.mark.parametrize("upstream, sticky, state, moves", (
    ("codex", "soft", False, True), ("codex", "hard", False, False), ("codex", "hard", True, False),
    ("codex", "free", True, True), ("openai", "soft", True, True), ("openai", "hard", False, False)))
def test_a_conversation_of_a_suspended_account(site, upstream, sticky, state, moves):
    pool = pool_of(site, f"left-{upstream}-{sticky}-{int(state)}", upstream, sticky)
    session, own = pool.bind()
    headers = [("x-codex-turn-state", "abc")] if state else []
    site.relay.adm("accounts", "suspend", pool.account_of(own))
    pool.failing.clear()
    answer = pool.post(session, headers=headers)
    if moves:
        assert answer.status == 200
    else:
        assert (answer.status, answer.code) == (503, "no_account")
    assert [r["token"] for r in pool.failing.requests()] == ([pool.other(own)] if moves else [])
    site.relay.adm("accounts", "resume", pool.account_of(own))
    wait_until("it stays where it was answered", lambda: pool.post(session, headers=headers).status == 200)
    assert pool.failing.requests()[-1]["token"] == (pool.other(own) if moves else own)


def test_a_free_conversation_fails_over_inside_a_request(site):
    pool = pool_of(site, "free", sticky="free")
    session, own = pool.bind()
    pool.failing.set(own, 503, method="POST")
    answer = pool.post(session)
    assert answer.status == 200 and json.loads(answer.body)["token"] == pool.other(own)
    pool.failing.set(own)
    site.relay.adm("accounts", "reset", pool.account_of(own))
    assert json.loads(pool.post(session).body)["token"] == pool.other(own)
