"""End records of requests: shown, counted if lost, rejected if forged."""
import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import time
import uuid

import pytest

import records
from relay import VERSIONS, wait_until
from test_streams import read_chunks


def listed(stack, request_id):
    for row in stack.relay.adm("requests", "list", "--last", "500")["items"]:
        if row["id"] == request_id:
            return row
    return None


def test_what_a_request_became_is_shown(stack):
    answer = stack.post("/v1/x", body=b"x" * 1000, key=stack.key, headers=[("X-Request-Id", "of-the-client-1")])
    request_id = answer.getheader("X-Request-Id")
    assert request_id != "of-the-client-1"
    row = wait_until("the record", lambda: listed(stack, request_id))
    assert (row["tenant"], row["account"], row["egress"], row["status"]) == ("demo", "demo", "direct", 200)
    assert row["bytes_in"] > 1000 and row["bytes_out"] > len(answer.body)
    assert row["ttfb_ms"] >= 0 and row["duration_ms"] >= row["ttfb_ms"]
    assert row["time"].endswith("Z") and row["ended"] == "normal" and row["termination"] == "--"
    assert row["label"] == "of-the-client-1"
    used = wait_until("the use of the key", lambda: stack.relay.adm("tokens", "show", row["key"])["last_used_at"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00:00Z", used)
    assert used[:13] in (time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() - ago)) for ago in (0, 120))


def test_refusals_and_clients_that_leave_are_shown(stack):
    key = stack.relay.adm("tokens", "issue", "--tenant", "demo")
    stack.relay.adm("tokens", "revoke", str(key["id"]))
    refused = stack.post("/v1/x", key=key["token"]).getheader("X-Request-Id")
    row = wait_until("the refusal", lambda: listed(stack, refused))
    assert (row["status"], row["code"], row["ended"]) == (401, "revoked_api_key", "refused")
    assert (row["tenant"], row["key"], row["account"]) == ("demo", key["id"], None)
    s = stack.connect()
    stack.send(s, "GET", "/sse?n=1000&ms=50")
    next(read_chunks(s))
    s.close()
    wait_until("the end", lambda: any(row["ended"] not in ("normal", "refused") and row["status"] == 200
                                      for row in stack.relay.adm("requests", "list", "--last", "5")["items"]))


def test_requests_of_nobody_are_counted_only(stack):
    """Keyless requests, bad keys and health checks have no tenant whose history they could be in."""
    metric = stack.relay.metric
    before = [metric("relay_decisions_total", action="deny", code=code) for code in ("missing_api_key", "invalid_api_key")]
    answered = metric("relay_decisions_total", action="answer", code="")
    ids = {stack.post("/v1/x", key=key).getheader("X-Request-Id") for key in ("", "rk_bad")}
    ids.add(stack.get("/relay/health", key="").getheader("X-Request-Id"))
    last = stack.post("/v1/x", key=stack.key).getheader("X-Request-Id")
    rows = wait_until("a later one is listed", lambda: listed(stack, last) and
                      stack.relay.adm("requests", "list", "--last", "500")["items"])
    assert ids.isdisjoint(row["id"] for row in rows) and all(row["tenant"] for row in rows)
    wait_until("they are counted", lambda: metric("relay_decisions_total", action="answer", code="") == answered + 1)
    after = [metric("relay_decisions_total", action="deny", code=code) for code in ("missing_api_key", "invalid_api_key")]
    assert after == [n + 1 for n in before]


def test_a_row_says_what_was_asked_and_never_the_query(stack):
    """Queries hold secrets of some providers."""
    secret = f"query-{uuid.uuid4().hex}"
    answer = stack.post(f"/v1/x;p=1/y?api_key={secret}&x=%2F", key=stack.key)
    row = wait_until("the record", lambda: listed(stack, answer.getheader("X-Request-Id")))
    assert (row["method"], row["path"], row["provider"]) == ("POST", "/v1/x;p=1/y", "openai")
    assert (row["attempt_count"], row["retries"], row["pool"], row["upstream"]) == (1, 0, "demo", "demo")
    assert 0 <= row["relay_ms"] <= row["ttfb_ms"]
    kept = [stack.dir / "state/relay.db", stack.dir / "state/relay.db-wal", *stack.dir.glob("*.log"),
            *stack.dir.glob("log/*")]
    wait_until("it is stored", lambda: b"/v1/x;p=1/y" in b"".join(f.read_bytes() for f in kept[:2] if f.exists()))
    assert not [f for f in kept if f.exists() and "upstream" not in f.name and secret.encode() in f.read_bytes()]


