"""The stack under test: real HAProxy, real spoa-relay, the demo upstream. Everything on free loopback ports."""
import contextlib
import ctypes
import functools
import http.client
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from workers import with_network

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("RELAY_BUILD", ROOT / "build" / "release"))
# RELAY_HAPROXY names the only version to test.
VERSIONS = tuple(filter(None, [os.environ.get("RELAY_HAPROXY")])) or ("2.6", "3.0", "3.2", "3.4")
ANY = VERSIONS[0]  # for tests that need only one version


def is_full():
    """RELAY_FULL asks for the biggest runs, unless it is empty or 0."""
    return os.environ.get("RELAY_FULL", "") not in ("", "0")


@functools.cache
def haproxy_commands():
    """[(version, command)] of all that the tests need, as 3.2.26."""
    run = subprocess.run(with_network(ROOT / "scripts" / "haproxy-versions"), capture_output=True, text=True,
                         timeout=1500)
    assert run.returncode == 0, f"not every HAProxy can be had: {run.stdout}{run.stderr}"
    rows = [line.split() for line in run.stdout.splitlines()]
    return [(version, command) for version, command in rows if version.startswith(tuple(v + "." for v in VERSIONS))]


def haproxy_command(version):
    """The command of a version; a missing version fails the test."""
    for number, command in haproxy_commands():
        if number.startswith(version + "."):
            return [command]
    raise AssertionError(f"HAProxy {version} cannot be had: {haproxy_commands()}")


# Each worker has its own range below the ephemeral ports. A free port is bound only later, and two HAProxy processes
# would share it without a word (SO_REUSEPORT).
PORTS_OF_A_WORKER = 1000
_first_port = 10000 + PORTS_OF_A_WORKER * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 20)
_ports = itertools.cycle((_first_port + (os.getpid() + n) % PORTS_OF_A_WORKER for n in range(PORTS_OF_A_WORKER)))


def free_port(kind=socket.SOCK_STREAM):
    """A port that is free and was not returned recently."""
    for _ in range(PORTS_OF_A_WORKER):
        port = next(_ports)
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no port is free")


def make_reachable(path):
    """pytest keeps its directories from other users, and the relay runs as one."""
    for directory in (path, *path.parents):
        if directory == pathlib.Path(tempfile.gettempdir()):
            break
        directory.chmod(0o755)


