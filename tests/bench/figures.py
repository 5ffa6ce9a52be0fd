#!/usr/bin/python3
"""What the relay costs, beside references on the same machine: bare HAProxy; HAProxy with the smallest SPOE exchange;
the relay's HAProxy files with an agent that answers a constant; the relay with one and with two accounts in the pool,
and 10,000 keys. All run at once. The load goes to one at a time, in rounds; the figures are medians."""
import argparse
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from relay import BUILD, Process, Stack, free_port, wait_until  # noqa: E402

KEYS = 10000
DEFAULTS = "defaults\n    mode http\n    timeout client 60s\n    timeout server 60s\n    timeout connect 5s\n"
# "two": the client names its conversation in a header, as Codex and Claude Code do; "body": the agent has to look for
# the name in the body.
SYSTEMS = ("bare", "no-op", "constant", "one", "two", "body")
POOLS = {"one": "one", "two": "two", "body": "two"}
# CPU time of a request with two accounts and 32 clients.
HAPROXY_GOAL, ALL_GOAL, AGENT_GOAL_US, CONTROL_GOAL_US = 1.8, 2.1, 5, 3
GOAL_CLIENTS, GOAL_BODY = 32, 100


def write(path, text):
    path.write_text(text)
    return path


class Site:
    """Everything that is measured, on one version of HAProxy."""

    def __init__(self, version, render):
        self.stack = Stack(version, render=render)
        self.parts = []
        self.ports, self.processes = {}, {}

    def haproxy(self, name, *configs):
        command = [*self.stack.command, "-W", *[w for c in configs for w in ("-f", c)]]
        part = Process(name, command, self.stack.dir / f"{name}.log")
        self.parts.append(part)
        return part

    def start(self):
        s, r = self.stack, self.stack.relay
        s.start()
        self.upstream = self.start_upstream()
        r.adm("upstreams", "add", "static", "--url", f"http://127.0.0.1:{self.upstream}")
        for name in ("s1", "s2", "s3"):
            s.account(name, "static", f"token-of-{name}")
        r.adm("pools", "set", "one", "s1")
        r.adm("pools", "set", "two", "s2", "s3")
        self.keys = {pool: self.issue(pool, count) for pool, count in (("one", 10), ("two", KEYS))}
        self.start_bare()
        self.start_noop()
        self.start_constant()
        for name in POOLS:
            self.ports[name] = s.port
            self.processes[name] = {"haproxy": s.haproxy.pid, "agent": r.pid_of("agent"), "control": r.pid_of("control")}
        for name in SYSTEMS:
            wait_until(f"{name} answers", lambda n=name: self.answers(n))

    def issue(self, pool, count):
        items = self.stack.relay.adm("tokens", "issue", "--tenant", "demo", "--pool", pool, "--count", str(count),
                                     "--rpm", "0")
        return [item["token"] for item in items["items"]]

    def key(self, name, i):
        keys = self.keys[POOLS.get(name, "two")]
        return keys[i * 7919 % len(keys)]

    def start_upstream(self):
        port = free_port()
        self.haproxy("upstream-static", write(self.stack.dir / "static.cfg", f"""
global
    nbthread 1
    tune.bufsize 65536
{DEFAULTS}
frontend up
    bind 127.0.0.1:{port}
    option http-buffer-request
    http-request return status 200 content-type application/json string '{{"ok":true}}'
"""))
        return port

    def start_bare(self):
        port = self.ports["bare"] = free_port()
        part = self.haproxy("bare", write(self.stack.dir / "bare.cfg", f"""
global
    nbthread 2
{DEFAULTS}
frontend f
    bind 127.0.0.1:{port}
    default_backend b
backend b
    server s 127.0.0.1:{self.upstream}
"""))
        self.processes["bare"] = {"haproxy": part.pid}

    def start_agent(self, name, address, *words):
        """HAProxy's and our own spelling of an address differ: abns@X, abns:X."""
        agent = Process(f"agent of {name}", [BUILD / "tests" / "bench_constant_agent", address.replace("@", ":", 1), *words],
                        self.stack.dir / f"{name}-agent.log")
        self.parts.append(agent)
        return agent.pid

    def start_noop(self):
        port = self.ports["no-op"] = free_port()
        address = f"abns@no-op-{port}"
        write(self.stack.dir / "noop-spoe.conf", """
[noop]
spoe-agent noop
    groups decide
    option var-prefix relay
    timeout hello 1s
    timeout idle 30s
    timeout processing 1s
    use-backend noop-agent
spoe-message decide
    args id=unique-id
spoe-group decide
    messages decide
""")
        config = write(self.stack.dir / "noop.cfg", f"""
global
    nbthread 2
{DEFAULTS}
frontend f
    bind 127.0.0.1:{port}
    unique-id-format %[uuid()]
    filter spoe engine noop config {self.stack.dir}/noop-spoe.conf
    http-request send-spoe-group noop decide
    http-request deny unless {{ var(txn.relay.action) -m str allow }}
    default_backend b
backend b
    server s 127.0.0.1:{self.upstream}
backend noop-agent
.if version_atleast(3.1)
    mode spop
.else
    mode tcp
.endif
    server a {address}
""")
        agent = self.start_agent("no-op", address)
        self.processes["no-op"] = {"haproxy": self.haproxy("no-op", config).pid, "agent": agent}

    def start_constant(self):
        """The relay's rendered files with another agent, and with separate ports, sockets and records."""
        s, port = self.stack, free_port()
        self.ports["constant"] = port
        directory = s.dir / "constant"
        for part in ("", "haproxy", "run"):
            (directory / part).mkdir()
        backend = re.search(r"backend (b\d+-static-\S+)", (s.dir / "haproxy/relay.cfg").read_text()).group(1)
        self.sink = record_sink()
        replaced = {str(s.dir): str(directory), "abns@": f"abns@constant-{port}-", f"127.0.0.1:{s.port}": f"127.0.0.1:{port}",
                    f"127.0.0.1:{s.stats_port}": f"127.0.0.1:{free_port()}",
                    f"127.0.0.1:{s.relay.events_port}": f"127.0.0.1:{self.sink.getsockname()[1]}"}
        for name in ("relay.cfg", "relay-spoe.conf"):
            text = (s.dir / "haproxy" / name).read_text()
            for old, new in replaced.items():
                text = text.replace(old, new)
            write(directory / "haproxy" / name, text)
        address = re.search(r"server agent1a (\S+)", (directory / "haproxy/relay.cfg").read_text()).group(1).strip("'\"")
        agent = self.start_agent("constant", address, backend, "token-of-s2")
        own = write(directory / "own.cfg", "global\n    nbthread 2\n    maxconn 4000\n")
        part = self.haproxy("constant", own, directory / "haproxy/relay.cfg")
        self.processes["constant"] = {"haproxy": part.pid, "agent": agent}

    def answers(self, name):
        run = subprocess.run(["curl", "-sf", "-m", "2", "-H", f"X-API-Key: {self.key(name, 0)}", self.url(name)],
                             capture_output=True)
        return run.returncode == 0

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}/v1/responses"

    def stop(self):
        for part in reversed(self.parts):
            part.stop()
        self.stack.stop()


