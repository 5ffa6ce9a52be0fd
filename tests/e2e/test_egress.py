"""Ways out: each account is seen from its own addresses, whatever happens to them."""
import http.client
import json
import socket
import ssl
import statistics
import time

import pytest

from egress import NAME, Authority, Names, Node, Socks4
from relay import VERSIONS, Refused, Upstream, haproxy_command, header, wait_until

ECHO_NEVER = "echo_every = 0\n"


def account_through(s, name, egresses, upstream="demo", options=()):
    """An account, its pool and a key of its own."""
    s.account(name, upstream, f"token-of-{name}", "--egress", ",".join(egresses), *options)
    s.relay.adm("pools", "set", name, name)
    s.relay.adm("tenants", "add", name, "--pool", name, "--daily", "0", "--monthly", "0")
    return s.relay.issue(name)


def seen_from(upstream, token):
    return {r["source_ip"] for r in upstream.requests() if header(r, "authorization") == f"Bearer {token}"}


class Far:
    """An https upstream, a node that leads to it, and the egress `far`."""

    SOURCE = "127.0.0.77"

    def __init__(self, s, version):
        self.s, self.command = s, haproxy_command(version)
        self.ours, self.theirs, self.nodes = (Authority(s.dir, n) for n in ("relay", "upstream", "nodes"))
        self.upstream = Upstream(s.dir, "tls", "--cert", self.theirs.issue(NAME))
        self.names = Names()
        self.cert = self.nodes.issue("node.test")
        self.node = None
        self.start_node({NAME: self.upstream.port})
        s.relay.adm("upstreams", "add", "tls", "--url", f"https://{NAME}", "--provider", "openai",
                    "--ca-file", self.theirs.pem)
        s.relay.adm("egress", "add", "far", "--node", f"127.0.0.1:{self.node.port}", "--cert",
                    self.ours.issue("relay.test"), "--ca", self.nodes.pem)

    def start_node(self, upstreams, port=None):
        self.node = Node(self.s.dir, self.command, self.SOURCE, self.cert, self.ours.pem, upstreams, self.names, port)

    def stop(self):
        self.node.stop()
        self.names.close()
        self.upstream.stop()


@pytest.fixture
def far(fresh):
    made = []

    def make(version, **options):
        made.append(Far(fresh(version, **options), version))
        return made[-1]

    yield make
    for f in made:
        f.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_node_goes_out_for_us(far, version):
    f = far(version)
    key = account_through(f.s, "far", ["far"], "tls")
    answer = f.s.post("/v1/chat/completions", key=key)
    assert answer.status == 200, (answer.body, f.s.haproxy.text()[-2000:], f.node.text()[-2000:])
    assert seen_from(f.upstream, "token-of-far") == {Far.SOURCE}
    assert set(f.names.asked) == {NAME}


def test_events_come_through_a_node_as_they_are_sent(far):
    f = far("2.6")
    key = account_through(f.s, "far", ["far"], "tls")
    c = http.client.HTTPConnection("127.0.0.1", f.s.port, timeout=30)
    c.request("GET", "/sse?n=20&ms=40", headers={"X-API-Key": key})
    answer, late = c.getresponse(), []
    for line in answer:
        if line.startswith(b"data:"):
            late.append(time.monotonic_ns() - json.loads(line[5:])["t"])
    c.close()
    assert len(late) == 20 and statistics.median(late) < 20e6, late


def test_a_node_serves_nobody_without_a_certificate_of_ours(far):
    f = far("2.6")
    for cert in (None, f.theirs.issue("stranger.test")):
        tls = ssl.create_default_context(cafile=f.nodes.pem)
        if cert:
            tls.load_cert_chain(cert)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            with tls.wrap_socket(socket.create_connection(("127.0.0.1", f.node.port)),
                                 server_hostname="node.test") as s:
                s.sendall(client_hello(NAME))
                assert s.recv(1) != b"", "closed"
    assert f.names.asked == [] and f.upstream.requests() == []


def client_hello(name):
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        ssl.create_default_context().wrap_bio(into, out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return out.read()


@pytest.mark.parametrize("sent", [client_hello("elsewhere.test"), b"GET / HTTP/1.1\r\nHost: up.test\r\n\r\n",
                                  client_hello(NAME)[:40]], ids=["other name", "no TLS", "half a hello"])
def test_a_node_goes_nowhere_else(far, sent):
    f = far("2.6")
    tls = ssl.create_default_context(cafile=f.nodes.pem)
    tls.load_cert_chain(f.ours.issue("second.test"))
    with tls.wrap_socket(socket.create_connection(("127.0.0.1", f.node.port), timeout=20),
                         server_hostname="node.test") as s:
        s.sendall(sent)
        assert s.recv(1) == b""
    assert f.names.asked == []


def test_a_node_cannot_stand_in_for_the_upstream(far):
    f = far("2.6")
    imposter = Upstream(f.s.dir, "imposter", "--cert", f.nodes.issue(NAME))
    try:
        f.node.stop()
        f.start_node({NAME: imposter.port}, f.node.port)
        key = account_through(f.s, "far", ["far"], "tls")
        answer = f.s.post("/v1/chat/completions", key=key)
        assert answer.status in (502, 503) and header_of(answer, "X-Relay-Error")
        assert imposter.requests() == [] and f.upstream.requests() == []
    finally:
        imposter.stop()


def header_of(answer, name):
    return dict((k.lower(), v) for k, v in answer.getheaders()).get(name.lower())


def test_who_goes_by_a_node_waits_for_it(far):
    f = far("2.6", extra="[health]\nrecovery = 1s\n")
    key = account_through(f.s, "far", ["far"], "tls")
    assert f.s.get("/v1/models", key=key).status == 200
    f.node.stop()
    assert f.s.get("/v1/models", key=key).status in (502, 503)
    f.start_node({NAME: f.upstream.port}, f.node.port)
    wait_until("it is used again", lambda: f.s.get("/v1/models", key=key).status == 200, 40, 0.2)
    assert seen_from(f.upstream, "token-of-far") == {Far.SOURCE}


def test_nothing_that_a_node_could_read_goes_there(far):
    f = far("2.6")
    relay = f.s.relay
    with pytest.raises(Refused, match='upstream "demo" cannot be reached through egress "far".*not https'):
        f.s.account("plain", "demo", "t", "--egress", "far")
    relay.adm("upstreams", "add", "numeric", "--url", "https://127.0.0.1:1", "--provider", "openai")
    with pytest.raises(Refused, match='upstream "numeric" cannot be reached through egress "far".*an address'):
        f.s.account("plain", "numeric", "t", "--egress", "far")
    f.s.account("far", "tls", "t", "--egress", "far")
    with pytest.raises(Refused, match='upstream "tls" cannot be reached through egress "far"'):
        relay.adm("upstreams", "set", "tls", "--url", "http://up.test")
    with pytest.raises(Refused, match="needs cert and ca"):
        relay.adm("egress", "add", "half", "--node", "127.0.0.1:1", "--cert", "/etc/hostname")
    with pytest.raises(Refused, match="for nodes only"):
        relay.adm("egress", "add", "no-node", "--source", "127.0.0.9", "--cert", "/etc/hostname")
    assert relay.adm("upstreams", "show", "tls")["url"] == f"https://{NAME}"
