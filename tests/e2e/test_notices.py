"""Notices, suspensions, resets and egress ownership, as an operator sees and handles them."""
import json
import os
import signal
import subprocess

import pytest

from failures import FailingStack
from relay import ANY, BUILD, reason, wait_until

SUSPENDED_AFTER = 4  # refused probes in a row


@pytest.fixture(scope="module")
def site():
    s = FailingStack(ANY)
    try:
        yield s.start()
    finally:
        s.stop()


def human(s, *words):
    run = subprocess.run([BUILD / "relayadm", "--socket", s.relay.socket, *words], capture_output=True, text=True,
                         timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


def notices(s, *options):
    return s.relay.adm("notices", "list", *options)["items"]


def be_refused(pool, token):
    """A refused request asks for a probe, and its refusal starts the cool-down."""
    pool.failing.set(token, 403)
    assert pool.post().status == 403
    pool.wait_for(token, "cooling")


def be_suspended(pool, token):
    """During the cool-down only probes use the account; those of the operator at once."""
    be_refused(pool, token)
    for _ in range(SUSPENDED_AFTER - 1):
        pool.s.relay.adm_run("accounts", "check", pool.account_of(token))
    return wait_until("control has it", lambda: (a := pool.show(token))["suspended"] and a)


def test_an_account_that_is_refused_again_and_again_is_suspended_until_it_is_resumed(site):
    pool = site.pool("banned", 1)
    account, token = pool.accounts[0], pool.tokens[0]
    opened = site.relay.metric('relay_notices_total{kind="account_suspended"}')
    shown = be_suspended(pool, token)
    assert shown["state"] == "suspended"
    assert shown["suspend_reason"] == "4 probes in a row were refused, the last one: denied"
    assert shown["results"]["denied"] == 1 + SUSPENDED_AFTER and shown["last_used_at"]
    [notice] = [n for n in notices(site) if n["subject"] == f"account/{account}"]
    assert (notice["kind"], notice["count"], notice["message"]) == ("account_suspended", 1, shown["suspend_reason"])
    status = site.relay.adm("status")
    assert status["notices_open"] == len(status["notices"]) == 1
    assert site.relay.metric("relay_notices_open") == 1
    assert site.relay.metric('relay_notices_total{kind="account_suspended"}') == opened + 1
    assert site.relay.process.text().count(f'"subject":"account/{account}"') == 1
    # suspension and notice survive the death of either process
    for role in ("control", "agent"):
        old = site.relay.pid_of(role)
        os.kill(old, signal.SIGKILL)
        wait_until(f"another {role}", lambda: site.relay.adm_run("status").returncode == 0
                   and site.relay.pid_of(role) not in (0, old), 15)
    wait_until("the agent decides", lambda: pool.post().code == "no_account")
    assert pool.show(token)["state"] == "suspended" and len(notices(site)) == 1
    pool.failing.calm()
    site.relay.adm("accounts", "resume", account)
    assert pool.post().status == 200
    shown = pool.show(token)
    assert (shown["state"], shown["suspended"], shown["suspend_reason"]) == ("ok", False, None)
    assert notices(site) == [] and notices(site, "--all")[0]["acked_at"]


def test_a_notice_is_acknowledged_and_its_cause_stays(site):
    pool = site.pool("seen", 1)
    be_suspended(pool, pool.tokens[0])
    [notice] = notices(site)
    answer = site.relay.adm("notices", "ack", str(notice["id"]))
    assert answer["acked_at"] and answer["haproxy"] == "unchanged"
    assert notices(site) == [] and site.relay.adm("status")["notices_open"] == 0
    assert pool.show(pool.tokens[0])["state"] == "suspended"
    assert site.relay.adm("notices", "ack", str(notice["id"]))["acked_at"] == answer["acked_at"]
    pool.failing.calm()
    site.relay.adm("accounts", "resume", pool.accounts[0])


def test_a_key_that_is_refused_is_a_notice_until_there_is_another(site):
    pool = site.pool("revoked", 1)
    account, token = pool.accounts[0], pool.tokens[0]
    pool.failing.set(token, 401)
    assert pool.post().status == 401
    [notice] = wait_until("there is a notice", lambda: notices(site))
    assert (notice["kind"], notice["subject"]) == ("account_invalid", f"account/{account}")
    assert pool.show(token)["state"] == "cooling"
    site.relay.adm("accounts", "set", account, "--token-stdin", stdin="token-of-tomorrow")
    wait_until("nothing is open", lambda: notices(site) == [])
    assert pool.post().status == 200
    pool.failing.calm()


def test_reset_forgets_what_is_held_against_an_account(site):
    pool = site.pool("reset", 1)
    be_refused(pool, pool.tokens[0])
    shown = pool.show(pool.tokens[0])
    assert shown["until"] and 240 < shown["until_s"] <= 300
    assert "cooling" in human(site, "accounts", "list")
    pool.failing.calm()
    site.relay.adm("accounts", "reset", pool.accounts[0])
    shown = pool.show(pool.tokens[0])
    assert (shown["state"], shown["until"]) == ("ok", None)
    assert pool.post().status == 200


def test_all_of_high_risk_are_suspended_at_once(site):
    """Risk comes from use: one of the two has used most of its limit."""
    pool = site.pool("risky", 2, options=[("--rpm", "0", "--rph", "20")] * 2)
    busy, other = pool.accounts
    site.relay.adm("accounts", "suspend", other)
    assert [pool.post().status for _ in range(15)] == [200] * 15
    site.relay.adm("accounts", "resume", other)
    risk = site.relay.adm("accounts", "show", busy)["risk"]
    assert 0 < risk <= 1 and site.relay.adm("accounts", "show", other)["risk"] < risk
    bound = f"{risk * 0.9:.3f}"
    answer = site.relay.adm("accounts", "suspend", "--risk-above", bound)
    assert [a["name"] for a in answer["items"]] == [busy] and answer["haproxy"] == "unchanged"
    assert answer["items"][0]["state"] == "suspended"
    assert answer["items"][0]["suspend_reason"] == f"risk {risk:.3g} is above {float(bound):.3g}"
    assert pool.post().status == 200
    assert site.relay.adm("accounts", "suspend", "--risk-above", bound)["items"] == []
    assert human(site, "accounts", "suspend", "--risk-above", "1").split() == [
        "SUSPENDED", "UPSTREAM", "RISK", "REASON"]
    site.relay.adm("accounts", "resume", busy)
    site.relay.adm("accounts", "suspend", "--risk-above", bound, "--reason", "too hot")
    assert site.relay.adm("accounts", "show", busy)["suspend_reason"] == "too hot"


def test_an_egress_belongs_to_one_account(site):
    adm = site.relay.adm
    adm("egress", "add", "own", "--source", "127.0.0.41", "--no-reload")
    site.account("first", "openai", "token-first", "--egress", "own", "--no-reload")
    refused = site.relay.adm_run("accounts", "add", "second", "--upstream", "openai", "--token-stdin", "--egress", "own",
                                 stdin="token-second")
    assert refused.returncode == 1 and 'egress "own" belongs to account "first"' in reason(refused.stderr)
    assert "second" not in [a["name"] for a in adm("accounts", "list")["items"]]
    adm("egress", "set", "own", "--shared", "on", "--no-reload")
    site.account("second", "openai", "token-second", "--egress", "own", "--no-reload")
    refused = site.relay.adm_run("egress", "set", "own", "--shared", "off")
    assert refused.returncode == 1 and "first, second" in refused.stderr
    document = adm("export")
    for egress in document["egress"]:
        if egress["name"] == "own":
            egress["shared"] = False
    path = site.dir / "document.json"
    path.write_text(json.dumps(document))
    refused = site.relay.adm_run("apply", path)
    assert refused.returncode == 1 and "egress own" in refused.stderr, refused
    assert next(e for e in adm("egress", "list")["items"] if e["name"] == "own")["shared"] is True
    adm("accounts", "del", "second")
    adm("egress", "set", "own", "--shared", "off")


def test_a_gauge_that_is_not_read_any_more_is_a_warning(site):
    """The agent reads HAProxy's gauge; a stopped agent reads nothing."""
    wait_until("the gauge is read", lambda: site.relay.adm("status")["haproxy"]["gauge_age_s"] is not None)
    def told():
        return [w["message"] for w in site.relay.adm("status")["warnings"] if w["code"] == "gauge_old"]

    assert told() == []
    with site.relay.stopped("agent"):
        [warning] = wait_until("there is a warning", told)
        assert warning.startswith("HAProxy's gauge was last read 1")
        assert warning.split(" was last read ")[0] in human(site, "status").splitlines()[0]
    wait_until("it is read again", lambda: told() == [])
