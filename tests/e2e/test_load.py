"""64 clients with 4 KB credentials: no error, no request much slower than through a bare HAProxy, and few connections to
the agent. RELAY_FULL=1: for half a minute."""
import re
import subprocess

import pytest

from bare import bare, compare
from relay import Process, free_port, is_full, wait_until

SECONDS = 30 if is_full() else 4
TOKEN = "t" * 4096


def checking_upstream(stack, port):
    """A HAProxy that answers 200 to the exact credential only: wrk counts all other answers."""
    cfg = stack.dir / "checking.cfg"
    cfg.write_text(f"""
global
    nbthread 1
    tune.bufsize 32768
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 1s
frontend up
    bind 127.0.0.1:{port}
    http-request deny deny_status 500 unless {{ req.fhdr(authorization) -m str "Bearer {TOKEN}" }}
    http-request return status 200 content-type application/json string "{{}}"
""")
    return Process("checking upstream", ["haproxy", "-W", "-f", cfg], stack.dir / "checking.log")


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def start_wrk(port, key):
    return subprocess.Popen(["wrk", "-t", "1", "-c", "64", "-d", str(SECONDS), "--latency", "--timeout", "30",
                             "-H", f"X-API-Key: {key}", f"http://127.0.0.1:{port}/v1/x"],
                            stdout=subprocess.PIPE, text=True)


def slowest_of(wrk):
    """Milliseconds; every answer was a 200."""
    out = wrk.communicate(timeout=SECONDS + 60)[0]
    assert wrk.returncode == 0 and "Non-2xx" not in out and "Socket errors" not in out, out
    rate = re.search(r"Requests/sec:\s+(\S+)", out).group(1)
    slowest = milliseconds(re.search(r"Latency\s+\S+\s+\S+\s+(\S+)", out).group(1))
    print(f"{rate} requests/s, slowest {slowest} ms")
    return slowest


def frames(stack, kind):
    return stack.relay.metric(f'relay_spop_frames_total{{type="{kind}"}}')


@pytest.fixture(scope="module")
def checking(stack):
    """A key for the checking upstream, and the port of that."""
    port = free_port()
    upstream = checking_upstream(stack, port)
    try:
        r = stack.relay
        r.adm("upstreams", "add", "checking", "--url", f"http://127.0.0.1:{port}")
        stack.account("checking", "checking", TOKEN)
        r.adm("pools", "set", "checking", "checking")
        key = r.issue("demo", "--pool", "checking")
        wait_until("the upstream answers", lambda: stack.get("/v1/x", key=key).status == 200)
        yield key, port
    finally:
        upstream.stop()


@pytest.mark.takes(6)
def test_64_clients_with_4_kb_bearers(stack, checking):
    """A stall of pipelined questions (HAProxy 3.1 and newer) would last 500 ms, again and again."""
    key, upstream_port = checking

    def measure():
        return [slowest_of(wrk) for wrk in [start_wrk(port, key) for port in (stack.port, bare_port)]]

    with bare(stack, upstream_port, TOKEN) as bare_port:
        compare(measure, lambda ours, theirs: ours < theirs + 200, times=3)


@pytest.mark.takes(5)
def test_the_connections_to_the_agent_are_kept(stack, checking):
    """In `mode tcp` HAProxy 3.1 and newer open one for each question. 64 clients need at most one each, on each of two
    threads."""
    key, _ = checking
    hellos, questions = frames(stack, "hello"), frames(stack, "notify")
    slowest_of(start_wrk(stack.port, key))
    hellos, questions = frames(stack, "hello") - hellos, frames(stack, "notify") - questions
    print(f"{hellos:.0f} new connections for {questions:.0f} questions")
    assert questions > 1000 and hellos <= 128 and frames(stack, "hello") >= 1
