"""Egresses: the upstream sees each account from its own addresses, whatever happens to them."""
import concurrent.futures
import csv
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import statistics
import subprocess
import tempfile
import time

import pytest

from bare import bare, compare
from egress import NAME, Authority, Names, Node, Socks4
from relay import ANY, BUILD, VERSIONS, Refused, Upstream, free_port, haproxy_command, header, wait_until

def account_through(s, name, egresses, upstream="demo", options=()):
    """An account with its own pool and key."""
    s.account(name, upstream, f"token-of-{name}", "--egress", ",".join(egresses), *options)
    s.relay.adm("pools", "set", name, name)
    s.relay.adm("tenants", "add", name, "--pool", name, "--daily", "0", "--monthly", "0")
    return s.relay.issue(name)


def seen_from(upstream, token):
    return {r["source_ip"] for r in upstream.requests() if header(r, "authorization") == f"Bearer {token}"}


def send_some(s, key, n=20):
    return [s.post("/v1/chat/completions", key=key).status for _ in range(n)]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_account_is_seen_from_its_own_addresses(fresh, version):
    s = fresh(version)
    proxy = Socks4(s.dir, "127.0.0.53")
    try:
        for name, kind, address in (("one", "--source", "127.0.0.51"), ("two", "--source", "127.0.0.52"),
                                    ("three", "--socks4", f"127.0.0.1:{proxy.port}"), ("other", "--source", "127.0.0.54")):
            s.relay.adm("egress", "add", name, kind, address)
        keys = {name: account_through(s, name, egresses)
                for name, egresses in (("a", ["one"]), ("b", ["two", "other"]), ("c", ["three"]))}
        assert {k: set(send_some(s, keys[k])) for k in keys} == {k: {200} for k in keys}
        assert seen_from(s.upstream, "token-of-a") == {"127.0.0.51"}
        assert seen_from(s.upstream, "token-of-b") <= {"127.0.0.52", "127.0.0.54"}
        assert seen_from(s.upstream, "token-of-c") == {"127.0.0.53"}
        proxy.stop()
        assert 200 not in send_some(s, keys["c"], 3)
        assert seen_from(s.upstream, "token-of-c") == {"127.0.0.53"}
    finally:
        proxy.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_an_ipv6_source(fresh, version):
    s = fresh(version)
    upstream = Upstream(s.dir, "six", "--listen", "[::1]:0")
    try:
        s.relay.adm("upstreams", "add", "six", "--url", f"http://localhost:{upstream.port}", "--provider", "openai")
        s.relay.adm("egress", "add", "six", "--source", "0:0::1")
        key = account_through(s, "six", ["six"], "six")
        assert set(send_some(s, key)) == {200}
        assert seen_from(upstream, "token-of-six") == {"::1"}
    finally:
        upstream.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_an_account_has_another_way_out_within_the_request(fresh, version):
    s = fresh(version, extra="[health]\nrecovery = 1s\n")
    proxy = Socks4(s.dir, "127.0.0.57")
    try:
        s.relay.adm("egress", "add", "first", "--socks4", f"127.0.0.1:{proxy.port}")
        s.relay.adm("egress", "add", "second", "--source", "127.0.0.58")
        key = account_through(s, "twofold", ["first", "second"])
        assert set(send_some(s, key)) == {200}
        assert seen_from(s.upstream, "token-of-twofold") == {"127.0.0.57"}
        proxy.stop()
        assert set(send_some(s, key)) == {200}
        assert seen_from(s.upstream, "token-of-twofold") == {"127.0.0.57", "127.0.0.58"}
        assert s.relay.adm("egress", "show", "first")["state"] == "down"
        proxy = Socks4(s.dir, "127.0.0.57", proxy.port)
        s.upstream.clear()

        def is_back():
            return send_some(s, key, 1) == [200] and "127.0.0.57" in seen_from(s.upstream, "token-of-twofold")

        wait_until("the first is used again", is_back, 60, 0.2)
    finally:
        proxy.stop()


