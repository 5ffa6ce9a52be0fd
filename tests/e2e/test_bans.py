"""Bans and the global switches, through real HAProxy."""
import http.client
import itertools
import os
import secrets
import signal
import string
import time
import zlib

import pytest

from relay import ANY, Stack, wait_until

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_numbers = itertools.count(1)
BAD_KEYS = 20  # default of [limits] bad_keys
PROXY = "127.0.0.1"


@pytest.fixture(scope="module")
def stack():
    """One stack for all tests: each test removes its bans and restores the switches. Its balancer is on loopback, because
    loopback itself is never banned.
    """
    s = Stack(ANY, render=("--trust-forwarded", PROXY))
    try:
        yield s.start()
    finally:
        s.stop()


@pytest.fixture
def source():
    """An address from which no other test has sent bad keys."""
    return f"198.18.{next(_numbers)}.66"


def ask(stack, key, source=None):
    """(status, code) of a request from that address; without one, from the balancer itself."""
    c = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    c.request("GET", "/v1/models", headers={"X-API-Key": key} | ({"X-Forwarded-For": source} if source else {}))
    answer = c.getresponse()
    answer.read()
    c.close()
    return answer.status, answer.headers.get("X-Relay-Error")


def bad_key():
    return "sk-" + secrets.token_hex(12)


def unknown_key():
    """A well-formed key, which the agent has to look up."""
    text = "rk_" + "".join(secrets.choice(BASE62) for _ in range(30))
    n, check = zlib.crc32(text.encode()), ""
    for _ in range(6):
        n, digit = divmod(n, 62)
        check = BASE62[digit] + check
    return text + check


def bans(stack):
    return {row["network"]: row for row in stack.relay.adm("bans", "list")["items"]}


def send_bad_keys(stack, source):
    for n in range(BAD_KEYS):
        assert ask(stack, bad_key(), source) == (401, "invalid_api_key"), n


def test_bad_keys_ban_their_address_until_the_ban_is_lifted(stack, source):
    send_bad_keys(stack, source)
    assert ask(stack, stack.key, source) == (403, "ip_banned")
    assert ask(stack, stack.key, "198.18.0.67") == (200, None)
    row = wait_until("control has the ban", lambda: bans(stack).get(source))
    assert row["source"] == "agent"
    assert row["reason"] == f"{BAD_KEYS} different bad keys within a minute"
    assert ask(stack, stack.key, source) == (403, "ip_banned")
    stack.relay.adm("bans", "del", source)
    assert ask(stack, stack.key, source) == (200, None)
    # The ban does not return.
    stack.relay.adm("bans", "add", "192.0.2.0/24")
    assert list(bans(stack)) == ["192.0.2.0/24"]
    stack.relay.adm("bans", "del", "192.0.2.0/24")
    assert ask(stack, stack.key, source) == (200, None)


def spared(stack):
    rows = stack.relay.adm("notices", "list")["items"]
    return {row["subject"]: row for row in rows if row["kind"] == "ban_spared"}


def test_the_balancer_itself_is_not_banned(stack):
    send_bad_keys(stack, None)
    assert ask(stack, stack.key) == (200, None)
    row = wait_until("a notice", lambda: spared(stack).get(f"address/{PROXY}"))
    assert str(BAD_KEYS) in row["message"]
    assert ask(stack, stack.key) == (200, None) and bans(stack) == {}


def test_an_address_of_several_tenants_is_not_banned(stack, source):
    stack.relay.adm("tenants", "add", "other", "--pool", "demo")
    other = stack.relay.issue("other")
    assert ask(stack, stack.key, source) == ask(stack, other, source) == (200, None)
    send_bad_keys(stack, source)
    assert ask(stack, stack.key, source) == ask(stack, other, source) == (200, None)
    row = wait_until("a notice", lambda: spared(stack).get(f"address/{source}"))
    assert "several tenants" in row["message"] and f"relayadm bans add {source}" in row["message"]
    assert bans(stack) == {}


def test_one_bad_key_is_refused_for_ever_and_bans_nobody(stack, source):
    revoked = stack.relay.adm("tokens", "issue", "--tenant", "demo")
    stack.relay.adm("tokens", "revoke", revoked["id"])
    unknown = unknown_key()
    for _ in range(BAD_KEYS * 3):
        assert ask(stack, unknown, source) == (401, "invalid_api_key")
        assert ask(stack, revoked["token"], source) == (401, "revoked_api_key")
    assert ask(stack, stack.key, source) == (200, None)


def test_a_ban_survives_agent_and_control(stack, source):
    with stack.relay.stopped("control") as control:
        send_bad_keys(stack, source)
        assert ask(stack, stack.key, source) == (403, "ip_banned")
        os.kill(control, signal.SIGKILL)
    wait_until("control is back", lambda: stack.relay.adm_run("status").returncode == 0)
    wait_until("control has the ban", lambda: source in bans(stack))
    old = stack.relay.pid_of("agent")
    os.kill(old, signal.SIGKILL)
    wait_until("another agent", lambda: stack.relay.pid_of("agent") not in (0, old))
    wait_until("the agent answers", lambda: ask(stack, stack.key, "198.18.0.67") == (200, None))
    assert ask(stack, stack.key, source) == (403, "ip_banned")
    assert list(bans(stack)) == [source]
    stack.relay.adm("bans", "del", source)


def test_a_ban_of_the_operator_is_in_force_at_once_and_ends_by_itself(stack, source):
    network = source.replace(".66", ".64/26")
    stack.relay.adm("bans", "add", network, "--reason", "scanner")
    assert ask(stack, stack.key, source) == (403, "ip_banned")
    again = stack.relay.adm_run("bans", "add", network)
    assert again.returncode == 1 and f"{network} is banned already" in again.stderr
    stack.relay.adm("bans", "del", network)
    assert ask(stack, stack.key, source) == (200, None)
    gone = stack.relay.adm_run("bans", "del", network)
    assert gone.returncode == 1 and "is not banned" in gone.stderr
    begin = time.monotonic()
    stack.relay.adm("bans", "add", source, "--for", "2s")
    assert ask(stack, stack.key, source) == (403, "ip_banned")
    wait_until("the ban has ended", lambda: ask(stack, stack.key, source) == (200, None))
    assert time.monotonic() - begin >= 1.9
    assert bans(stack) == {}


def test_switches_of_the_site(stack):
    adm = stack.relay.adm
    adm("tenants", "add", "mine", "--pool", "demo", "--own", "on")
    mine = stack.relay.issue("mine")
    assert adm("site", "show") == {"enabled": True, "self_use": False}
    adm("site", "self-use", "on")
    assert ask(stack, stack.key) == (503, "site_disabled")
    assert ask(stack, mine) == (200, None)
    adm("site", "disable")
    assert ask(stack, mine) == (503, "site_disabled")
    assert stack.get("/relay/health").status == 503
    adm("site", "enable")
    assert ask(stack, mine) == (200, None)
    adm("site", "self-use", "off")
    assert ask(stack, stack.key) == (200, None)
