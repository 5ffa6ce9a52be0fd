"""WebSockets: off unless an upstream takes them; one lease for each, and they end with their key. See docs/LIMITS.md."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

import agents
from failures import NO_BUDGET
from relay import ROOT, VERSIONS, Process, free_port, wait_until
from websocket import Client, Server, Talker

sys.path.insert(0, str(ROOT / "tests/demo"))
import provider  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
UNLIMITED = ("--rpm", "0", "--rph", "0", "--concurrency", "0")


@pytest.fixture
def make(fresh):
    """A stack whose pool `ws` has an upstream that takes WebSockets."""
    servers = []

    def build(version, accounts=1, server=None, kind="openai", **options):
        s = fresh(version, **options)
        s.sockets = server or Server()
        servers.append(s.sockets)
        s.relay.adm("upstreams", "add", "ws", "--url", s.sockets.url, "--provider", kind, "--websocket", "on")
        for i in range(accounts):
            s.account(f"ws{i}", "ws", f"token-{i}", *UNLIMITED)
        s.relay.adm("pools", "set", "ws", *(f"ws{i}" for i in range(accounts)))
        issued = s.relay.adm("tokens", "issue", "--tenant", "demo", "--pool", "ws", "--rpm", "0")
        s.ws_key, s.ws_key_id = issued["token"], str(issued["id"])
        return s

    try:
        yield build
    finally:
        for server in servers:
            server.stop()


def in_use(s, accounts=1):
    return sum(s.relay.adm("accounts", "show", f"ws{i}")["in_use"] for i in range(accounts))


def rows(s, last=500):
    return {row["id"]: row for row in s.relay.adm("requests", "list", "--last", str(last))["items"]}


def test_refused_at_once_by_default(stack):
    """426 comes before 401: Codex goes on with HTTP then."""
    for key in (stack.key, "rk_bad"):
        c = Client(stack, key=key)
        assert (c.status, c.code) == (426, "websocket_unsupported"), c.headers
        c.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_only_to_an_upstream_that_takes_them(make, version):
    s = make(version)
    told = [Client(s, key=s.ws_key).status, Client(s, key=s.key).code, Client(s, key="rk_bad").code,
            Client(s, key=s.ws_key, method="POST").code]
    assert told == [101, "websocket_unsupported", "invalid_api_key", "websocket_unsupported"]
    misplaced = Client(s, key=s.ws_key, headers=[
        ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{s.ws_key}")])
    assert misplaced.code == "misplaced_api_key"
    own = Client(s, key=s.ws_key, headers=[
        ("Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1")])
    assert own.status == 101
    protocols = s.sockets.heads[-1][1]["sec-websocket-protocol"].replace(" ", "").split(",")
    assert protocols == ["realtime", "relay", "openai-beta.realtime-v1"], protocols
    answer = s.get("/v1/models", key=s.ws_key)
    assert answer.status == 200 and "upgrade" not in s.sockets.heads[-1][1], "ordinary requests go on"
    s.relay.adm("upstreams", "set", "ws", "--websocket", "off")
    assert Client(s, key=s.ws_key).code == "websocket_unsupported"


@pytest.mark.parametrize("version", VERSIONS)
def test_one_lease_and_one_record(make, version):
    s = make(version)
    c = Client(s, path="/v1/realtime?model=m", key=s.ws_key, headers=[("X-Test", "1"), ("Cookie", "a=b")])
    assert c.status == 101 and c.id and "x-relay-own" not in c.headers, c.headers
    first, head = s.sockets.heads[-1]
    assert first == "GET /v1/realtime?model=m HTTP/1.1" and head["authorization"] == "Bearer token-0", head
    assert head["connection"].lower() == "upgrade" and head["x-test"] == "1", head
    assert not {"x-api-key", "cookie"} & set(head), head
    c.echo(os.urandom(3 << 20))
    wait_until("the slot is taken", lambda: in_use(s) == 1)
    wait_until("the metric shows it", lambda: s.relay.metric("relay_websockets_open") == 1)
    assert c.id not in rows(s)
    c.close()
    row = wait_until("its record", lambda: rows(s).get(c.id))
    assert row["status"] == 101 and row["account"] == "ws0" and row["bytes_out"] > 3 << 20, row
    assert in_use(s) == 0
    wait_until("the metric shows it", lambda: s.relay.metric("relay_websockets_open") == 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_handshake_fails_over(make, version):
    """Refused, or not reached: another account takes it, and the WebSocket ends like any other."""
    s = make(version, accounts=2, extra=NO_BUDGET)
    s.relay.adm("pools", "set", "ws", "ws0", "ws1", "--strategy", "round-robin")
    s.sockets.refuses["Bearer token-0"] = 503
    sockets = [Client(s, key=s.ws_key) for _ in range(6)]
    assert [c.status for c in sockets] == [101] * 6
    used = [head["authorization"] for first, head in s.sockets.heads if "upgrade" in head]
    assert {"Bearer token-0", "Bearer token-1"} <= set(used), used
    for c in sockets:
        c.echo()
    wait_until("the slots are taken", lambda: in_use(s, 2) == 6)
    s.relay.adm("tokens", "revoke", s.ws_key_id)
    wait_until("all are closed", lambda: not any(c.is_open() for c in sockets), seconds=5)
    wait_until("the slots are free", lambda: in_use(s, 2) == 0)


@pytest.mark.takes(25)
@pytest.mark.parametrize("version", VERSIONS)
def test_many_through_all_that_happens(make, version):
    """100 WebSockets: a reload, a killed agent, a killed control, a revoked key, and sides that have closed."""
    s = make(version)
    other = s.relay.adm("tokens", "issue", "--tenant", "demo", "--rpm", "0", "--pool", "ws")
    revoked = [Client(s, key=other["token"]) for _ in range(50)]
    held = [Client(s, path="/v1/responses/hold", key=s.ws_key) for _ in range(20)]
    kept = [Client(s, key=s.ws_key) for _ in range(30)]
    assert [c.status for c in revoked + held + kept] == [101] * 100
    wait_until("all slots are taken", lambda: in_use(s) == 100)
    s.relay.adm("haproxy", "reload")
    for role in ("agent", "control"):
        before = s.relay.pid_of(role)
        os.kill(before, signal.SIGKILL)
        wait_until(f"{role} is there again",
                   lambda role=role, before=before: s.relay._answers() and s.relay.pid_of(role) not in (0, before))
    wait_until("control sees them", lambda: s.relay.metric("relay_websockets_open") == 100)
    for c in revoked + kept:
        c.echo()
    assert in_use(s) == 100

    begun = time.monotonic()
    s.relay.adm("tokens", "revoke", str(other["id"]))
    wait_until("those of the key are closed", lambda: not any(c.is_open() for c in revoked))
    took = time.monotonic() - begun
    print(f"HAProxy {s.version}: 50 WebSockets were closed {took:.2f} s after their key was revoked")
    assert took < 2, took
    wait_until("their slots are free", lambda: in_use(s) == 50)
    assert s.relay.metric("relay_websockets_ended_total", reason="key") == 50

    begun = time.monotonic()
    left = [Client(s, path="/v1/responses/bye", key=s.ws_key) for _ in range(10)]
    assert [c.status for c in left] == [101] * 10
    for c in left:
        c.s.sendall(b"x")
    for c in held:
        c.s.shutdown(socket.SHUT_WR)
    wait_until("the half-closed ones are gone", lambda: in_use(s) == 30, seconds=40)
    print(f"HAProxy {s.version}: 30 half-closed WebSockets were gone after {time.monotonic() - begun:.1f} s")
    assert time.monotonic() - begun < 30
    for c in kept:
        c.echo()
        c.close()
    wait_until("every slot is free", lambda: in_use(s) == 0)
    told = rows(s)
    assert all(c.id in told for c in revoked + held + left + kept), "one record for each"
    assert s.relay.metric("relay_slots_healed_total") == 0
    assert not s.haproxy.text().count("ALERT")


@pytest.mark.parametrize("version", VERSIONS)
def test_ended_with_tenant_ban_and_expiry(make, version):
    s = make(version, render=("--trust-forwarded", "127.0.0.0/8"))
    s.relay.adm("tenants", "add", "off", "--pool", "ws", "--daily", "0", "--monthly", "0")
    s.relay.adm("tenants", "add", "gone", "--pool", "ws", "--daily", "0", "--monthly", "0")
    keys = {"off": s.relay.issue("off"), "expired": s.relay.issue("demo", "--pool", "ws", "--ttl", "4s"),
            "rotated": s.relay.adm("tokens", "issue", "--tenant", "demo", "--pool", "ws", "--rpm", "0")}
    rotated = keys["rotated"]
    sockets = {name: Client(s, key=key if isinstance(key, str) else key["token"]) for name, key in keys.items()}
    sockets["banned"] = Client(s, key=s.ws_key, headers=[("X-Forwarded-For", "203.0.113.9")])
    stays = Client(s, key=s.ws_key, headers=[("X-Forwarded-For", "203.0.113.10")])
    assert [c.status for c in (*sockets.values(), stays)] == [101] * 5
    s.relay.adm("tenants", "disable", "off")
    s.relay.adm("tokens", "rotate", str(rotated["id"]))
    s.relay.adm("bans", "add", "203.0.113.9")
    for name, c in sockets.items():
        wait_until(f"{name} is closed", lambda c=c: not c.is_open(), seconds=8)
    assert stays.is_open()
    stays.echo()
    told = {r: s.relay.metric("relay_websockets_ended_total", reason=r) for r in ("key", "tenant", "ban")}
    assert told == {"key": 2, "tenant": 1, "ban": 1}


@pytest.mark.parametrize("version", VERSIONS)
def test_two_keys_on_one_http2_connection(make, version):
    """RFC 8441. One key is revoked; HAProxy 2.6 cannot tell the streams of a connection apart."""
    s = make(version)
    pem = s.dir / "relay.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=relay", "-keyout", pem, "-out", s.dir / "relay.crt"],
                   check=True, capture_output=True)
    pem.write_text(pem.read_text() + (s.dir / "relay.crt").read_text())
    pem.chmod(0o644)
    other = s.relay.adm("tokens", "issue", "--tenant", "demo", "--rpm", "0", "--pool", "ws")
    port = free_port()
    s.relay.adm("haproxy", "options", "--bind", f"127.0.0.1:{port}", "--cert", str(pem))
    client = Process("h2", ["node", HERE / "h2websocket.js", f"https://127.0.0.1:{port}", "/v1/responses", other["token"],
                            s.ws_key], s.dir / "h2.log")
    try:
        wait_until("both talk", lambda: {"0 data hello 0", "1 data hello 1"} <= set(client.text().splitlines()))
        wait_until("control sees them", lambda: s.relay.metric("relay_websockets_open") == 2)
        s.relay.adm("tokens", "revoke", str(other["id"]))
        wait_until("the one of the key ends", lambda: "0 closed" in client.text())
        wait_until("its slot is free", lambda: in_use(s) == (0 if version == "2.6" else 1))
        assert ("1 closed" in client.text()) == (version == "2.6")
    finally:
        client.stop()


class Conversation:
    """Codex's upstream, over HTTP and over WebSocket, where a message holds only what is new."""

    def __init__(self):
        self.turn, self.tools = 0, []

    def lines(self, said):
        self.turn = provider.responses_turn(said) + (self.turn if said.get("previous_response_id") else 0)
        self.tools = provider.responses_tools(said) or self.tools
        return provider.responses({**said, "stream": True}, "token-0", self.turn, self.tools)

    def plain(self, body):
        return self.lines(json.loads(body)) if body else '{"models":[]}'

    def answer(self, message):
        said = json.loads(message)
        if said.get("generate") is False:
            response = {"id": "resp_0", "output": [], "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}}
            return [json.dumps({"type": f"response.{kind}", "response": response}).encode() for kind in ("created", "completed")]
        return [line[6:].encode() for line in self.lines(said).splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("version", VERSIONS)
def test_codex_over_websocket_and_without(make, version):
    """Five turns with tool calls in one WebSocket. After a 426 the same Codex goes on with HTTP."""
    talk = Conversation()
    s = make(version, server=Talker(talk.answer, talk.plain), kind="codex")
    for mode in ("on", "off"):
        s.relay.adm("upstreams", "set", "ws", "--websocket", mode)
        s.sockets.heads.clear()
        home = s.dir / mode
        home.mkdir()
        run = agents.codex(f"http://127.0.0.1:{s.port}", s.ws_key, home, websocket=True)
        assert run.code == 0 and agents.DONE in run.text, run
        upgrades = [head for first, head in s.sockets.heads if "upgrade" in head]
        posts = [first for first, _ in s.sockets.heads if first.startswith("POST")]
        assert (len(upgrades), len(posts)) == ((1, 0) if mode == "on" else (0, 6)), (mode, upgrades, posts)
    assert len(s.sockets.messages) >= 6
    wait_until("one row for the WebSocket", lambda: sorted(row["status"] for row in rows(s).values()) == [101] + [200] * 6)
