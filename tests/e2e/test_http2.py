"""Upstreams that speak HTTP/2: one connection carries many requests, and all else is as with HTTP/1.1."""
import collections
import concurrent.futures
import json
import subprocess

import pytest

from egress import NAME, Authority, Names, Node, Socks4
from failures import NO_BUDGET, wait_for_no_leases
from relay import ROOT, VERSIONS, Process, wait_until
from websocket import Client

UNLIMITED = ("--rpm", "0", "--rph", "0", "--concurrency", "0")


class Server(Process):
    """h2upstream.js; with a certificate it is an https upstream."""

    def __init__(self, directory, pem=None, name="h2"):
        super().__init__(name, ["node", ROOT / "tests/e2e/h2upstream.js", *([pem] if pem else [])],
                         directory / f"{name}.log")
        wait_until("it listens", lambda: "port" in self.text())
        self.port = self.lines()[0]["port"]
        self.url = f"http{'s' if pem else ''}://localhost:{self.port}"

    def lines(self):
        return [json.loads(line) for line in self.text().splitlines() if line.endswith("}")]

    def requests(self):
        return [line for line in self.lines() if line.get("method") == "POST"]


@pytest.fixture
def make(fresh):
    """A stack whose pool `h2` has an upstream with HTTP/2 switched on."""
    servers = []

    def build(version, accounts=1, tls=True, http2="on", options=(), egress=None):
        s = fresh(version, extra=NO_BUDGET)
        authority = Authority(s.dir, "h2")
        s.h2 = Server(s.dir, authority.issue("localhost") if tls else None)
        servers.append(s.h2)
        s.relay.adm("upstreams", "add", "h2", "--url", s.h2.url, "--provider", "openai", "--http2", http2,
                    *(["--ca-file", authority.pem] if tls else []), *options)
        if egress:
            egress(s)
        for i in range(accounts):
            s.account(f"h2{i}", "h2", f"token-{i}", *UNLIMITED, *(["--egress", "e"] if egress else []))
        s.relay.adm("pools", "set", "h2", *(f"h2{i}" for i in range(accounts)))
        s.h2_key = s.relay.issue("demo", "--pool", "h2")
        return s

    try:
        yield build
    finally:
        for server in servers:
            server.stop()


def post(s, do="json", body=b"{}", **options):
    return s.post("/v1/x", body=body, key=s.h2_key, headers=[("X-Do", do)], **options)


def served(answer):
    assert answer.status == 200, (answer.status, answer.headers.items(), answer.body)
    return json.loads(answer.body)


def authority(seen):
    return seen["headers"].get(":authority") or seen["headers"]["host"]


def last_row(s):
    return s.relay.adm("requests", "list", "--last", "1")["items"][0]


@pytest.mark.parametrize("version", VERSIONS)
def test_speaks_http2_if_it_is_switched_on(make, version):
    s = make(version, http2="off")
    assert served(post(s))["version"] == "1.1", "off by default"
    s.relay.adm("upstreams", "set", "h2", "--http2", "on")
    assert s.relay.adm("upstreams", "show", "h2")["http2"] is True
    answer = post(s, body=b"x" * 1000)
    seen = served(answer)
    assert (seen["version"], seen["bytes"], seen["path"]) == ("2.0", 1000, "/v1/x")
    assert seen["token"] == "Bearer token-0" and authority(seen) == s.h2.url.split("/")[2]
    assert not {"connection", "x-api-key", "upgrade"} & set(seen["headers"]), seen["headers"]
    assert answer.version == 11 and not {":status", "connection"} & {n.lower() for n in answer.headers}
    wait_until("its record is there", lambda: last_row(s)["status"] == 200 and last_row(s)["account"] == "h20")
    large = served(post(s, body=b"x" * 3_000_000))
    assert (large["version"], large["bytes"]) == ("2.0", 3_000_000)
    assert len(post(s, "large").body) == 3_000_000
    assert post(s, "trailers").body == b"body"
    curl = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-H", f"X-API-Key: {s.h2_key}", "-H", "X-Do: json",
                           "-d", "{}", f"http://127.0.0.1:{s.port}/v1/x"], capture_output=True, text=True, timeout=60)
    both = json.loads(curl.stdout)
    assert (both["version"], authority(both)) == ("2.0", s.h2.url.split("/")[2]), curl
    wait_for_no_leases(s)


@pytest.mark.parametrize("version", VERSIONS)
def test_events_arrive_one_by_one(make, version):
    s = make(version)
    served(post(s))
    with s.connect() as sock:
        s.send(sock, "POST", "/v1/x", [("X-Do", "events"), ("Content-Length", "2")], b"{}", key=s.h2_key)
        pieces, text = [], b""
        while b"data: 4" not in text:
            data = sock.recv(65536)
            assert data, text
            text += data
            pieces += [data] if b"data:" in data else []
    assert len(pieces) == 5, pieces