def test_the_egress_of_the_region_comes_first(fresh):
    s = fresh(ANY, extra="[relay]\nregion = eu\n")
    for name, address, region in (("far", "127.0.0.55", "us"), ("near", "127.0.0.56", "eu")):
        s.relay.adm("egress", "add", name, "--source", address, "--region", region)
    key = account_through(s, "abroad", ["far", "near"])
    assert set(send_some(s, key)) == {200}
    assert seen_from(s.upstream, "token-of-abroad") == {"127.0.0.56"}


# --- the address that the echo endpoint sees ---

def echo_stack(fresh, version, every="0", path="/ip"):
    """A stack with the demo upstream as echo endpoint, and checks on demand only."""
    s = fresh(version)
    s.relay.write_config(f"[health]\necho_url = {s.upstream.url}{path}\necho_every = {every}\n")
    s.relay.process.popen.send_signal(signal.SIGHUP)
    wait_until("every egress has been looked at",
               lambda: all(e["checked_at"] for e in s.relay.adm("egress", "list")["items"]), 90)
    return s


def check(s, *names):
    """Exit code, and the rows by name."""
    run = s.relay.adm_run("egress", "check", *names)
    return run.returncode, {r["name"]: r for r in json.loads(run.stdout)["items"]}


def shown(s, name):
    e = s.relay.adm("egress", "show", name)
    return e["state"], e["suspended"], e["seen_ip"]


