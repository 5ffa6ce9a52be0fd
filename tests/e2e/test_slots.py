"""Slots under load: never above the limit, and none leaks after losses, reloads and kills."""
import asyncio
import http.client
import json
import os
import random
import re
import signal
import socket
import threading
import time

import pytest

from crowd import MOMENTS, Crowd
from relay import ANY, ROOT, VERSIONS, Process, is_full, wait_until
from test_changes import kill_haproxy
from test_drain import Stream, ended, term, why
from test_state import kill_relay

SLOTS = 32


class Counter(Process):
    """tests/demo/counter.py: requests in flight by Authorization."""

    def __init__(self, directory):
        super().__init__("counter", ["/usr/bin/python3", ROOT / "tests/demo/counter.py"], directory / "counter.log")
        self.port = int(wait_until("the counter listens", lambda: "\n" in self.text() and self.text()).split()[1])

    def counts(self):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        c.request("GET", "/counts")
        counts = json.loads(c.getresponse().read())
        c.close()
        return counts


class Lossy(threading.Thread):
    """Forwards datagrams, except for a share of them."""

    def __init__(self, to_port, share, seed):
        super().__init__(daemon=True)
        self.to, self.share, self.random = ("127.0.0.1", to_port), share, random.Random(seed)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.port = self.socket.getsockname()[1]
        self.passed = self.dropped = self.tracked = 0
        self.start()

    def run(self):
        while True:
            data = self.socket.recv(65536)
            if not data:
                return
            if data.startswith(b"relay3") and self.random.random() < self.share:
                self.dropped += 1
                continue
            self.socket.sendto(data, self.to)
            self.passed += 1
            fields = data.split(b" ", 6)
            self.tracked += fields[0] == b"relay3" and fields[4] != b"-" and fields[5] == b"relay-in"

    def stop(self):
        self.socket.sendto(b"", self.socket.getsockname())
        self.join()
        self.socket.close()


def leases(s):
    return s.relay.metric("relay_leases_outstanding")


def add_counted(s, counter, *limits):
    """A tenant whose requests go to the counter through two accounts."""
    s.relay.adm("upstreams", "add", "counted", "--url", f"http://127.0.0.1:{counter.port}", "--provider", "openai")
    for n in (1, 2):
        s.account(f"counted{n}", "counted", f"token{n}")
    s.relay.adm("pools", "set", "counted", "counted1", "counted2")
    s.relay.adm("tenants", "add", "counted", "--pool", "counted", "--daily", "0", "--monthly", "0",
                "--concurrency", str(SLOTS), *limits)
    wait_until("HAProxy knows the counter", lambda: s.get("/w", key=s.relay.issue("counted")).status == 200)
    return s.relay.issue("counted")


@pytest.fixture
def counted(fresh):
    made = []

    def make(version, *limits, **options):
        s = fresh(version, **options)
        counter = Counter(s.dir)
        made.append(counter)
        return s, counter, add_counted(s, counter, *limits)

    yield make
    for counter in made:
        counter.stop()


def in_flight_at_most(counter):
    """The peak of both accounts together can be less than the sum of their peaks: the sum is only a bound."""
    return counter.counts()["most"]


def run_crowd(s, key, requests, clients, leaving, seed):
    crowd = Crowd(s.port, key, clients, seed, leaving)
    print("seed", seed)
    asyncio.run(crowd.run(requests))
    return crowd