def test_a_row_has_the_target_as_the_client_sent_it(stack):
    """HAProxy escapes it in its log, and the history has bounds."""
    def row_of(method, path):
        request_id = stack.request(method, path, key=stack.key, body=b"").getheader("X-Request-Id")
        row = wait_until("the record", lambda: listed(stack, request_id))
        return row["method"], row["path"]
    assert row_of("POST", '/v1/a"b\\c') == ("POST", '/v1/a"b\\c')
    assert row_of("POST", "/v1/" + "p" * 99) == ("POST", "/v1/" + "p" * 99)
    assert row_of("POST", "/v1/" + "p" * 100) == ("POST", "/v1/" + "p" * 96 + "...")
    assert row_of("LONGMETHOD1", "/v1/x") == ("LONGMETHOD1", "/v1/x")
    assert row_of("LONGMETHOD12", "/v1/x") == ("LONGMETH...", "/v1/x")


def test_ids_rise_with_time_and_are_found(stack):
    ids = [stack.post("/v1/x", key=stack.key).getheader("X-Request-Id") for _ in range(50)]
    after = int(time.time() * 1000)
    form = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}" if stack.version == "3.4" else "[0-9a-f]{12}f[0-9a-f]{19}"
    assert all(re.fullmatch(form, one) for one in ids), ids[0]
    plain = [one.replace("-", "") for one in ids]
    times = [int(one[:12], 16) for one in plain]
    # each thread of HAProxy has its own clock
    assert all(a < b + 1000 for a, b in zip(times, times[1:])) and after - 60000 < times[0] < times[-1] < after + 1000
    assert len({one[16:] for one in plain}) == 50
    wait_until("the last is listed", lambda: listed(stack, ids[-1]))
    for spelling in (ids[-1], plain[-1], ids[-1].upper()):
        assert stack.relay.adm("requests", "why", spelling)["id"] == ids[-1]


def test_ids_are_made_with_a_key_that_stays(stack):
    """Below 3.4: whoever lacks the key cannot make the ids from HAProxy's uuid()."""
    def keys():
        return re.findall(r"uuid\(\),concat\(([A-Za-z0-9+/]{19})\),sha2", (stack.dir / "haproxy/relay.cfg").read_text())
    before = keys()
    assert before
    stack.relay.adm("haproxy", "reload")
    assert keys() == before


def send_record(stack, text):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), ("127.0.0.1", stack.relay.events_port))


def test_forged_records_are_refused_and_counted(stack):
    def leases():
        return stack.relay.metric("relay_leases_outstanding")

    wait_until("earlier requests have ended", lambda: leases() == 0)
    s = stack.connect()
    stack.send(s, "GET", "/sse?n=1000&ms=20")
    next(read_chunks(s))
    wait_until("a lease", lambda: leases() == 1)
    before = stack.relay.metric("relay_events_refused_total")
    secret = "wrong" * 8
    for n in range(5):
        send_record(stack, f"relay2 {secret} 1 {uuid.uuid4()} 1|1|1 relay-in b out 200 1 1 0 0 0 0 0 -- 0 - - - GET / -")
    send_record(stack, "\x00rubbish" * 500)
    wait_until("they are counted", lambda: stack.relay.metric("relay_events_refused_total") >= before + 6)
    assert leases() == 1
    s.close()
    wait_until("the lease ends", lambda: leases() == 0)