def record_sink():
    """A free sink for the end records of the constant case: nothing reads it, and the kernel drops the excess."""
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sink.bind(("127.0.0.1", 0))
    return sink


# --- processes ---

def children_of(pid):
    found = [pid]
    for tasks in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            found += children_of(int(child))
    return found


def cpu_us(pid, with_children):
    """CPU time of all threads so far."""
    total = 0
    for p in children_of(pid) if with_children else [pid]:
        total += sum(int(t.read_text().split()[0]) for t in pathlib.Path(f"/proc/{p}/task").glob("*/schedstat"))
    return total / 1000


def cpu_of(processes):
    return {role: cpu_us(pid, role == "haproxy") for role, pid in processes.items()}


# --- one measurement ---

def load(site, name, i, clients, size, seconds):
    """(requests, requests/s, p50 ms, p99 ms)"""
    script = site.stack.dir / f"post-{size}.txt"
    if not script.exists():
        write(script, 'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
                      f'wrk.body = "{{\\"prompt_cache_key\\":\\"k\\",\\"input\\":\\"" .. string.rep("x", {size - 38}) .. "\\"}}"\n')
    named = [] if name == "body" else ["-H", f"session-id: conversation-{i}"]
    run = subprocess.run(["wrk", "-t", "1", "-c", str(clients), "-d", str(seconds), "--latency", "-s", str(script), *named,
                          "-H", f"X-API-Key: {site.key(name, i)}", site.url(name)], capture_output=True, text=True,
                         check=True)
    assert "Non-2xx" not in run.stdout and "Socket errors" not in run.stdout, f"{name}: {run.stdout}"

    def ms(percent):
        number, unit = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", run.stdout).groups()
        return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    count = int(re.search(r"(\d+) requests in", run.stdout).group(1))
    return count, float(re.search(r"Requests/sec:\s+([\d.]+)", run.stdout).group(1)), ms(50), ms(99)


def measure_once(site, name, i, clients, size, seconds):
    before = cpu_of(site.processes[name])
    count, rate, p50, p99 = load(site, name, i, clients, size, seconds)
    time.sleep(0.3)  # what control and the agent do behind the requests belongs to them
    after = cpu_of(site.processes[name])
    cost = {role: (after[role] - before[role]) / count for role in before}
    return {"rate": rate, "p50": p50, "p99": p99, **cost}


def median(runs, column):
    return statistics.median(run[column] for run in runs) if column in runs[0] else None


def row_of(runs):
    columns = ("rate", "p50", "p99", "haproxy", "agent", "control")
    return {column: median(runs, column) for column in columns}