@pytest.mark.takes(20)
@pytest.mark.parametrize("version,requests", [(v, 100000 if is_full() and v == ANY else 10000) for v in VERSIONS])
def test_never_above_the_limit(version, requests, counted):
    """The limit belongs to the account, so the upstream's count by credential is complete."""
    s, counter, key = counted(version, "--wait", "30s")
    for n in (1, 2):
        s.relay.adm("accounts", "set", f"counted{n}", "--concurrency", str(SLOTS // 2))
    s.relay.adm("pools", "set", "counted", "counted1", "counted2", "--wait", "30s")
    crowd = run_crowd(s, key, requests, 96, 0.1, random.randrange(1 << 30))
    most = counter.counts()["most"]
    print(crowd.statuses, crowd.left, most)
    assert set(crowd.statuses) == {200} and all(crowd.left[m] for m in MOMENTS), (crowd.statuses, crowd.left)
    assert crowd.broken <= requests * 0.001
    assert all(n <= SLOTS // 2 + 1 for n in most.values()), most
    wait_until("all slots are free", lambda: leases(s) == 0)
    wait_until("the upstream is idle", lambda: not any(counter.counts()["now"].values()))


@pytest.mark.takes(25)
@pytest.mark.parametrize("version", VERSIONS)
def test_lost_records_are_healed(version, counted):
    s, counter, key = counted(version, "--wait", "30s")
    seed = random.randrange(1 << 30)
    lossy = Lossy(s.relay.events_port, 0.1, seed)
    try:
        s.haproxy.stop()
        cfg = s.dir / "haproxy" / "relay.cfg"
        text = cfg.read_text()
        cfg.write_text(re.sub(rf"127\.0\.0\.1:{s.relay.events_port}\b", f"127.0.0.1:{lossy.port}", text))
        s.start_haproxy()
        before = s.relay.metric("relay_slots_healed_total")
        unmatched, allowed = 'relay_events_refused_total{reason="unmatched"}', 'relay_decisions_total{action="allow",code=""}'
        late, admitted, tracked = s.relay.metric(unmatched), s.relay.metric(allowed), lossy.tracked
        crowd = run_crowd(s, key, 3000, 32, 0.1, seed)
        assert set(crowd.statuses) == {200}, crowd.statuses
        wait_until("every slot is back", lambda: leases(s) == 0)
        healed = s.relay.metric("relay_slots_healed_total") - before
        late, admitted = s.relay.metric(unmatched) - late, s.relay.metric(allowed) - admitted
        alone = admitted - (lossy.tracked - tracked)
        print("dropped", lossy.dropped, "healed", healed, "late", late, "admitted without a record", alone)
        # A lost record of a request that was never admitted leaves no slot to heal. At most the admitted
        # requests of which no record with an account arrived are healed.
        assert lossy.dropped * 0.7 <= healed <= alone + late
        # no slot is given back twice: the limit is available again, and no more
        streams = [s.connect() for _ in range(SLOTS + 4)]
        for stream in streams:
            s.send(stream, "GET", "/w?parts=400&ms=50", key=key)
        wait_until("all slots are taken", lambda: leases(s) == SLOTS)
        time.sleep(3)
        assert leases(s) == SLOTS and sum(counter.counts()["now"].values()) == SLOTS
        for stream in streams:
            stream.close()
    finally:
        lossy.stop()


@pytest.mark.takes(10)
@pytest.mark.parametrize("version,reloads", [(v, 50 if is_full() and v == ANY else 10) for v in VERSIONS])
def test_reloads_under_200_streams(version, reloads, fresh):
    s = fresh(version)
    s.relay.adm("tenants", "set", "demo", "--concurrency", "250")
    streams = []
    for _ in range(200):
        stream = s.connect()
        s.send(stream, "GET", "/sse?n=100000&ms=500", key=s.key)
        streams.append(stream)
    wait_until("all stream", lambda: leases(s) == 200)
    healed = s.relay.metric("relay_slots_healed_total")
    for _ in range(reloads):
        s.relay.adm("haproxy", "reload")
        assert leases(s) == 200
    time.sleep(4)  # two readings of every process, and a margin
    assert leases(s) == 200 and s.relay.metric("relay_slots_healed_total") == healed
    for stream in streams:
        stream.setblocking(False)
        seen = b""
        try:
            while True:
                data = stream.recv(1 << 16)
                assert data, "a stream was cut"
                seen += data
        except BlockingIOError:
            pass
        assert seen.startswith(b"HTTP/1.1 200")
    for stream in streams:
        stream.close()
    wait_until("all slots are free", lambda: leases(s) == 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_slots_survive_the_agent(version, fresh):
    s = fresh(version)
    s.relay.adm("tenants", "set", "demo", "--concurrency", "5")
    streams = []
    for _ in range(5):
        stream = s.connect()
        s.send(stream, "GET", "/sse?n=1000&ms=100", key=s.key)
        streams.append(stream)
    wait_until("five stream", lambda: leases(s) == 5)
    pid = s.relay.pid_of("agent")
    os.kill(pid, signal.SIGKILL)
    wait_until("a new agent serves", lambda: s.relay.pid_of("agent") not in (0, pid))
    wait_until("it answers", lambda: s.get("/relay/health").status == 200)
    assert s.get("/v1/models", key=s.key).status == 429
    streams[0].close()
    wait_until("one slot is free", lambda: s.get("/v1/models", key=s.key).status == 200)
    for stream in streams[1:]:
        stream.close()
    wait_until("all slots are free", lambda: leases(s) == 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_waiting_request_survives_the_agent(version, fresh):
    s = fresh(version)
    s.relay.adm("tenants", "set", "demo", "--concurrency", "1", "--wait", "30s")
    stream = s.connect()
    s.send(stream, "GET", "/sse?n=1000&ms=100", key=s.key)
    wait_until("one streams", lambda: leases(s) == 1)
    answers = []
    waiter = threading.Thread(target=lambda: answers.append(s.get("/v1/models", key=s.key).status))
    waiter.start()
    wait_until("one waits", lambda: s.relay.metric("relay_requests_waiting") == 1)
    pid = s.relay.pid_of("agent")
    os.kill(pid, signal.SIGKILL)
    wait_until("a new agent serves", lambda: s.relay.pid_of("agent") not in (0, pid))
    wait_until("it waits there", lambda: s.relay.metric("relay_requests_waiting") == 1)
    stream.close()
    waiter.join(60)
    assert answers == [200]


# --- requests that no reading of HAProxy has shown ---

def both_are_killed(s):
    kill_relay(s)
    kill_haproxy(s)
    s.relay.start()


def the_agent_is_killed(s):
    os.kill(s.relay.pid_of("agent"), signal.SIGKILL)
    kill_haproxy(s)


def the_relay_is_replaced(s):
    os.kill(s.relay.process.pid, signal.SIGUSR2)
    kill_haproxy(s)


def both_are_stopped(s):
    term(s)
    wait_until("it stops", lambda: ended(s))
    kill_haproxy(s)
    s.relay.stop()
    s.relay.start()


def workers(s):
    """What the state file says of the processes of HAProxy."""
    return (s.dir / "state" / "state").read_bytes()[3072:3072 + 4 * 66]


def assert_all_are_free(s, streams):
    for stream in streams:
        stream.close()
    s.start_haproxy()
    wait_until("all slots are free", lambda: leases(s) == 0, seconds=10)
    assert s.relay.metric("relay_slots_healed_total") == 3
    # for who may look before the row is there
    wait_until("the rows are there", lambda: all(why(s, stream) for stream in streams))
    assert {why(s, stream)["ended"] for stream in streams} == {"while the relay was stopped"}
    assert s.get("/v1/models", key=s.key).status == 200


@pytest.mark.takes(10)
@pytest.mark.parametrize("end", [both_are_killed, the_agent_is_killed, the_relay_is_replaced, both_are_stopped])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_relay_and_haproxy_end_together(version, end, fresh):
    """The requests are too young for a reading: only their leases tell of them."""
    s = fresh(version, extra="[relay]\ndrain = 1s\n")
    s.relay.adm("tenants", "set", "demo", "--concurrency", "3")
    wait_until("a reading has named the process", lambda: s.relay.adm("status")["haproxy"]["gauge_age_s"] is not None)
    streams = [Stream(s) for _ in range(3)]
    end(s)
    assert_all_are_free(s, streams)


@pytest.mark.takes(10)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_process_of_haproxy_that_lives_for_a_moment(version, fresh):
    """Its first question brings the reading that names it: the next one by the clock can be too late."""
    s = fresh(version)
    s.relay.adm("tenants", "set", "demo", "--concurrency", "3")
    os.kill(s.haproxy.pid, signal.SIGSTOP)
    wait_until("the next reading is 4 s away", lambda: "cannot read HAProxy's gauge" in s.relay.process.text())
    named = workers(s)
    kill_haproxy(s)
    s.start_haproxy()
    streams = [Stream(s) for _ in range(3)]
    wait_until("a reading has named the process", lambda: workers(s) != named, seconds=2.5)
    both_are_killed(s)
    assert_all_are_free(s, streams)