SEND = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("127.0.0.1", int(sys.argv[2])))
    s.sendto(sys.argv[3].encode(), ("127.0.0.1", int(sys.argv[1])))
    print("sent", s.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def sender(stack, record, user, port=0):
    """A process of this user that has sent the record, with its port."""
    command = ["/usr/bin/python3", "-c", SEND, str(stack.relay.events_port), str(port), record.decode()]
    with subprocess.Popen(command, user=user, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield int(process.stdout.readline().split()[1])
        process.stdin.close()


def test_only_haproxys_user_sends_records(stack):
    """The record is right, its secret too: it depends on who sent it."""
    record, refused = records.refusal(stack.relay), lambda: stack.relay.metric("relay_events_refused_total")
    before, ids = refused(), [uuid.uuid4().hex for _ in range(4)]
    with sender(stack, record(ids[0]), 33):
        wait_until("another user is refused", lambda: refused() == before + 1)
    with sender(stack, record(ids[1]), 0) as port:
        wait_until("root is believed", lambda: listed(stack, str(uuid.UUID(ids[1]))))
    believed = time.monotonic()
    wait_until("the look at the port is outdated", lambda: time.monotonic() > believed + 0.5)
    with sender(stack, record(ids[2]), 33, port):
        wait_until("the port belongs to another user now", lambda: refused() == before + 2)
    with sender(stack, record(ids[3]), 0, port):
        wait_until("and now it does not", lambda: listed(stack, str(uuid.UUID(ids[3]))))
    assert refused() == before + 2
    assert not listed(stack, str(uuid.UUID(ids[0]))) and not listed(stack, str(uuid.UUID(ids[2])))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_generations_secret_is_valid_while_it_has_a_process(fresh, version):
    s = fresh(version)
    refused, gone = lambda: s.relay.metric("relay_events_refused_total"), records.secret(s.relay)
    stream = s.connect()
    s.send(stream, "GET", "/sse?n=100000&ms=50", headers=[("X-Request-Id", "of-the-old-process")])
    assert stream.recv(12) == b"HTTP/1.1 200"
    s.account("next", "demo", "token-of-next", "--header", "X-New: 1")
    wait_until("HAProxy has the next generation", lambda: records.secret(s.relay) != gone and
               not s.relay.adm("haproxy", "status")["pending"])
    now = records.secret(s.relay)
    assert now[0] == gone[0] + 1 and now[1] != gone[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s1:
        def send(gen, key):
            identity = str(uuid.uuid4())
            s1.sendto(records.refusal(s.relay, gen, key)(identity), ("127.0.0.1", s.relay.events_port))
            return identity
        before = refused()
        for pair in (gone, now):
            identity = send(*pair)
            wait_until("both generations have a process", lambda one=identity: listed(s, one))
        send(now[0], gone[1])
        send(gone[0], now[1])
        wait_until("a secret is for one generation", lambda: refused() == before + 2)
        stream.close()
        rows = wait_until("the old process reports its end", lambda: [
            row for row in s.relay.adm("requests", "list")["items"] if row["label"] == "of-the-old-process"])
        assert rows[0]["account"] == "demo" and refused() == before + 2
        wait_until("the old process has ended, and its secret with it",
                   lambda: send(*gone) and refused() > before + 2, step=0.2)
        identity = send(*now)
        wait_until("the newest one stays valid", lambda: listed(s, identity))


def test_a_sender_that_is_gone_only_ends_its_request(fresh):
    """The agent sleeps while a process sends and ends, as an old HAProxy process may with its first record."""
    s = fresh()
    refused, leases = (lambda: s.relay.metric("relay_events_refused_total"),
                       lambda: s.relay.metric("relay_leases_outstanding"))
    stream = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
    stream.request("GET", "/sse?n=100000&ms=50", headers={"X-API-Key": s.key})
    mine = stream.getresponse().getheader("X-Request-Id")
    wait_until("a lease", lambda: leases() == 1)
    before = refused()
    with s.relay.stopped("agent"):
        send_record(s, records.refusal(s.relay)(str(uuid.uuid4())).decode())
        send_record(s, records.answer(s.relay, uuid.uuid4(), "1|1|1").decode())
        send_record(s, records.answer(s.relay, mine, "1|1|2").decode())
        send_record(s, records.answer(s.relay, mine, "1|1|1").decode())
    wait_until("what ends no request is refused", lambda: refused() == before + 3)
    wait_until("the request has ended", lambda: leases() == 0 and listed(s, mine))
    # a refused token would have taken the account out
    assert s.post("/v1/x", key=s.key).status == 200
    stream.close()


def test_lost_records_are_counted(fresh):
    s = fresh()
    with s.relay.stopped("agent"):
        text = "x" * 8000
        for _ in range(20000):
            send_record(s, text)
    wait_until("losses are counted", lambda: s.relay.metric("relay_events_lost_total") > 0 or
               send_record(s, "one more tells"), 10)
    assert s.post("/v1/x", key=s.key).status == 200
    lost = s.relay.metric("relay_events_lost_total")
    agent = s.relay.pid_of("agent")
    os.kill(agent, signal.SIGKILL)
    wait_until("another agent", lambda: s.relay.pid_of("agent") not in (0, agent))
    seen = s.relay.metric("relay_events_total")
    assert s.post("/v1/x", key=s.key).status == 200
    wait_until("the next agent takes records", lambda: s.relay.metric("relay_events_total") > seen)
    assert s.relay.metric("relay_events_lost_total") == lost
