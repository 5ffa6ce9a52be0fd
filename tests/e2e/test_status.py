"""The first line of `relayadm status` is `ok`, or says what is wrong; `--check` makes an exit code of it."""
import contextlib
import os
import pty
import subprocess

import pytest

from relay import BUILD, VERSIONS, free_port, wait_until


def status(s, *options, **environment):
    run = subprocess.run([BUILD / "relayadm", "--socket", s.relay.socket, "status", *options], capture_output=True,
                         text=True, timeout=60, env={**os.environ, **environment})
    return run.returncode, run.stdout.splitlines()[0] if run.stdout else "", run.stderr


def problems(s):
    """{code: subjects} of what makes the status not ok. A starved machine may cause a restart of a child."""
    answer = s.relay.adm("status")
    found = {}
    for w in answer["warnings"]:
        if w["level"] == "problem":
            found.setdefault(w["code"], []).append(w["subject"])
            assert w["message"] in answer["summary"]
    assert answer["ok"] is (not found) and (answer["summary"] == "ok") is (not found)
    return {code: subjects for code, subjects in found.items() if code != "child_restarted"}


def wait_for(s, expected, seconds=40):
    seen = []

    def same():
        seen.append(problems(s))
        return seen[-1] == expected

    try:
        wait_until(f"problems are {expected}", same, seconds, step=0.2)
    except AssertionError as e:
        raise AssertionError(f"{e}: {s.relay.adm('status')['warnings']}") from None


def on_terminal(s, **environment):
    """What `status` writes to a terminal."""
    master, slave = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    run = subprocess.Popen([BUILD / "relayadm", "--socket", s.relay.socket, "status"], stdout=slave,
                           stderr=subprocess.DEVNULL, env={**env, "TERM": "xterm", **environment})
    os.close(slave)
    out = b""
    with contextlib.suppress(OSError):  # the terminal is closed
        while piece := os.read(master, 65536):
            out += piece
    os.close(master)
    assert run.wait(60) == 0
    return out.decode()


@pytest.mark.takes(40)
@pytest.mark.parametrize("version", VERSIONS)
def test_status_says_what_is_wrong(fresh, version):
    s = fresh(version)
    r = s.relay
    wait_for(s, {})
    if s.relay.adm("status")["ok"]:
        assert status(s, "--check") == (0, "ok", "")
        assert on_terminal(s).startswith("ok\r\n")

    # an address that this machine does not have, and a pool that has no other way
    r.adm("egress", "add", "nowhere", "--source", "203.0.113.77")
    s.account("far", "demo", "token-of-far", "--egress", "nowhere")
    r.adm("pools", "set", "far", "far")
    wait_for(s, {"egress_address": ["nowhere"], "pool_unusable": ["far"]})
    code, line, stderr = status(s, "--check")
    assert code == 1 and "egress nowhere: HAProxy's machine does not have the address 203.0.113.77" in line
    assert "pool far: none of its 1 accounts can be used" in line and stderr
    assert status(s)[0] == 0
    assert "does not have the address" in r.adm("egress", "show", "nowhere")["reason"]
    coloured = on_terminal(s)
    assert coloured.startswith("\x1b[31m") and "\x1b[31mdown\x1b[0m" in coloured
    assert "\x1b" not in on_terminal(s, NO_COLOR="1") and "\x1b" not in on_terminal(s, TERM="dumb")
    r.adm("pools", "del", "far")
    r.adm("accounts", "del", "far")
    r.adm("egress", "del", "nowhere")
    wait_for(s, {})

    # a change that waits, then a HAProxy that is gone
    r.adm("accounts", "set", "demo", "--header", "X-New: 1", "--no-reload")
    wait_for(s, {"reload_pending": ["haproxy"]})
    r.adm("haproxy", "reload")
    wait_for(s, {})
    s.haproxy.stop()
    wait_for(s, {"haproxy_unreachable": ["haproxy"]})
    assert "HAProxy does not answer at its sockets" in status(s, "--check")[1]
    s.start_haproxy()
    wait_for(s, {})


def test_refusals_of_the_last_minute_are_told_by_code(fresh):
    s = fresh()
    r = s.relay

    def refusals():
        return {w["subject"]: w["level"] for w in r.adm("status")["warnings"] if w["code"] == "refusals"}

    wait_until("all is well", lambda: r.adm("status")["ok"])
    assert s.post("/v1/x", key="rk_nonsense").status == 401
    # a client's own fault is no fault of the node
    wait_until("it is told", lambda: refusals() == {"invalid_api_key": "note"})
    assert problems(s) == {}
    r.adm("upstreams", "add", "nobody", "--url", f"http://127.0.0.1:{free_port()}", "--provider", "openai", "--probe", "none")
    s.account("nobody", "nobody", "token-of-nobody")
    r.adm("pools", "set", "nobody", "nobody")
    assert s.post("/v1/x", key=r.issue("demo", "--pool", "nobody")).status == 502
    wait_until("it is told", lambda: refusals().get("upstream_unreachable") == "problem")
    code, line, _ = status(s, "--check")
    assert code == 1 and "refused in the last minute: upstream_unreachable" in line


def test_an_agent_that_does_not_take_a_change_is_told(fresh):
    s = fresh()
    wait_for(s, {})
    with s.relay.stopped("agent"):
        s.relay.adm_run("tenants", "set", "demo", "--rpm", "77")  # returns when the agent had its time
        wait_until("it is told", lambda: "agent_behind" in problems(s), seconds=10)
    wait_for(s, {})


def test_a_child_that_was_restarted_is_told(fresh):
    s = fresh()
    wait_until("all is well", lambda: s.relay.adm("status")["ok"])
    subprocess.run(["kill", "-KILL", str(s.relay.pid_of("agent"))], check=True)

    def restarted():
        return [w for w in s.relay.adm("status")["warnings"]
                if (w["code"], w["subject"]) == ("child_restarted", "agent")]

    [warning] = wait_until("it is told", restarted)
    assert warning["message"].endswith("(killed), 1 time in all") and status(s, "--check")[0] == 1
