"""SIGUSR2 replaces the program and loses nothing. See docs/UPGRADE.md."""
import asyncio
import collections
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import threading
import time

import pytest

from relay import BUILD, ROOT, VERSIONS, header, is_full, wait_until
from test_drain import Stream, ended, leases, term
from test_limits import me, window
from traffic import Program, read_answer

ROUNDS = 50 if is_full() else 10
RATE = 300
STREAMS = 50
EVENTS, PAUSE_MS = 40, 50  # of one stream: 2 s


def processes(s):
    """{role: {pid, ...}}; {} if control takes longer than a second to start, and the keeper says so."""
    run = s.relay.adm_run("status")
    assert run.returncode in (0, 3), run.stderr
    return json.loads(run.stdout)["processes"] if run.returncode == 0 else {}


def replace(s):
    """Sends SIGUSR2 and waits until both children are other ones, of the same keeper."""
    before = wait_until("control answers", lambda: processes(s))
    s.relay.process.popen.send_signal(signal.SIGUSR2)

    def replaced():
        now = processes(s)
        return now and all(now[role]["pid"] not in (None, before[role]["pid"]) for role in ("agent", "control"))

    wait_until("both children are replaced", replaced)
    assert wait_until("control answers", lambda: processes(s))["keeper"]["pid"] == before["keeper"]["pid"] == s.relay.process.pid


