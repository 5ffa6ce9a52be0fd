"""Each refusal is counted once in relay_decisions_total, whoever made it: the agent, or HAProxy, whose records tell."""
import http.client
import re
import socket
import subprocess

import pytest

from failures import NO_BUDGET, FailingStack
from relay import ANY, VERSIONS, free_port, wait_until


def refusals(s):
    """{code: count} of relay_decisions_total."""
    c = http.client.HTTPConnection("127.0.0.1", s.relay.metrics_port, timeout=60)
    c.request("GET", "/metrics")
    text = c.getresponse().read().decode()
    c.close()
    rows = re.findall(r'^relay_decisions_total\{action="deny",code="(\w+)"\} (\d+)$', text, re.M)
    return {code: int(count) for code, count in rows}


def rises(s, before, expected):
    """Waits until all expected refusals are counted; none is counted twice, and no other one at all."""
    def grown():
        now = refusals(s)
        return {code: n - before[code] for code, n in now.items() if n != before[code]}

    wait_until(f"{expected} is counted", lambda: sum(grown().values()) >= sum(expected.values()))
    assert grown() == expected


@pytest.mark.takes(45)
@pytest.mark.parametrize("version", VERSIONS)
def test_each_refusal_counts_once(fresh, version):
    s = fresh(version, extra="[requests]\nmax_body = 100000\n")
    r = s.relay
    silent = socket.create_server(("127.0.0.1", 0))
    for name, port in (("nobody", free_port()), ("slow", silent.getsockname()[1])):
        url = f"http://127.0.0.1:{port}"
        r.adm("upstreams", "add", name, "--url", url, "--provider", "openai", "--first-byte-timeout", "1s", "--probe", "none")
        s.account(name, name, f"token-of-{name}")
        r.adm("pools", "set", name, name)
    nobody, slow = r.issue("demo", "--pool", "nobody"), r.issue("demo", "--pool", "slow")
    before = refusals(s)

    def told(answer):
        return answer.status, answer.getheader("X-Relay-Error")

    # of HAProxy, without the agent
    assert told(s.request("TRACE", "/v1/x", key=s.key)) == (400, "bad_request")
    assert told(s.post("/v1/x", b"x" * 100001, key=s.key)) == (413, "request_too_large")
    with s.connect() as malformed:
        malformed.sendall(b"GET / v1/x HTTP/1.1\r\n\r\n")
        assert malformed.recv(4096).startswith(b"HTTP/1.1 400 ")
    # of the agent
    assert told(s.post("/v1/x")) == (401, "missing_api_key")
    assert told(s.get("/v1/a/../b", key=s.key)) == (400, "bad_request")
    # of HAProxy, of requests that the agent had allowed; the attempt that cannot connect ends in `again`
    assert told(s.post("/v1/x", key=nobody)) == (502, "upstream_unreachable")
    assert told(s.post("/v1/x", key=slow)) == (504, "upstream_timeout")
    rises(s, before, {"bad_request": 3, "request_too_large": 1, "missing_api_key": 1, "upstream_unreachable": 1,
                      "upstream_timeout": 1})
    silent.close()
    # no answer of the agent, unless the keeper has replaced it in time; each such answer counts
    before = refusals(s)
    s.upstream.clear()
    pid = r.pid_of("agent")
    subprocess.run(["kill", "-STOP", str(pid)], check=True)
    answers = []

    def serves():
        answers.append(told(s.post("/v1/x", key=s.key)))
        return answers[-1] == (200, None)

    try:
        serves()
    finally:
        subprocess.run(["kill", "-CONT", str(pid)], check=False)
    wait_until("it serves again", serves)
    assert set(answers) <= {(200, None), (503, "agent_unavailable")}
    failed = answers.count((503, "agent_unavailable"))
    rises(s, before, {"agent_unavailable": failed} if failed else {})
    before = refusals(s)
    with s.connect() as late:
        late.sendall(b"POST /v1/x HTTP/1.1\r\nHost: relay\r\n")  # no more: 408 after 30 s
        assert late.recv(4096).startswith(b"HTTP/1.1 408 ")
    rises(s, before, {"request_timeout": 1})


def test_an_outage_of_an_account_is_timed():
    s = FailingStack(ANY, NO_BUDGET + "recovery = 2s\nprobe_pause = 1s\nprobe_idle = 1h\n")
    try:
        s.start()
        pool = s.pool("timed", 1)
        name = "relay_account_recovery_seconds"
        assert s.relay.metric(name + "_count") == 0
        pool.failing.set(pool.tokens[0], 500)
        # a failed probe counts 5 s after the last success of a client
        wait_until("the account is out", lambda: s.relay.adm("accounts", "check", pool.accounts[0])["state"] != "ok",
                   step=0.5)
        # still out: nothing to tell yet
        assert s.relay.metric(name + "_count") == 0
        pool.failing.calm()
        pool.wait_for(pool.tokens[0], "ok", seconds=60)
        wait_until("the outage is counted", lambda: s.relay.metric(name + "_count") == 1)
        assert 0.5 < s.relay.metric(name + "_sum") < 60
    finally:
        s.stop()