def open_notices(s):
    return [(n["kind"], n["subject"]) for n in s.relay.adm("notices", "list")["items"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_source_is_checked_to_be_its_address(fresh, version):
    s = echo_stack(fresh, version)
    s.relay.adm("egress", "add", "one", "--source", "127.0.0.61")
    assert check(s, "one") == (0, {"one": {"name": "one", "kind": "source", "expected": "127.0.0.61",
                                           "seen": "127.0.0.61", "result": "ok", "reason": None}})
    assert shown(s, "one") == ("ok", False, "127.0.0.61")
    code, rows = check(s)
    assert code == 0 and set(rows) == {"direct", "one"} and rows["direct"]["seen"] == "127.0.0.1"


def test_an_egress_whose_address_changes_is_suspended_until_somebody_looks(fresh):
    s = echo_stack(fresh, ANY)
    proxy = Socks4(s.dir, "127.0.0.62")
    try:
        s.relay.adm("egress", "add", "far", "--socks4", f"127.0.0.1:{proxy.port}")
        key = account_through(s, "far", ["far"])
        assert check(s, "far")[1]["far"]["seen"] == "127.0.0.62"
        proxy.stop()
        proxy = Socks4(s.dir, "127.0.0.63", proxy.port)
        code, rows = check(s, "far")
        assert (code, rows["far"]["result"], rows["far"]["expected"]) == (1, "mismatch", "127.0.0.62")
        assert rows["far"]["reason"] == "127.0.0.63 was seen in place of 127.0.0.62"
        assert shown(s, "far") == ("suspended", True, "127.0.0.62")
        assert open_notices(s) == [("egress_mismatch", "egress/far")]
        s.upstream.clear()
        assert s.get("/v1/models", key=key).status == 503
        assert seen_from(s.upstream, "token-of-far") == set()
        proxy.stop()
        proxy = Socks4(s.dir, "127.0.0.62", proxy.port)
        assert check(s, "far")[0] == 0
        assert shown(s, "far") == ("ok", False, "127.0.0.62") and open_notices(s) == []
        wait_until("it is used again", lambda: s.get("/v1/models", key=key).status == 200)
    finally:
        proxy.stop()


def test_an_address_that_somebody_sets_again_is_taken_as_it_is(fresh):
    s = echo_stack(fresh, ANY)
    proxy = Socks4(s.dir, "127.0.0.62")
    try:
        s.relay.adm("egress", "add", "far", "--socks4", f"127.0.0.1:{proxy.port}")
        assert check(s, "far")[0] == 0
        proxy.stop()
        proxy = Socks4(s.dir, "127.0.0.63", proxy.port)
        assert check(s, "far")[0] == 1
        s.relay.adm("egress", "set", "far", "--socks4", f"127.0.0.1:{proxy.port}")
        assert shown(s, "far") == ("ok", False, None) and open_notices(s) == []
        assert check(s, "far")[1]["far"]["seen"] == "127.0.0.63"
    finally:
        proxy.stop()


def test_two_accounts_are_not_seen_from_one_address(fresh):
    s = echo_stack(fresh, ANY)
    proxies = [Socks4(s.dir, "127.0.0.64"), Socks4(s.dir, "127.0.0.64")]
    try:
        for name, proxy in zip("ab", proxies):
            s.relay.adm("egress", "add", name, "--socks4", f"127.0.0.1:{proxy.port}")
            account_through(s, name, [name])
        assert check(s, "a")[0] == 0
        code, rows = check(s, "b")
        assert code == 1 and 'also the IP of egress "a" of account "a"' in rows["b"]["reason"]
        assert shown(s, "a")[0] == "ok" and shown(s, "b")[0] == "suspended"
        for name in "ab":
            s.relay.adm("egress", "set", name, "--shared", "on")
        assert check(s, "b")[0] == 0 and shown(s, "b")[0] == "ok"
    finally:
        for proxy in proxies:
            proxy.stop()


def test_what_cannot_be_asked_says_nothing_about_the_egress(fresh):
    s = echo_stack(fresh, ANY)
    s.relay.adm("egress", "add", "gone", "--socks4", f"127.0.0.1:{free_port()}")
    code, rows = check(s, "gone")
    assert code == 1 and rows["gone"]["result"] == "error" and rows["gone"]["seen"] is None
    assert shown(s, "gone") == ("ok", False, None) and open_notices(s) == []


@pytest.mark.takes(12)
def test_checks_go_on_by_themselves(fresh):
    s = echo_stack(fresh, ANY, every="1s")
    proxy = Socks4(s.dir, "127.0.0.65")
    try:
        s.relay.adm("egress", "add", "far", "--socks4", f"127.0.0.1:{proxy.port}")
        wait_until("it is checked", lambda: shown(s, "far")[2] == "127.0.0.65")
        proxy.stop()
        proxy = Socks4(s.dir, "127.0.0.66", proxy.port)
        wait_until("it is suspended", lambda: shown(s, "far")[0] == "suspended")
        proxy.stop()
        proxy = Socks4(s.dir, "127.0.0.65", proxy.port)
        checked = s.relay.adm("egress", "show", "far")["checked_at"]
        wait_until("it is checked again", lambda: s.relay.adm("egress", "show", "far")["checked_at"] > checked)
        assert shown(s, "far")[0] == "suspended", "only who asks lifts it"
    finally:
        proxy.stop()


def internal_requests(s):
    """Requests that HAProxy has taken on its internal frontend."""
    with socket.socket(socket.AF_UNIX) as c:
        c.connect(f"{s.dir}/haproxy.sock")
        c.sendall(b"show stat relay-internal 1 -1\n")
        text = b"".join(iter(lambda: c.recv(65536), b"")).decode()
    row, = csv.DictReader(text.lstrip("# ").splitlines())
    return int(row["req_tot"])


@pytest.mark.takes(25)
def test_a_check_that_comes_before_the_reload_is_repeated_soon(fresh):
    """echo_every = 0 has one round; it must not end with "HAProxy has no backend for this egress yet"."""
    s = fresh(ANY)
    master = s.haproxy.pid
    os.kill(master, signal.SIGSTOP)
    try:
        before = internal_requests(s)
        s.relay.write_config(f"[health]\necho_url = {s.upstream.url}/ip\necho_every = 0\n")
        s.relay.process.popen.send_signal(signal.SIGHUP)
        wait_until("the check came too early", lambda: internal_requests(s) > before, 60)
    finally:
        os.kill(master, signal.SIGCONT)
    assert shown(s, "direct")[2] is None
    s.relay.adm("haproxy", "reload")
    wait_until("it is checked", lambda: shown(s, "direct")[2] == "127.0.0.1", 60)


def test_a_check_needs_an_endpoint(fresh):
    s = fresh(ANY)
    run = s.relay.adm_run("egress", "check")
    assert run.returncode == 1 and "echo_url is not set" in run.stderr
    run = s.relay.adm_run("egress", "check", "nobody")
    assert run.returncode == 1


@pytest.mark.takes(15)
def test_a_check_that_takes_its_time_holds_up_nobody(fresh):
    s = echo_stack(fresh, ANY, path="/ip")
    s.relay.write_config(f"[health]\necho_url = {s.upstream.url}/slow?headers=60\necho_every = 0\n")
    s.relay.process.popen.send_signal(signal.SIGHUP)
    s.upstream.clear()
    command = [BUILD / "relayadm", "--socket", s.relay.socket, "egress", "check"]
    waiting = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    wait_until("both are asked for", lambda: [r["path"] for r in s.upstream.requests()].count("/slow") >= 2)
    assert s.relay.adm("egress", "list")["items"]
    assert [process.poll() for process in waiting] == [None, None], "the list came after the check"
    waiting[0].kill()
    out, err = waiting[1].communicate(timeout=90)
    assert waiting[1].returncode == 1 and "direct" in out and "1 could not be checked" in err, (out, err)
    left = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_until("it is asked for", lambda: [r["path"] for r in s.upstream.requests()].count("/slow") >= 3)
    s.relay.stop()
    assert left.wait(60) in (1, 3) and left.stderr.read()
    waiting[0].communicate()
    s.relay.start()


# --- remote nodes ---

class Far:
    """An https upstream, a node that forwards to it, and the egress `far`."""

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
def readable_path():
    """tmp_path belongs to this user; the relay checks HAProxy's files as its own user."""
    with tempfile.TemporaryDirectory(prefix="relay-e2e-") as path:
        os.chmod(path, 0o755)
        yield pathlib.Path(path)


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
    f = far(ANY)
    key = account_through(f.s, "far", ["far"], "tls")

    def lateness(port):
        """Milliseconds at the median."""
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        c.request("GET", "/sse?n=20&ms=40", headers={"X-API-Key": key})
        answer, late = c.getresponse(), []
        for line in answer:
            if line.startswith(b"data:"):
                late.append((time.monotonic_ns() - json.loads(line[5:])["t"]) / 1e6)
        c.close()
        assert len(late) == 20
        return statistics.median(late)

    def measure():
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(lateness, (f.s.port, port)))

    with bare(f.s, f.s.upstream.port) as port:
        compare(measure, lambda ours, theirs: ours < theirs + 20)


def test_a_node_serves_nobody_without_a_certificate_of_ours(far):
    f = far(ANY)
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
    f = far(ANY)
    tls = ssl.create_default_context(cafile=f.nodes.pem)
    tls.load_cert_chain(f.ours.issue("second.test"))
    with tls.wrap_socket(socket.create_connection(("127.0.0.1", f.node.port), timeout=60),
                         server_hostname="node.test") as s:
        s.sendall(sent)
        assert s.recv(1) == b""
    assert f.names.asked == []


def test_a_node_cannot_stand_in_for_the_upstream(far):
    f = far(ANY)
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
    f = far(ANY, extra="[health]\nrecovery = 1s\n")
    key = account_through(f.s, "far", ["far"], "tls")
    assert f.s.get("/v1/models", key=key).status == 200
    f.node.stop()
    try:
        assert f.s.get("/v1/models", key=key).status in (502, 503)
    except http.client.RemoteDisconnected:
        pass  # HAProxy 3.0 and newer say the same by closing the connection (docs/HEALTH.md)
    f.start_node({NAME: f.upstream.port}, f.node.port)
    wait_until("it is used again", lambda: f.s.get("/v1/models", key=key).status == 200, 60, 0.2)
    assert seen_from(f.upstream, "token-of-far") == {Far.SOURCE}


@pytest.mark.takes(12)
def test_a_node_is_not_asked_for_an_endpoint_it_could_read(far):
    f = far(ANY)
    f.s.relay.write_config(f"[health]\necho_url = {f.s.upstream.url}/ip\necho_every = 0\n")
    f.s.relay.process.popen.send_signal(signal.SIGHUP)
    wait_until("direct is checked", lambda: f.s.relay.adm("egress", "show", "direct")["checked_at"])
    code, rows = check(f.s)
    assert code == 1 and rows["direct"]["result"] == "ok"
    assert rows["far"]["reason"] == "a node egress can only be checked with an https echo_url that has a host name"


def test_a_node_is_part_of_the_document(far):
    f = far(ANY)
    document = f.s.relay.adm("export")
    node = next(e for e in document["egress"] if e["name"] == "far")
    assert node["node"] == f"127.0.0.1:{f.node.port}" and node["cert"].endswith("relay.test.pem")
    copy = f.s.dir / "document.json"
    copy.write_text(json.dumps(document))
    assert f.s.relay.adm("apply", copy)["changes"] == []
    del node["ca"], node["cert"], node["node"]
    node["source"] = "127.0.0.9"
    copy.write_text(json.dumps(document))
    f.s.relay.adm("apply", copy)
    shown_now = f.s.relay.adm("egress", "show", "far")
    assert (shown_now["kind"], shown_now["address"]) == ("source", "127.0.0.9") and "cert" not in shown_now


def test_nothing_that_a_node_could_read_goes_there(far):
    f = far(ANY)
    relay = f.s.relay
    with pytest.raises(Refused, match='upstream "demo" cannot be reached through egress "far".*not https'):
        f.s.account("plain", "demo", "t", "--egress", "far")
    relay.adm("upstreams", "add", "numeric", "--url", "https://127.0.0.1:1", "--provider", "openai")
    with pytest.raises(Refused, match='upstream "numeric" cannot be reached through egress "far".*an address'):
        f.s.account("plain", "numeric", "t", "--egress", "far")
    f.s.account("far", "tls", "t", "--egress", "far")
    with pytest.raises(Refused, match='upstream "tls" cannot be reached through egress "far"'):
        relay.adm("upstreams", "set", "tls", "--url", "http://up.test")
    with pytest.raises(Refused, match="--node: only with --ca"):
        relay.adm("egress", "add", "half", "--node", "127.0.0.1:1", "--cert", "/etc/hostname")
    with pytest.raises(Refused, match="cert: /no/such.pem: No such file"):
        relay.adm("egress", "add", "lost", "--node", "127.0.0.1:1", "--cert", "/no/such.pem", "--ca", "/etc/hostname")
    with pytest.raises(Refused, match="--cert: only with --node"):
        relay.adm("egress", "add", "no-node", "--source", "127.0.0.9", "--cert", "/etc/hostname")
    assert relay.adm("upstreams", "show", "tls")["url"] == f"https://{NAME}"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_node_is_checked_by_what_the_endpoint_sees(far, version, monkeypatch, readable_path):
    ca = readable_path / "ca.pem"
    ca.write_bytes(Authority(readable_path, "nobody").pem.read_bytes())
    monkeypatch.setenv("SPOA_RELAY_CA", str(ca))
    f = far(version, extra=f"[health]\necho_url = https://{NAME}/ip\necho_every = 0\n")
    assert check(f.s, "far")[1]["far"]["result"] == "error", "the endpoint's certificate is another CA's"
    ca.write_bytes(f.theirs.pem.read_bytes())
    f.s.relay.adm("haproxy", "reload")
    code, rows = check(f.s, "far")
    assert code == 0 and rows["far"]["seen"] == Far.SOURCE, rows
    f.node.stop()
    f.SOURCE = "127.0.0.78"
    f.start_node({NAME: f.upstream.port}, f.node.port)
    code, rows = check(f.s, "far")
    assert code == 1 and rows["far"]["reason"] == "127.0.0.78 was seen in place of 127.0.0.77", rows
    assert shown(f.s, "far")[0] == "suspended"