def show(name, row):
    def us(value):
        return "-" if value is None else f"{value:.1f}"
    print(f"| {name} | {row['rate']:,.0f} | {row['p50']:.2f} | {row['p99']:.2f} | {us(row['haproxy'])} | {us(row['agent'])}"
          f" | {us(row['control'])} |", flush=True)


def measure(site, clients, size, options):
    runs = {name: [] for name in SYSTEMS}
    for i in range(options.rounds):
        for name in SYSTEMS:
            runs[name].append(measure_once(site, name, i, clients, size, options.seconds))
    print(f"\n{clients} clients, bodies of {size} bytes\n\n| system | requests/s | p50 ms | p99 ms | HAProxy us | agent us"
          " | control us |\n|---|---|---|---|---|---|---|")
    rows = {name: row_of(runs[name]) for name in SYSTEMS}
    for name, row in rows.items():
        show(name, row)
    return rows


# --- exchanges and system calls ---

def calls_of(pid, seconds):
    """System calls of a process and of its children within some seconds."""
    words = [w for p in children_of(pid) for w in ("-p", str(p))]
    run = subprocess.run(["timeout", "-s", "INT", str(seconds), "strace", "-f", "-c", *words], capture_output=True, text=True)
    total = re.search(r"^\s*100\.00\s+\S+(?:\s+\S+)?\s+(\d+)\s+.*total$", run.stderr, re.M)
    return int(total.group(1)) if total else 0


def count_calls(site, role, pid):
    """Per request; strace slows the process, so that more of its work comes together."""
    metric = site.stack.relay.metric
    begin = metric("relay_decisions_total")
    with subprocess.Popen(["wrk", "-t", "1", "-c", str(GOAL_CLIENTS), "-d", "3", "-H", f"X-API-Key: {site.key('two', 1)}",
                           site.url("two")], stdout=subprocess.DEVNULL) as wrk:
        time.sleep(0.5)
        first = metric("relay_decisions_total")
        calls = calls_of(pid, 1.5)
        last = metric("relay_decisions_total")
        wrk.wait()
    assert last > first >= begin
    print(f"system calls of {role}: {calls / (last - first):.2f} a request")


def count_exchanges(site):
    def frames():
        return site.stack.relay.metric('relay_spop_frames_total{type="hello"}'), site.stack.relay.metric("relay_decisions_total")
    before = frames()
    load(site, "two", 2, GOAL_CLIENTS, GOAL_BODY, 2)
    after = frames()
    hellos, requests = after[0] - before[0], after[1] - before[1]
    print(f"\nHELLOs: {hellos:.0f} for {requests:.0f} requests")
    return hellos <= 200 + requests / 100


def judge(version, rows):
    base, two = rows["no-op"]["haproxy"], rows["two"]
    whole = two["haproxy"] + two["agent"] + two["control"]
    goals = (("HAProxy / no-op", two["haproxy"] / base, HAPROXY_GOAL), ("all / no-op", whole / base, ALL_GOAL),
             ("agent us", two["agent"], AGENT_GOAL_US), ("control us", two["control"], CONTROL_GOAL_US))
    print(f"\nHAProxy {version}, two accounts, {GOAL_CLIENTS} clients, small bodies:")
    for name, value, goal in goals:
        print(f"  {name}: {value:.2f}, goal {goal}: {'reached' if value <= goal else 'missed'}")
    print(f"  all together: {whole:.0f} us; {two['rate'] / rows['bare']['rate']:.2f} of the requests/s of bare HAProxy")
    return all(value <= goal for _, value, goal in goals)


def run(version, options):
    site = Site(version, ("--replay-body", options.replay_body) if options.replay_body else ())
    good = True
    print(f"\n## HAProxy {version}")
    try:
        site.start()
        for size in options.bodies:
            for clients in options.clients:
                rows = measure(site, clients, size, options)
                if (clients, size) == (GOAL_CLIENTS, GOAL_BODY):
                    good = judge(version, rows)
        good = count_exchanges(site) and good
        for role, pid in site.processes["two"].items():
            count_calls(site, role, pid)
    finally:
        site.stop()
    return good


def set_malloc():
    """As the drop-in for HAProxy's unit does."""
    drop_in = (pathlib.Path(__file__).resolve().parents[2] / "haproxy/spoa-relay.conf").read_text()
    os.environ.update(word.split("=", 1) for word in re.findall(r"MALLOC_\w+=\d+", drop_in))


def numbers(text):
    return [int(word) for word in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--haproxy-versions", default="2.6,3.0,3.2,3.4", metavar="V,...")
    parser.add_argument("--clients", type=numbers, default=[1, 32, 256], metavar="N,...")
    parser.add_argument("--bodies", type=numbers, default=[100, 40000], metavar="BYTES,...")
    parser.add_argument("--replay-body", metavar="SIZE", help="as `relayadm haproxy render` takes it")
    options = parser.parse_args()
    set_malloc()
    missed = [v for v in options.haproxy_versions.split(",") if not run(v, options)]
    if missed:
        sys.exit(f"a goal is missed on HAProxy {', '.join(missed)}")


if __name__ == "__main__":
    main()
