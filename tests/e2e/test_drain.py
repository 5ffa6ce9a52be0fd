"""SIGTERM drains: nothing new begins, what runs may end, and the next start knows of the rest. See docs/UPGRADE.md."""
import json
import os
import re
import signal
import socket
import time

import pytest

from relay import ANY, VERSIONS, wait_until
from test_down import DOWN, ask, has_ended, told
from test_limits import me, window


class Stream:
    """A stream whose head has come, with its request id."""

    def __init__(self, s, events=10000, ms=100, key=None):
        self.socket = s.connect()
        s.send(self.socket, "GET", f"/sse?n={events}&ms={ms}", key=key)
        head = b""
        while b"data:" not in head:
            data = self.socket.recv(65536)
            assert data, head
            head += data
        assert head.startswith(b"HTTP/1.1 200"), head
        lines = head.split(b"\r\n\r\n")[0].decode().lower().split("\r\n")
        self.id = next(line.split(": ")[1] for line in lines if line.startswith("x-request-id:"))

    def flows(self):
        """True if more comes; the stream must not have ended."""
        assert self.socket.recv(65536), "the stream was cut"
        return True

    def rest(self):
        data = b""
        while piece := self.socket.recv(65536):
            data += piece
            if data.endswith(b"0\r\n\r\n"):
                break
        return data

    def close(self):
        self.socket.close()


def leases(s):
    return s.relay.metric("relay_leases_outstanding")


def why(s, stream):
    run = s.relay.adm_run("requests", "why", stream.id)
    return json.loads(run.stdout) if run.returncode == 0 else {}


def ended(s):
    return s.relay.process.popen.poll() is not None


def lines_of(s, level):
    return [line for line in s.relay.process.text().splitlines() if f'"level":"{level}"' in line]


def tracked(s):
    """Requests in progress, as HAProxy's stick table has them."""
    with socket.socket(socket.AF_UNIX) as master:
        master.connect(str(s.dir / "haproxy.sock"))
        master.sendall(b"show table relay-track data.conn_cur gt 0\n")
        answer = b""
        while piece := master.recv(65536):
            answer += piece
    return sum(int(n) for n in re.findall(rb"conn_cur=(\d+)", answer))


def term(s):
    s.relay.process.popen.send_signal(signal.SIGTERM)


def assert_refuses(s):
    for path in ("/relay/health", "/relay/live"):
        assert s.get(path).status == 503
    refused = s.post("/v1/x", key=s.key)
    assert (refused.status, refused.getheader("X-Relay-Error")) == (503, "draining")
    assert refused.getheader("X-Should-Retry") == "true" and refused.getheader("Retry-After") == "1"


@pytest.mark.takes(8)
@pytest.mark.parametrize("version", VERSIONS)
def test_sigterm_waits_for_a_stream(fresh, version):
    s = fresh(version)
    assert json.loads(s.get("/relay/live").body) == {"live": True}
    stream = Stream(s, events=50)
    warnings = lines_of(s, "warning") + lines_of(s, "error")
    term(s)
    wait_until("it drains", lambda: s.get("/relay/live").status == 503)
    assert_refuses(s)
    assert s.relay.adm_run("status").returncode == 0
    data = stream.rest()
    assert data.endswith(b"0\r\n\r\n"), data[-200:]
    began = time.monotonic()
    wait_until("it stops", lambda: ended(s))
    assert time.monotonic() - began < 15  # far below the 30 s of `drain`
    assert lines_of(s, "warning") + lines_of(s, "error") == warnings
    s.relay.stop()
    s.relay.start()
    row = why(s, stream)
    assert (row["status"], row["ended"]) == (200, "normal")
    assert s.relay.metric("relay_slots_healed_total") == 0 and leases(s) == 0


@pytest.mark.takes(10)
@pytest.mark.parametrize("version", VERSIONS)
def test_streams_that_outlive_the_relay(fresh, version):
    s = fresh(version, extra="[relay]\ndrain = 1s\n")
    s.relay.adm("tenants", "set", "demo", "--daily", "1000", "--concurrency", "10")
    # HAProxy's gauge tells requests of different keys apart
    stays, ends, second = Stream(s), Stream(s, key=s.relay.issue("demo")), Stream(s)
    wait_until("all have slots", lambda: leases(s) == 3)
    before = lines_of(s, "warning") + lines_of(s, "error")
    began = time.monotonic()
    term(s)
    wait_until("it stops", lambda: ended(s))
    assert time.monotonic() - began >= 1
    assert lines_of(s, "warning") + lines_of(s, "error") == before
    assert any("requests are in progress" in line for line in lines_of(s, "info"))
    s.relay.stop()
    assert stays.flows() and ends.flows() and second.flows()
    ends.close()
    wait_until("HAProxy has ended it", lambda: tracked(s) == 2)
    s.relay.start()
    wait_until("its slot is free", lambda: leases(s) == 2)
    assert me(s, s.key)["tenant"]["concurrency"]["in_use"] == 2
    assert s.relay.metric("relay_slots_healed_total") == 1
    row = wait_until("it has a row", lambda: (r := why(s, ends)).get("ended") and r)
    assert (row["ended"], row["account"], row["tenant"]) == ("while the relay was stopped", "demo", "demo")
    assert row["bytes_out"] is None
    assert stays.flows() and second.flows()
    for stream in (stays, second):
        stream.close()
    wait_until("all slots are free", lambda: leases(s) == 0)
    for stream in (stays, second):
        assert wait_until("it has a row", lambda: (r := why(s, stream)).get("ended") and r)["ended"] == "client left"
    assert s.relay.metric("relay_slots_healed_total") == 1
    assert window(me(s, s.key)["tenant"], "day")["used"] == 3


