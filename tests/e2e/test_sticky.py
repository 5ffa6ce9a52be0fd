"""Conversations and their accounts."""
import asyncio
import json

import pytest

from relay import header, wait_until

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


def test_hard_conversations_do_not_move(stack):
    for n in (1, 2):
        stack.account(f"hard{n}", "demo", f"token-of-hard{n}")
    stack.relay.adm("pools", "set", "hard", "hard1", "hard2", "--sticky", "hard")
    stack.relay.adm("tenants", "add", "hard", "--pool", "hard", "--daily", "0", "--monthly", "0")
    key = stack.relay.issue("hard")

    def ask_with(*headers):
        return stack.get("/echo", key=key, headers=[("session-id", "s1"), *headers])
    assert ask_with().status == 200
    first = header(stack.upstream.requests()[-1], "authorization").split("-")[-1]
    stack.relay.adm("accounts", "suspend", first)
    refused = ask_with(("x-codex-turn-state", "abc"))
    assert refused.status == 503 and refused.headers["X-Relay-Error"] == "no_account"
    assert ask_with().status == 200
    assert header(stack.upstream.requests()[-1], "authorization").split("-")[-1] != first
