"""An agent over TCP: HAProxy sends a secret from its environment; with another secret it gets no answer."""
import collections
import contextlib
import http.client
import itertools
import json
import resource
import socket
import ssl
import subprocess
import threading
import time
import uuid

import pytest

import spop
from relay import free_port, make_reachable, wait_until

@pytest.fixture
def descriptors():
    """Enough descriptors for the peers of the largest test; restores the old limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 16384), max(hard, 16384)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


SECRET = "a-shared-secret-of-32-characters"


def test_the_secret_opens_and_another_does_not(fresh, monkeypatch):
    monkeypatch.setenv("SPOA_RELAY_SECRET", SECRET)
    s = fresh(extra=f"[spop]\nlisten = tcp:127.0.0.1:{free_port()}\nsecret = {SECRET}\n")
    answer = s.post("/v1/x", key=s.key)
    assert answer.status == 200
    wait_until("its record is taken", lambda: s.relay.metric("relay_events_total") >= 1)
    for rendered in (s.dir / "haproxy").iterdir():
        assert SECRET not in rendered.read_text()
    s.upstream.clear()
    monkeypatch.setenv("SPOA_RELAY_SECRET", SECRET[:-1] + "x")
    s.haproxy.stop()
    # health needs no secret, but with a wrong one HAProxy gets no answer even for it
    def answers():
        try:
            return s.get("/relay/health").status == 503
        except OSError:
            return False
    s._serves = answers
    s.start_haproxy()
    refused = s.post("/v1/x", key=s.key)
    assert refused.status == 503 and json.loads(refused.body)["error"]["code"] == "agent_unavailable"
    assert s.upstream.requests() == []
    wait_until("it is counted", lambda: s.relay.metric("relay_spop_connections_refused_total") > 0)


PROVE_S = 5  # PEER_HELLO_MS of agent/peer.h
PER_ADDRESS = 512  # UNPROVEN_PER_PEER of agent/unproven.h
PEERS = 4096


@pytest.fixture
def guarded(fresh, monkeypatch):
    """A stack whose agent listens on TCP; `agent` is the address."""
    monkeypatch.setenv("SPOA_RELAY_SECRET", SECRET)
    port = free_port()
    s = fresh(extra=f"[spop]\nlisten = tcp:127.0.0.1:{port}\nsecret = {SECRET}\n")
    s.agent = ("127.0.0.1", port)
    return s


@pytest.mark.parametrize("frames", [b"", spop.hello()])
def test_a_peer_without_the_secret_is_closed_soon(guarded, frames):
    c = spop.Connection(guarded.agent)
    began = time.monotonic()
    c.s.sendall(frames)
    assert (c.frame() is not None) == bool(frames)
    assert c.frame() is None
    assert PROVE_S - 1 < time.monotonic() - began < PROVE_S + 30
    c.close()


@pytest.mark.parametrize("message,secret", [("decide", SECRET[1:]), ("decide", None), ("unknown", SECRET)])
def test_the_first_message_must_have_the_secret(guarded, message, secret):
    c = spop.Connection(guarded.agent).open()
    more = {"secret": secret} if secret else {}
    c.send(spop.decide(1, str(uuid.uuid4()), guarded.key, message=message, **more))
    assert c.frame()[0] == spop.AGENT_DISCONNECT
    assert c.frame() is None
    c.close()


def test_a_peer_with_the_secret_stays(guarded):
    c = spop.Connection(guarded.agent).open()
    c.send(spop.decide(1, str(uuid.uuid4()), guarded.key, secret=SECRET))
    assert c.frame()[0] == spop.ACK
    time.sleep(PROVE_S + 1)  # beyond the deadline that it has met
    c.send(spop.decide(2, str(uuid.uuid4()), guarded.key, secret=SECRET))
    assert c.frame()[0] == spop.ACK
    c.close()


class Flood(threading.Thread):
    """Connects from these addresses all the time, says nothing, and keeps as many connections as it can."""

    def __init__(self, agent, sources, most):
        super().__init__(daemon=True)
        self.agent, self.sources, self.most = agent, itertools.cycle(sources), most
        self.over, self.made, self.open = threading.Event(), 0, collections.deque()

    def run(self):
        while not self.over.is_set():
            with contextlib.suppress(OSError):
                self.open.append(socket.create_connection(self.agent, 10, (next(self.sources), 0)))
                self.made += 1
            if len(self.open) > self.most:
                self.open.popleft().close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        for s in self.open:
            s.close()


@pytest.mark.takes(15)
@pytest.mark.parametrize("sources,bound", [(["127.0.0.1"], PER_ADDRESS + 100),
                                           ([f"127.0.1.{n}" for n in range(1, 51)], PEERS)])
def test_idle_peers_keep_nobody_out(guarded, descriptors, sources, bound):
    """Neither those of HAProxy's own address nor those of many addresses that fill the agent."""
    guarded.haproxy.stop()
    with Flood(guarded.agent, sources, 6000) as flood:
        wait_until("the flood has been there", lambda: flood.made > 5000, 60)
        guarded.start_haproxy()
        statuses = [guarded.post("/v1/x", key=guarded.key).status for _ in range(200)]
        peers = guarded.relay.metric("relay_spop_connections")
        made = flood.made
    print(f"{made} idle connections made, {peers:.0f} open")
    assert statuses == [200] * 200
    assert peers <= bound
    assert guarded.relay.metric("relay_spop_connections_refused_total") > 0


def test_tls_to_clients(fresh, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    pem = directory / "both.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", directory / "key", "-out", directory / "crt"],
                   check=True, capture_output=True)
    pem.write_text((directory / "crt").read_text() + (directory / "key").read_text())
    pem.chmod(0o644)
    make_reachable(directory)
    port = free_port()
    s = fresh()
    s.relay.adm("haproxy", "render", "--out", str(s.dir / "haproxy"), "--bind", f"127.0.0.1:{port}", "--cert", str(pem))
    context = ssl.create_default_context(cafile=directory / "crt")

    def get():
        c = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60)
        try:
            c.request("GET", "/v1/models", headers={"X-API-Key": s.key})
            return c.getresponse().status
        except OSError:
            return None
        finally:
            c.close()
    wait_until("it is served over TLS", lambda: get() == 200)
