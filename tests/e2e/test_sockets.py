"""The sockets between HAProxy and the relay: HAProxy as its own user, with a chroot and without; other local users reach
nothing and can take no name."""
import collections
import contextlib
import os
import pathlib
import pwd
import socket
import subprocess
import threading
import time

import pytest

from failures import NO_BUDGET, FailingStack, Steady
from relay import BUILD, VERSIONS, Process, Stack, wait_until

STRANGER = 65534  # in the tests this is even the agent's user
RELOADS = 6


def as_user(uid, program):
    """The output of a Python program that another user runs, without any group of ours."""
    run = subprocess.run(["setpriv", f"--reuid={uid}", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", program],
                         capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def errors_of(uid, action, paths):
    """What `action`, an expression with `s` and `path`, gives the user: the number of the error, or 0."""
    return as_user(uid, f"""
import os, socket
for path in {[str(p) for p in paths]!r}:
    s = socket.socket(socket.AF_UNIX)
    try:
        {action}
        print(0)
    except OSError as e:
        print(e.errno)
""")


class OwnUser(FailingStack):
    """HAProxy drops root. With a chroot the sockets are in a directory inside."""

    def __init__(self, version, jailed):
        super().__init__(version)
        self.jail = self.dir / "jail"
        self.sockets = self.jail / "relay" if jailed else self.dir / "run"
        self.jail.mkdir(mode=0o755)
        self.options = "    user haproxy\n    group haproxy\n" + (f"    chroot {self.jail}\n" if jailed else "")
        self.write_haproxy()
        self.relay.write_config((f"socket_dir = {self.sockets}\n" if jailed else "") + NO_BUDGET)

    def write_haproxy(self):
        (self.dir / "haproxy.cfg").write_text(f"global\n    maxconn 4000\n    nbthread 2\n{self.options}")

    def start_haproxy(self):
        self.haproxy = Process("haproxy", [*self.command, "-W", "-S", f"{self.dir}/master.sock,mode,666",
                                           "-f", self.dir / "haproxy.cfg", "-f", self.dir / "haproxy" / "relay.cfg"],
                               self.dir / "haproxy.log")
        wait_until("HAProxy serves", self._serves)

    def listeners(self):
        return [self.sockets / "agent.sock", self.sockets / "haproxy-internal.sock",
                *self.sockets.glob("relay-again-*.sock")]


@pytest.fixture(scope="module", params=[(v, jailed) for v in VERSIONS for jailed in (False, True)],
                ids=lambda p: f"{p[0]}-{'chroot' if p[1] else 'plain'}")
def own(request):
    s = OwnUser(*request.param)
    try:
        yield s.start()
    finally:
        s.stop()


def failovers(s):
    return s.relay.metric("relay_failovers_total")


@contextlib.contextmanager
def forgiving(pool, token):
    """Forgets the failures of this account all the time, so that it remains in use."""
    over = threading.Event()

    def forgive():
        while not over.is_set():
            pool.s.relay.adm("accounts", "reset", pool.account_of(token))

    thread = threading.Thread(target=forgive)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.takes(15)
def test_reloads_under_load_through_again(own):
    """Old and new HAProxy processes hand requests to themselves through one path."""
    pool = own.pool("many", 3)
    pool.failing.set(pool.tokens[0], 503, method="POST")
    reloads, answers = [], collections.Counter()

    def reload():
        for _ in range(RELOADS):
            reloads.append(own.relay.adm("haproxy", "reload")["haproxy"])

    before, began = failovers(own), time.monotonic()
    thread = threading.Thread(target=reload)
    with forgiving(pool, pool.tokens[0]):
        thread.start()
        while thread.is_alive() or failovers(own) < before + 100:
            answers.update(Steady(pool, clients=16, path="/v1/x?ms=5").send(400))
    thread.join()
    moved, seconds = failovers(own) - before, time.monotonic() - began
    print(f"HAProxy {own.version}: {dict(answers)}, {moved:.0f} through relay-again, {RELOADS} reloads in {seconds:.1f} s")
    assert reloads == ["reloaded"] * RELOADS
    assert set(answers) == {200}
    pool.reset()


def test_control_reaches_haproxy(own):
    """A probe goes through the internal socket."""
    pool = own.pool("probed", 1)
    assert own.relay.adm("accounts", "check", pool.accounts[0])
    assert own.failing.total(pool.tokens[0], "GET") > 0


def test_another_user_connects_to_nothing(own):
    paths = own.listeners()
    assert len(paths) == 3 and all(p.is_socket() for p in paths)
    assert {p.stat().st_mode & 0o777 for p in paths} == {0o600}
    for uid in (STRANGER, pwd.getpwnam("www-data").pw_uid):
        assert errors_of(uid, "s.connect(path)", paths) == ["13"] * 3
    ours = [line.split()[-1] for line in pathlib.Path("/proc/net/unix").read_text().splitlines() if "@" in line]
    assert not [name for name in ours if "relay" in name or "haproxy" in name]


def test_another_user_takes_no_name(own):
    paths = [*own.listeners(), own.sockets / "new.sock"]
    assert errors_of(STRANGER, "os.unlink(path)", paths[:3]) == ["13"] * 3
    assert errors_of(STRANGER, "os.rename(path, path + '.old')", paths[:3]) == ["13"] * 3
    assert errors_of(STRANGER, "s.bind(path)", paths[3:]) == ["13"]


def test_names_are_guarded_while_the_relay_is_stopped(own):
    agent = own.sockets / "agent.sock"
    own.relay.stop()
    try:
        assert not agent.exists()
        assert errors_of(STRANGER, "s.bind(path)", [agent]) == ["13"]
        answer = own.post("/v1/x", key=own.key)
        assert (answer.status, answer.getheader("X-Relay-Error")) == (503, "agent_unavailable")
    finally:
        own.relay.start()
    wait_until("it serves again", lambda: own.post("/v1/x", key=own.key).status == 200)


class Held:
    """The sockets that systemd holds, and their listening ends in the order in which it passes them."""

    def __init__(self, s):
        self.relay = s.relay
        self.agent = socket.socket(socket.AF_UNIX)
        self.agent.bind(str(s.dir / "run" / "agent.sock"))
        self.agent.listen(64)
        self.records = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.records.bind(("127.0.0.1", s.relay.events_port))
        self.other = socket.create_server(("127.0.0.1", 0))

    def start(self):
        """As systemd does it (sd_listen_fds(3))."""
        fds = [s.fileno() for s in (self.agent, self.other, self.records)]
        program = ("import os, sys\n"
                   f"fds = [os.dup(fd) for fd in {fds}]\n"
                   "fds = [os.dup2(os.dup2(fd, 100 + n), 3 + n) for n, fd in enumerate(fds)]\n"
                   "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='3')\n"
                   "os.execv(sys.argv[1], sys.argv[1:])")
        self.relay.process = Process("spoa-relay", ["/usr/bin/python3", "-c", program, BUILD / "spoa-relay", "--config",
                                                    self.relay.config], self.relay.dir / "relay.log", pass_fds=fds)
        wait_until("spoa-relay answers", self.relay._answers)

    def close(self):
        for s in (self.agent, self.records, self.other):
            s.close()


def test_systemd_holds_the_sockets(fresh):
    """A question and a record that come while the relay is stopped are not lost."""
    s = fresh()
    s.relay.stop()
    held = Held(s)
    try:
        held.start()
        wait_until("it serves", lambda: s.post("/v1/x", key=s.key).status == 200)
        assert "a socket from systemd has no address" in s.relay.process.text()
        s.relay.stop()
        assert (s.dir / "run" / "agent.sock").is_socket()
        port = f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', {s.relay.events_port}))"
        assert errors_of(STRANGER, port, ["-"]) == ["98"]
        refused = s.post("/v1/x", key=s.key)
        assert (refused.status, refused.getheader("X-Relay-Error")) == (503, "agent_unavailable")
        held.start()
        wait_until("the record has waited", lambda: s.relay.metric("relay_events_total") >= 1)
        wait_until("it serves again", lambda: s.post("/v1/x", key=s.key).status == 200)
    finally:
        held.close()


@pytest.fixture
def bare():
    """A relay that is not started yet, without HAProxy."""
    s = Stack(VERSIONS[0])
    try:
        yield s
    finally:
        s.stop()


def test_several_users_are_told_apart_by_the_agent(fresh):
    """No single file owner fits: then the agent looks at the uid of each peer."""
    s = fresh(extra="[spop]\nallow_users = haproxy, www-data, root\n")
    agent = s.dir / "run" / "agent.sock"
    assert agent.stat().st_mode & 0o777 == 0o666
    refused = s.relay.metric("relay_spop_connections_refused_total")
    closes = "s.connect(path); s.settimeout(30); assert s.recv(1) == b''"
    assert errors_of(pwd.getpwnam("games").pw_uid, closes, [agent]) == ["0"]
    assert s.relay.metric("relay_spop_connections_refused_total") == refused + 1
    again = next((s.dir / "run").glob("relay-again-*.sock")).stat()
    assert (again.st_mode & 0o777, again.st_uid) == (0o600, pwd.getpwnam("haproxy").pw_uid)


def refused_start(s):
    run = subprocess.run([BUILD / "spoa-relay", "--config", s.relay.config], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    return run.stderr


def test_a_directory_of_another_user_is_refused(bare):
    run = bare.dir / "run"
    run.mkdir()
    os.chown(run, STRANGER, STRANGER)
    assert "belongs to another user" in refused_start(bare)
    os.chown(run, 0, 0)
    run.chmod(0o777)
    assert "other users may write" in refused_start(bare)
    run.chmod(0o755)
    bare.relay.start()


def test_the_directory_of_an_older_version_becomes_roots(bare):
    run = bare.dir / "run"
    run.mkdir(mode=0o750)
    os.chown(run, pwd.getpwnam("daemon").pw_uid, 0)
    bare.relay.start()
    assert run.stat().st_uid == 0 and run.stat().st_mode & 0o777 == 0o755


def test_the_mode_does_not_depend_on_the_umask(bare):
    before = os.umask(0o077)
    try:
        bare.relay.start()
    finally:
        os.umask(before)
    assert (bare.dir / "run").stat().st_mode & 0o777 == 0o755
    assert (bare.dir / "run" / "agent.sock").stat().st_mode & 0o777 == 0o600
    assert (bare.dir / "run" / "admin.sock").stat().st_mode & 0o777 == 0o660


def test_a_chroot_without_the_sockets(bare):
    """--chroot is refused; for a chroot that the relay has read there is a note, since it may be another HAProxy's."""
    jail = bare.dir / "jail"
    (bare.dir / "haproxy.cfg").write_text(f"global\n    chroot {jail}\n")
    bare.relay.start()
    render = ("haproxy", "render", "--out", str(bare.dir / "haproxy"), "--bind", "127.0.0.1:1")
    refused = bare.relay.adm_run(*render, "--chroot", str(jail))
    assert refused.returncode == 1 and "outside of HAProxy's chroot" in refused.stderr
    assert f"has chroot {jail}" in bare.relay.adm(*render)["note"]
    assert "note" not in bare.relay.adm(*render, "--chroot", "/")
    cfg = (bare.dir / "haproxy" / "relay.cfg").read_text()
    assert f"server agent1a 'unix@{bare.dir}/run/agent.sock'" in cfg