def wait_until(what, condition, seconds=25.0, step=0.02):
    """What the condition gives at last. Generous, since a busy machine is no fault, but below the 30 s after which the
    relay and HAProxy help themselves in many cases."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(step)
    raise AssertionError(f"not within {seconds} s: {what}")


_libc = ctypes.CDLL(None)


def end_with_us():
    """Runs in the child: a killed test run leaves no process behind (PR_SET_PDEATHSIG)."""
    _libc.prctl(1, signal.SIGTERM)


class Process:
    """A program with its output in a file; stopped by pid, and checked to be gone."""

    def __init__(self, name, command, log, **options):
        self.name, self.log = name, pathlib.Path(log)
        self.out = open(self.log, "ab")
        self.popen = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=self.out,
                                      stderr=self.out, start_new_session=True,
                                      preexec_fn=end_with_us, **options)

    @property
    def pid(self):
        return self.popen.pid

    def text(self):
        return self.log.read_text(errors="replace")

    def stop(self, seconds=60, sig=signal.SIGTERM):
        if self.popen.poll() is None:
            self.popen.send_signal(sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(seconds / 2)
        if self.popen.poll() is None:  # the master of HAProxy 2.6 forgets to stop if it is just reloading
            self.popen.send_signal(sig)
        try:
            code = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()
            raise AssertionError(f"{self.name} did not stop within {seconds} s:\n{self.text()[-3000:]}") from None
        finally:
            self.out.close()
        return code


class Upstream(Process):
    def __init__(self, directory, name="upstream", *options):
        log = directory / f"{name}.log"
        super().__init__(name, ["/usr/bin/python3", ROOT / "tests/demo/upstream.py",
                                "--control", "127.0.0.1:0", *options], log)
        lines = wait_until("the upstream listens", lambda: (t := self.text()).count("\n") >= 2 and t.splitlines())
        self.port, self.control = (int(line.split()[1]) for line in lines[:2])
        self.url = f"http://127.0.0.1:{self.port}"

    def _ask(self, method, path):
        c = http.client.HTTPConnection("127.0.0.1", self.control, timeout=60)
        c.request(method, path)
        rows = json.loads(c.getresponse().read())
        c.close()
        return rows

    def requests(self, since=0):
        return self._ask("GET", f"/requests?since={since}")

    def clear(self):
        self._ask("DELETE", "/requests")


def header(row, name):
    values = [v for k, v in row["headers"] if k.lower() == name.lower()]
    return values[0] if values else None


def reason(stderr):
    """The message of `relayadm --json`: the last line is the error."""
    last = (stderr.splitlines() or [""])[-1]
    return json.loads(last)["error"]["message"] if last.startswith("{") else stderr


class Refused(Exception):
    def __init__(self, code, stderr):
        super().__init__(f"exit {code}: {stderr}")
        self.code, self.stderr = code, stderr


def may_reload(words):
    """Whether a command takes --no-wait and nothing is said about the reload."""
    nouns = ("upstreams", "egress", "accounts")
    change = words[0] == "apply" or (words[0] in nouns and words[1] in ("add", "set", "del"))
    return change and not {"--no-reload", "--no-wait", "--help"} & set(words)


class Relay:
    """spoa-relay with its own directory."""

    def __init__(self, directory, haproxy, extra="", program="spoa-relay"):
        self.dir = pathlib.Path(directory)
        self.program = BUILD / program
        self.haproxy_binary = haproxy[0]
        self.events_port = free_port(socket.SOCK_DGRAM)
        self.metrics_port = free_port()
        self.socket = self.dir / "run" / "admin.sock"
        self.process = None
        self.environment = None  # of its processes; None = ours
        self.write_config(extra)

    def write_config(self, extra=""):
        users = ""
        if os.geteuid() == 0:
            users = "user = daemon\nagent_user = nobody\ngroup = daemon\n"
        self.config = self.dir / "relay.conf"
        self.config.write_text(
            f"[relay]\nstate_dir = {self.dir}/state\nrun_dir = {self.dir}/run\n{users}"
            f"[events]\nlisten = udp:127.0.0.1:{self.events_port}\n"
            f"[admin]\nmetrics = tcp:127.0.0.1:{self.metrics_port}\n"
            f"[haproxy]\noutput_dir = {self.dir}/haproxy\nbinary = {shutil.which(self.haproxy_binary)}\n"
            f"config = {self.dir}/haproxy.cfg\n"
            f"master_socket = {self.dir}/master.sock\nadmin_socket = {self.dir}/haproxy.sock\n{extra}")

    def start(self):
        self.process = Process("spoa-relay", [self.program, "--config", self.config], self.dir / "relay.log",
                               env=self.environment)
        wait_until("spoa-relay answers", self._answers)

    def _answers(self):
        assert self.process.popen.poll() is None, f"spoa-relay ended:\n{self.process.text()[-3000:]}"
        return self.adm_run("status").returncode == 0

    def stop(self):
        if self.process:
            code = self.process.stop()
            self.process = None
            assert code == 0, f"spoa-relay exited {code}"

    def adm_run(self, *words, stdin=None):
        command = [BUILD / "relayadm", "--socket", self.socket, "--json", *words]
        return subprocess.run([str(c) for c in command], input=stdin, capture_output=True, text=True, timeout=60)

    def adm(self, *words, stdin=None, settle=True):
        """Changes soon after one that reloaded HAProxy share the next reload, and wait for it; tests do not."""
        hasty = settle and may_reload(words)
        run = self.adm_run(*words, *(["--no-wait"] if hasty else []), stdin=stdin)
        answer = json.loads(run.stdout) if run.stdout.strip() else None
        if hasty and run.returncode == 1 and answer and "share one reload" in answer.get("haproxy_error", ""):
            answer["haproxy"] = self.adm("haproxy", "reload")["haproxy"]
            del answer["haproxy_error"], answer["failed"]
        elif run.returncode:
            raise Refused(run.returncode, reason(run.stderr))
        return answer

    def pid_of(self, role):
        """0: it does not run."""
        return self.adm("status")["processes"][role]["pid"] or 0

    @contextlib.contextmanager
    def stopped(self, role):
        """The process stands still, and so does the keeper, which would restart it."""
        keeper, pid = self.process.pid, self.pid_of(role)
        os.kill(keeper, signal.SIGSTOP)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid
        finally:
            os.kill(pid, signal.SIGCONT)
            os.kill(keeper, signal.SIGCONT)

    def metric(self, name, **labels):
        """The sum of the samples that have these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.metrics().splitlines()
                   if line.startswith((name + " ", name + "{")) and all(w in line for w in wanted))

    def metrics(self):
        c = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=60)
        c.request("GET", "/metrics")
        text = c.getresponse().read().decode()
        c.close()
        return text

    def issue(self, tenant, *options):
        return self.adm("tokens", "issue", "--tenant", tenant, "--rpm", "0", *options)["token"]