def draining(s):
    """A stream without an end in a relay that drains."""
    stream = Stream(s)
    term(s)
    wait_until("it drains", lambda: s.get("/relay/live").status == 503)
    return stream


def assert_ended_well(s, stream, ended_as):
    """The relay stops as soon as the stream has ended, and the next start knows all of it."""
    began = time.monotonic()
    wait_until("it stops", lambda: ended(s), seconds=60)
    assert time.monotonic() - began < 15  # far below the 30 s of `drain`
    assert "requests are in progress" not in s.relay.process.text()
    s.relay.stop()
    s.relay.start()
    row = why(s, stream)
    assert (row["status"], row["ended"]) == (200, ended_as)
    assert s.relay.metric("relay_slots_healed_total") == 0 and leases(s) == 0


@pytest.mark.takes(20)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("roles", [("control",), ("agent",), ("control", "agent")], ids="+".join)
def test_a_child_that_dies_in_a_drain_is_restarted(fresh, version, roles):
    s = fresh(version)
    stream = draining(s)
    before = {role: s.relay.pid_of(role) for role in roles}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    code, stderr, took = ask(s.relay.socket)
    print(f"HAProxy {version}: relayadm is answered after {took:.2f} s: {code} {stderr}")
    assert took < 10 and (code == 0 or DOWN in stderr)
    for role in roles:
        wait_until("another one serves", lambda: s.relay.adm_run("status").returncode == 0 and
                   s.relay.pid_of(role) not in (0, before[role]))
        assert s.relay.metric("relay_child_restarts_total", child=role, reason="killed") == 1
    assert stream.flows()
    assert_refuses(s)  # another agent drains as well
    stream.close()
    assert_ended_well(s, stream, "client left")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stream_that_ends_while_the_agent_restarts(fresh, version):
    s = fresh(version)
    stream = draining(s)
    agent = s.relay.pid_of("agent")
    os.kill(s.relay.process.pid, signal.SIGSTOP)  # nobody restarts it
    os.kill(agent, signal.SIGKILL)
    stream.close()
    wait_until("HAProxy has ended it", lambda: tracked(s) == 0)
    os.kill(s.relay.process.pid, signal.SIGCONT)
    assert_ended_well(s, stream, "client left")


def test_control_that_dies_when_the_drain_ends(fresh):
    """It knows of the stream's end, and has not saved it."""
    s = fresh(ANY)
    stream = draining(s)
    control, agent = (s.relay.pid_of(role) for role in ("control", "agent"))
    os.kill(control, signal.SIGSTOP)
    stream.close()
    wait_until("the agent has ended", lambda: has_ended(agent))
    os.kill(control, signal.SIGKILL)
    assert_ended_well(s, stream, "client left")
    assert "another one saves them" in s.relay.process.text()


@pytest.mark.takes(30)
def test_control_that_hangs_in_a_drain(fresh):
    s = fresh(ANY)
    stream = draining(s)
    os.kill(s.relay.pid_of("control"), signal.SIGSTOP)
    assert "is restarted after 20 s" in told(s.relay.socket, DOWN + "it has not answered for ")
    stream.close()
    wait_until("the end of the drain is told", lambda: DOWN + "the relay is stopping" in ask(s.relay.socket)[1])
    wait_until("it is killed", lambda: "another one saves them" in s.relay.process.text(), seconds=60)
    assert_ended_well(s, stream, "client left")


def test_a_second_signal_stops_at_once(fresh):
    s = fresh(ANY)
    os.kill(s.relay.pid_of("control"), signal.SIGSTOP)  # it saves nothing
    finished = s.post("/v1/x", key=s.key).getheader("X-Request-Id")
    stream = Stream(s)
    term(s)
    wait_until("it drains", lambda: s.get("/relay/live").status == 503)
    began = time.monotonic()
    term(s)
    wait_until("it stops", lambda: ended(s))
    assert time.monotonic() - began < 15  # far below the 30 s of `drain`
    s.relay.stop()
    assert stream.flows()
    stream.close()
    s.relay.start()
    assert s.relay.adm("requests", "why", finished)["ended"] == "normal"
    assert "restarting it" not in s.relay.process.text()
    wait_until("its slot is free", lambda: leases(s) == 0)


def test_a_waiting_request_is_refused(fresh):
    s = fresh(ANY)
    s.relay.adm("tenants", "set", "demo", "--concurrency", "1", "--wait", "50s")
    stream = Stream(s)
    waiting = s.connect()
    s.send(waiting, "POST", "/v1/x", headers=[("Content-Length", "0")])
    wait_until("it waits", lambda: s.relay.metric("relay_requests_waiting") == 1)
    term(s)
    assert b"draining" in waiting.recv(65536)
    stream.close()
    wait_until("it stops", lambda: ended(s))
    s.relay.stop()
    s.relay.start()