@pytest.mark.parametrize("version", VERSIONS)
def test_a_hundred_requests_share_few_connections(make, version):
    s = make(version)
    for _ in range(4):
        served(post(s))
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: served(post(s, "wait")), range(100)))
    assert {a["version"] for a in answers} == {"2.0"}
    assert len({a["session"] for a in answers}) <= 20, sorted(a["session"] for a in answers)
    wait_for_no_leases(s)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refused_request_moves(make, version):
    s = make(version, accounts=2)
    for _ in range(16):
        assert served(post(s, "refuse"))["token"] == "Bearer token-1"
    assert any(r["token"] == "Bearer token-0" for r in s.h2.requests())
    wait_for_no_leases(s)


@pytest.mark.parametrize("accounts", (1, 2))
@pytest.mark.parametrize("version", VERSIONS)
def test_a_connection_that_ends_costs_no_request(make, version, accounts):
    """GOAWAY: before a request, and with a request that the upstream has not begun."""
    s = make(version, accounts)
    for _ in range(6):
        served(post(s, "last"))
    for _ in range(6):
        served(post(s))
        served(post(s))
        served(post(s, "leave"))
    wait_for_no_leases(s)
    for i in range(accounts):
        assert s.relay.adm("accounts", "show", f"h2{i}")["state"] == "ok"


@pytest.mark.parametrize("version", VERSIONS)
def test_busy_connections_that_end(make, version):
    """GOAWAY after 20 requests, with others on their way."""
    s = make(version)
    served(post(s))

    def one(_):
        try:
            return post(s, "some").status
        except OSError as e:
            return repr(e)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = collections.Counter(pool.map(one, range(400)))
    assert answers == {200: 400}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_leaves_frees_its_slot(make, version):
    s = make(version)
    first = served(post(s))["session"]
    with s.connect() as sock:
        s.send(sock, "POST", "/v1/x", [("X-Do", "hold"), ("Content-Length", "2")], b"{}", key=s.h2_key)
        text = b""
        while b"begin" not in text:
            text += sock.recv(65536)
        assert s.relay.adm("accounts", "show", "h20")["in_use"] == 1
    wait_until("the upstream's stream is reset", lambda: {"ended": "hold", "complete": False} in s.h2.lines())
    wait_for_no_leases(s)
    assert s.relay.adm("accounts", "show", "h20")["in_use"] == 0
    assert first and served(post(s))["version"] == "2.0"


@pytest.mark.parametrize("version", VERSIONS)
def test_websockets_keep_http1(make, version):
    s = make(version, options=("--websocket", "on"))
    assert served(post(s))["version"] == "2.0"
    c = Client(s, key=s.h2_key)
    assert c.status == 101, c.headers
    c.close()
    wait_until("it was an upgrade of HTTP/1.1", lambda: {"upgraded": "1.1"} in s.h2.lines())
    assert served(post(s))["version"] == "2.0"


@pytest.mark.parametrize("version", VERSIONS)
def test_source_address_and_node(make, version):
    s = make(version)
    s.relay.adm("egress", "add", "five", "--source", "127.0.0.5")
    s.relay.adm("accounts", "set", "h20", "--egress", "five")
    seen = served(post(s))
    assert (seen["version"], seen["from"]) == ("2.0", "127.0.0.5")
    ours, nodes, theirs = (Authority(s.dir, n) for n in ("ours", "nodes", "theirs"))
    s.beyond = Server(s.dir, theirs.issue(NAME), "beyond")
    names = Names()
    node = Node(s.dir, s.command, "127.0.0.7", nodes.issue("node.test"), ours.pem, {NAME: s.beyond.port}, names)
    try:
        s.relay.adm("upstreams", "add", "beyond", "--url", f"https://{NAME}", "--provider", "openai", "--http2", "on",
                    "--ca-file", theirs.pem)
        s.relay.adm("egress", "add", "node", "--node", f"127.0.0.1:{node.port}", "--cert", ours.issue("relay.test"),
                    "--ca", nodes.pem)
        s.account("beyond", "beyond", "token-b", "--egress", "node")
        s.relay.adm("pools", "set", "beyond", "beyond")
        key = s.relay.issue("demo", "--pool", "beyond")
        seen = served(s.post("/v1/x", key=key))
        assert (seen["version"], seen["from"]) == ("2.0", "127.0.0.7")
    finally:
        node.stop()
        names.close()
        s.beyond.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_clear_text_and_socks4(make, version):
    s = make(version, tls=False)
    assert served(post(s))["version"] == "2.0"
    socks = Socks4(s.dir, "127.0.0.1")
    try:
        s.relay.adm("egress", "add", "far", "--socks4", f"127.0.0.1:{socks.port}")
        s.relay.adm("accounts", "set", "h20", "--egress", "far")
        assert served(post(s))["version"] == "2.0"
    finally:
        socks.stop()