class Streams:
    """Clients that read one stream after the other until they are stopped. Each stream must come whole."""

    def __init__(self, s):
        self.s, self.on = s, True
        self.ended = collections.Counter()

    async def one(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.s.port)
        writer.write(f"GET /sse?n={EVENTS}&ms={PAUSE_MS} HTTP/1.1\r\nHost: relay\r\nX-API-Key: {self.s.key}\r\n"
                     "Connection: close\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            answer = await asyncio.wait_for(reader.read(-1), 60)
        writer.close()
        return answer

    async def client(self):
        while self.on:
            answer = await self.one()
            whole = answer.count(b"data:") == EVENTS and answer.endswith(b"0\r\n\r\n")
            self.ended["whole" if whole else answer[:300]] += 1

    async def run(self):
        await asyncio.gather(*(self.client() for _ in range(STREAMS)))


class Traffic:
    """RATE requests a second and STREAMS streams, in a thread."""

    def __init__(self, s):
        self.s, self.answers, self.streams = s, collections.Counter(), Streams(s)
        self.on = True
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.on = self.streams.on = False
        self.thread.join(180)

    async def requests(self):
        while self.on:
            program = Program(self.s.port, self.s.key, RATE, 1)
            await program.run()
            self.answers += program.answers

    async def run(self):
        await asyncio.gather(self.requests(), self.streams.run())


def assert_exact(s, requests):
    """The counts of all places agree with the upstream's."""
    rows = s.upstream.requests()
    assert len(rows) == requests
    assert {header(row, "authorization") for row in rows} == {"Bearer token-of-demo"}
    assert window(me(s, s.key)["tenant"], "day")["used"] == requests
    wait_until("all slots are free", lambda: s.relay.metric("relay_leases_outstanding") == 0)
    wait_until("every request has a row", lambda: rows_of(s) == requests)
    assert s.relay.metric("relay_slots_healed_total") == 0
    assert s.relay.metric("relay_events_lost_total") == 0


def rows_of(s):
    with contextlib.closing(sqlite3.connect(s.dir / "state" / "relay.db", timeout=60)) as store:
        return store.execute("SELECT count(*) FROM requests WHERE account_id > 0").fetchone()[0]


@pytest.mark.takes(30)
@pytest.mark.parametrize("version", VERSIONS)
def test_replaced_under_load(fresh, version):
    s = fresh(version, extra="[requests]\nmax_rows = 1000000\n")
    s.relay.adm("tenants", "set", "demo", "--daily", "1000000")
    s.upstream.clear()
    before = rows_of(s)
    with Traffic(s) as traffic:
        wait_until("all stream", lambda: s.relay.metric("relay_leases_outstanding") >= STREAMS)
        for _ in range(ROUNDS):
            replace(s)
    answers, streams = traffic.answers, traffic.streams.ended
    assert set(answers) == {200} and set(streams) == {"whole"}
    assert before == 0
    assert_exact(s, answers[200] + streams["whole"])
    assert s.relay.process.text().count("checking the new one") == ROUNDS
    assert not [line for line in s.relay.process.text().splitlines() if '"level":"error"' in line]


def capabilities(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line for line in lines if line.startswith(("Cap", "NoNewPrivs", "Uid", "Gid"))}


def test_a_replaced_keeper_has_no_more_rights(fresh):
    s = fresh()
    before = capabilities(s.relay.process.pid)
    replace(s)
    assert capabilities(s.relay.process.pid) == before
    assert s.post("/v1/x", key=s.key).status == 200
    # it still writes HAProxy's files, starts children and reads its configuration
    s.relay.adm("egress", "add", "near", "--source", "127.0.0.9")
    s.relay.adm("accounts", "set", "demo", "--egress", "near")
    assert "near" in (s.dir / "haproxy" / "relay.cfg").read_text()


def restarts(s):
    agent = processes(s)["agent"]
    count = s.relay.metric("relay_child_restarts_total", child="agent", reason="killed")
    return agent["restarts"], agent["last_restart"], agent["last_restart_at"], count


def test_restart_counts_go_on(fresh):
    """A relay that has just crashed in a loop does not look well because its program was replaced."""
    s = fresh()
    for n in range(3):
        os.kill(agent := s.relay.pid_of("agent"), signal.SIGKILL)
        wait_until("another one", lambda: restarts(s)[0] == n + 1 and s.relay.pid_of("agent") not in (0, agent))
    before = restarts(s)
    assert (before[0], before[1], before[3]) == (3, "killed", 3)
    for _ in range(2):
        replace(s)
        assert restarts(s) == before
        [warning] = [w for w in s.relay.adm("status")["warnings"] if w["code"] == "child_restarted"]
        assert warning["subject"] == "agent" and warning["message"].endswith("(killed), 3 times in all")
    os.kill(agent := s.relay.pid_of("agent"), signal.SIGKILL)
    wait_until("another one", lambda: restarts(s)[3] == 4)


@pytest.fixture
def own(fresh, tmp_path_factory):
    """A stack whose program is a copy, which a test may exchange."""
    s = fresh()
    s.relay.stop()
    s.relay.program = s.dir / "spoa-relay"
    shutil.copy(BUILD / "spoa-relay", s.relay.program)
    s.relay.start()
    wait_until("it serves", lambda: s.post("/v1/x", key=s.key).status == 200)
    return s


def install(s, data, mode=0o755):
    """As install(1) and dpkg do it: the old file goes, and its process keeps it."""
    new = s.dir / "new"
    new.write_bytes(data)
    new.chmod(mode)
    new.rename(s.relay.program)


def notices(s):
    return [n for n in s.relay.adm("notices", "list")["items"] if n["kind"] == "program_not_replaced"]


def test_a_program_that_cannot_run_changes_nothing(own):
    good, config = own.relay.program.read_bytes(), own.relay.config.read_text()
    before = processes(own)
    for data, text in ((b"\x7fELF rubbish", config), (b"#!/bin/sh\nexit 1\n", config),
                       (good, config + "[relay]\nlog_levle = debug\n")):
        install(own, data)
        own.relay.config.write_text(text)
        seen = own.relay.process.text().count("program not replaced")
        own.relay.process.popen.send_signal(signal.SIGUSR2)
        wait_until("it is refused", lambda: own.relay.process.text().count("program not replaced") > seen)
        assert processes(own) == before
        assert own.post("/v1/x", key=own.key).status == 200
    assert "log_levle" in own.relay.process.text()
    assert [n["count"] for n in notices(own)] == [3]
    own.relay.program.unlink()
    own.relay.process.popen.send_signal(signal.SIGUSR2)
    wait_until("it is refused", lambda: "cannot start /" in own.relay.process.text())
    install(own, good)
    own.relay.config.write_text(config)
    replace(own)
    assert own.post("/v1/x", key=own.key).status == 200
    wait_until("the notice ends", lambda: not notices(own))


def test_a_new_listener_is_opened_and_an_old_one_closed(own):
    port = own.relay.metrics_port
    own.relay.config.write_text(own.relay.config.read_text().replace(f"tcp:127.0.0.1:{port}", f"tcp:127.0.0.2:{port}"))
    replace(own)
    with pytest.raises(ConnectionRefusedError):
        own.relay.metric("relay_events_total")
    own.relay.config.write_text(own.relay.config.read_text().replace(f"tcp:127.0.0.2:{port}", f"tcp:127.0.0.1:{port}"))
    replace(own)
    assert own.relay.metric("relay_leases_outstanding") == 0


OTHER_FORMATS = ((b"RLYBOARD", b"RLYBOARE"), (b"relay-snapshot-", b"relay-snapshoX-"))
NO_HANDOVERS = ((b"LISTEN_FDNAMES", b"LISTEN_FDNAMEX"),)


def changed(program, changes):
    for old, new in changes:
        assert old in program
        program = program.replace(old, new)
    return program


@pytest.mark.parametrize("changes", [OTHER_FORMATS, NO_HANDOVERS], ids=["other formats", "older"])
def test_another_build(own, changes):
    """It takes the sockets and the state file. What the board has is saved before, or would be lost."""
    good = own.relay.program.read_bytes()
    other = changed(good, changes)
    own.relay.adm("tenants", "set", "demo", "--daily", "1000000")
    own.upstream.clear()
    rows = wait_until("the first request has a row", lambda: rows_of(own))
    with Traffic(own) as traffic:
        for program in (other, good, other, good):
            install(own, program)
            replace(own)
    answers, streams = traffic.answers, traffic.streams.ended
    assert set(answers) == {200} and set(streams) == {"whole"}
    requests = answers[200] + streams["whole"]
    assert len(own.upstream.requests()) == requests
    wait_until("every request has a row", lambda: rows_of(own) == rows + requests)
    assert window(me(own, own.key)["tenant"], "day")["used"] == requests


@pytest.mark.parametrize("version", VERSIONS)
def test_a_waiting_request_keeps_its_place(fresh, version):
    s = fresh(version)
    s.relay.adm("tenants", "set", "demo", "--concurrency", "1", "--wait", "50s")
    holder = s.connect()
    s.send(holder, "GET", "/sse?n=1000&ms=100")
    wait_until("the slot is taken", lambda: s.relay.metric("relay_leases_outstanding") == 1)
    order = []

    def wait(name):
        assert s.post(f"/v1/x?{name}", key=s.key).status == 200
        order.append(name)

    threads = []
    for n in range(3):
        threads.append(threading.Thread(target=wait, args=(f"w{n}",)))
        threads[-1].start()
        wait_until("it waits", lambda: s.relay.metric("relay_requests_waiting") == n + 1)
    for _ in range(2):
        replace(s)
        wait_until("they wait again", lambda: s.relay.metric("relay_requests_waiting") == 3)
    holder.close()
    for t in threads:
        t.join(60)
    sent = [row["query"] for row in s.upstream.requests() if row["query"].startswith("w")]
    assert sent == ["w0", "w1", "w2"]
    assert len(order) == 3


def test_commands_are_answered_meanwhile(fresh):
    """A command that meets the end of control is answered by the one before or after."""
    s = fresh()
    runs, on = [], True

    def commands():
        while on:
            n = len(runs) + 1
            runs.append((n, s.relay.adm_run("tenants", "set", "demo", "--rpm", str(n))))

    threads = [threading.Thread(target=commands) for _ in range(2)]
    for t in threads:
        t.start()
    try:
        for _ in range(5):
            replace(s)
    finally:
        on = False
        for t in threads:
            t.join(90)
    slow = "it has been starting for"  # the keeper's words after a second, on a busy machine
    assert [run.stderr for _, run in runs if run.returncode and slow not in run.stderr] == []
    assert len(runs) > 5


def counters(s):
    """{sample: value} of the counters and histograms."""
    text = s.relay.metrics()
    types = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE"))
    found = {}
    for line in text.splitlines():
        name = re.match(r"[a-z_]*", line)[0]
        base = next((b for b in (name, re.sub(r"_(bucket|sum|count)$", "", name)) if b in types), None)
        if base and types[base] in ("counter", "histogram"):
            found[base, line.rsplit(" ", 1)[0]] = float(line.rsplit(" ", 1)[1])
    return found


def test_the_status_stays_good_and_counters_go_on(fresh):
    """A monitor sees no fault in a replacement, and only the counters that docs/METRICS.md names begin anew."""
    s = fresh()
    wait_until("all is well", lambda: s.relay.adm_run("status", "--check").returncode == 0)
    on, bad = True, []

    def monitor():
        while on:
            run = s.relay.adm_run("status", "--check")
            if run.returncode == 1:
                bad.append(json.loads(run.stdout)["summary"])

    for _ in range(5):
        assert s.post("/v1/x", key=s.key).status == 200
    wait_until("they are counted", lambda: s.relay.metric("relay_requests_total") >= 5)
    before = counters(s)
    thread = threading.Thread(target=monitor)
    thread.start()
    try:
        for _ in range(5):
            replace(s)
    finally:
        on = False
        thread.join(90)
    assert bad == []
    after = counters(s)
    fallen = {name for (name, sample), value in before.items() if after.get((name, sample), 0) < value}
    page = (ROOT / "docs/METRICS.md").read_text()
    named = set(re.findall(r"`(relay_\w+)`", page[page.index("except:"):page.index("- only with")]))
    assert fallen <= named and "relay_control_loop_seconds" in fallen, fallen


def test_a_second_signal_meanwhile_and_a_stop(own):
    """Signals that come too fast replace once; a stop wins."""
    for _ in range(5):
        own.relay.process.popen.send_signal(signal.SIGUSR2)
        time.sleep(0.01)
    own.relay.stop()
    own.relay.start()
    assert own.post("/v1/x", key=own.key).status == 200


class Client(threading.Thread):
    """Reads short streams, one after the other, until one is refused."""

    def __init__(self, s, events):
        super().__init__()
        self.s, self.events = s, events
        self.whole, self.last = 0, None
        self.start()

    def run(self):
        while self.last is None:
            try:
                answer = self.s.get(f"/sse?n={self.events}&ms=20", key=self.s.key)
            except (OSError, http.client.HTTPException) as e:
                self.last = repr(e)
                return
            if answer.status == 200:
                self.whole += 1
            else:
                self.last = answer.getheader("X-Relay-Error")


def stop_in_a_replacement(s, after_ms):
    """SIGTERM this long after SIGUSR2. How many requests have got their answers, and what the log says."""
    said = len(s.relay.process.text())
    clients = [Client(s, events) for events in (1, 2, 3, 4)]
    stream = Stream(s)
    s.relay.process.popen.send_signal(signal.SIGUSR2)
    time.sleep(after_ms / 1000)
    term(s)
    for client in clients:
        client.join()
    asked = s.relay.adm_run("status")
    assert asked.returncode == 0, f"{after_ms} ms: {asked.stderr}"
    assert stream.flows()
    stream.close()
    began = time.monotonic()
    wait_until("it stops", lambda: ended(s), seconds=60)
    took = time.monotonic() - began
    text = s.relay.process.text()[said:]
    s.relay.stop()
    assert took < 10, f"{after_ms} ms: {took:.1f} s after the last request\n{text}"  # `drain` is 30 s
    assert {client.last for client in clients} <= {"draining"}, f"{after_ms} ms\n{text}"
    return 1 + sum(client.whole for client in clients), text


def stop_at_any_moment(s, moments, installs=lambda: None, restores=lambda: None):
    """Each replacement is given up, which the log says, or has happened. Either way nothing is lost."""
    seen = collections.Counter()
    for after_ms in moments:
        before = rows_of(s)
        installs()
        requests, text = stop_in_a_replacement(s, after_ms)
        assert rows_of(s) - before == requests, f"{after_ms} ms\n{text}"
        assert "requests are in progress" not in text and "restarting it" not in text, f"{after_ms} ms\n{text}"
        given_up = "replacement of the program given up" in text
        assert given_up or text.count("child process ready") == 2, f"{after_ms} ms\n{text}"
        seen["given up" if given_up else "replaced"] += 1
        restores()
        s.relay.start()
        wait_until("it serves", lambda: s.get("/relay/live").status == 200)
        # the keeper has logged that it is ready
        wait_until("the keeper knows", lambda: processes(s)["agent"]["state"] == "serving")
    print(f"HAProxy {s.version}: {dict(seen)}")
    assert s.relay.metric("relay_slots_healed_total") == 0 and leases(s) == 0
    assert seen["given up"] and seen["replaced"]


@pytest.mark.takes(60)
@pytest.mark.parametrize("version", VERSIONS)
def test_sigterm_at_any_moment(fresh, version):
    stop_at_any_moment(fresh(version), (*range(0, 160, 4), *range(160, 401, 20)))


@pytest.mark.takes(30)
@pytest.mark.parametrize("changes", [OTHER_FORMATS, NO_HANDOVERS], ids=["other formats", "older"])
def test_sigterm_at_any_moment_with_another_build(own, changes):
    good = own.relay.program.read_bytes()
    other = changed(good, changes)
    wait_until("the first request has a row", lambda: rows_of(own))
    stop_at_any_moment(own, (*range(0, 160, 10), *range(160, 401, 40)), lambda: install(own, other),
                       lambda: install(own, good))