class Stack:
    """Upstream, relay and HAProxy of one version."""

    def __init__(self, version, extra="", render=(), program="spoa-relay"):
        self.version = version
        self.command = haproxy_command(version)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="relay-e2e-"))
        self.dir.chmod(0o755)
        self.port, self.stats_port = free_port(), free_port()
        self.upstream = Upstream(self.dir)
        self.relay = Relay(self.dir, self.command, extra, program)
        self.haproxy = None
        self.render = render
        self.keys = {}

    def start(self):
        self.relay.start()
        self.relay.adm("upstreams", "add", "demo", "--url", self.upstream.url, "--provider", "openai")
        self.account("demo", "demo", "token-of-demo")
        self.relay.adm("pools", "set", "demo", "demo")
        self.relay.adm("tenants", "add", "demo", "--pool", "demo", "--daily", "0", "--monthly", "0")
        self.key = self.relay.issue("demo")
        self.relay.adm("haproxy", "render", "--out", str(self.dir / "haproxy"), "--bind", f"127.0.0.1:{self.port}",
                       "--stats", f"127.0.0.1:{self.stats_port}", *self.render)
        self.start_haproxy()
        return self

    def account(self, name, upstream, token, *options):
        return self.relay.adm("accounts", "add", name, "--upstream", upstream, "--token-stdin", *options, stdin=token)

    def start_haproxy(self, maxconn=4000):
        cfg = self.dir / "haproxy.cfg"
        cfg.write_text(f"global\n    maxconn {maxconn}\n    nbthread 2\n")
        self.haproxy = Process("haproxy", [*self.command, "-W", "-S", f"{self.dir}/master.sock,mode,666",
                                           "-f", cfg, "-f", self.dir / "haproxy" / "relay.cfg"],
                               self.dir / "haproxy.log")
        wait_until("HAProxy serves", self._serves)

    def _serves(self):
        assert self.haproxy.popen.poll() is None, self.haproxy.text()
        try:
            return self.get("/relay/health").status == 200
        except OSError:
            return False

    def stop(self):
        problems = []
        for part in (self.haproxy, self.relay, self.upstream):
            try:
                if part:
                    part.stop()
            except AssertionError as e:
                problems.append(str(e))
        left = subprocess.run(["pgrep", "-af", str(self.dir) + "/"], capture_output=True, text=True).stdout
        if not problems and not left:
            shutil.rmtree(self.dir, ignore_errors=True)
        assert not problems and not left, f"{problems}\nleft over: {left}"

    # --- as a client ---
    def request(self, method, path, body=None, key=None, headers=(), timeout=60):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        c.putrequest(method, path, skip_accept_encoding=True)
        if key:
            c.putheader("X-API-Key", key)
        if body is not None:
            c.putheader("Content-Length", str(len(body)))
        for name, value in headers:
            c.putheader(name, value)
        with contextlib.suppress(BrokenPipeError):  # an answer may come before all of the body has gone
            c.endheaders(body)
        answer = c.getresponse()
        answer.body = answer.read()
        c.close()
        return answer

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=b"{}", **options):
        return self.request("POST", path, body=body, **options)

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def send(self, s, method, path, headers=(), body=b"", key=None):
        head = f"{method} {path} HTTP/1.1\r\nHost: relay\r\n"
        head += f"X-API-Key: {key or self.key}\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in headers)
        s.sendall(head.encode() + b"\r\n" + body)
