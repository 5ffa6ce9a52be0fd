"""Token refresh as the identity provider sees it: each token is used once, no login is lost without need, no loops."""
import concurrent.futures
import json
import os
import signal
import time

import pytest

from identity import FAST, Logins, claims, credential_of
from relay import ANY, VERSIONS, Refused, wait_until

# Delay of a late reply in seconds; real providers need up to 120.
DELAY = float(os.environ.get("RELAY_REFRESH_DELAY", "10"))
# After an unknown outcome the same token is sent again after 1, 3 and 8 s; then the outcome is known within a few more.
SETTLED = 60
SHORT = {"first_lifetime": 4, "lifetime": 3600}  # one early refresh, and then none for a long time


@pytest.fixture
def logins(fresh):
    made = []

    def make(version=ANY, extra=FAST):
        made.append(Logins(fresh(version, extra=extra)))
        made[-1].upstream()
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.idp.stop()


def renewed(logins, name):
    """True if the stored access token is a long one, from a refresh."""
    if logins.get(name).status != 200 or logins.shown(name)["state"] != "ok":
        return False
    return claims(credential_of(logins.stack.upstream.requests()[-1]))["exp"] > time.time() + 600


def served(logins, name):
    """The claims of the access token that a request uses now."""
    assert logins.get(name).status == 200
    return claims(credential_of(logins.stack.upstream.requests()[-1]))


def restart_control(relay):
    pid = relay.pid_of("control")
    os.kill(pid, signal.SIGKILL)

    def is_back():
        try:
            return relay.pid_of("control") not in (0, pid)
        except Refused:
            return False
    wait_until("another control process", is_back)


@pytest.mark.takes(16)
@pytest.mark.parametrize("version", VERSIONS)
def test_renewed_without_a_pause(logins, version):
    """Through the account's egress, at 60 to 75 % of the lifetime; every request has a valid token."""
    l = logins(version)
    l.relay.adm("egress", "add", "ip-9", "--source", "127.0.0.9")
    family = l.account("a", "--egress", "ip-9", lifetime=7)
    before = (l.stack.dir / "a.auth.json").stat()
    statuses = set()
    until = time.monotonic() + 120
    while l.idp.state()["families"][family]["tokens"] < 4 and time.monotonic() < until:
        began = time.time()
        statuses.add(l.get("a").status)
        row = l.stack.upstream.requests(-1)[0]
        assert claims(credential_of(row))["exp"] > began and row["source_ip"] == "127.0.0.9"
    assert statuses == {200}
    uses = l.idp.ended(family)
    assert len(uses) >= 3 and {u["outcome"] for u in uses} == {"granted"} and all(u["delivered"] for u in uses)
    assert {u["source_ip"] for u in uses} == {"127.0.0.9"}
    assert {u["client_id"] for u in uses} == {"app-codex"}
    for earlier, later in zip(uses, uses[1:]):
        assert 3.5 <= later["time"] - earlier["time"] <= 7
    assert l.idp.state()["violations"] == []
    after = (l.stack.dir / "a.auth.json").stat()
    assert (after.st_mtime_ns, after.st_ino, after.st_size) == (before.st_mtime_ns, before.st_ino, before.st_size)


LOST = ["lost", "reset", "cut", "cut-chunked", "error-after", "rubbish"]


def test_a_lost_reply_within_the_grace_is_recovered(logins):
    l = logins()
    families = {kind: l.account(f"g-{kind}", "--no-reload", grace=300, **SHORT) for kind in LOST}
    for kind, family in families.items():
        l.idp.faults(family, kind)
    l.relay.adm("haproxy", "reload")
    for kind, family in families.items():
        wait_until(f"{kind}: it is renewed", lambda: renewed(l, f"g-{kind}"), SETTLED)
        uses = l.idp.ended(family)
        assert [u["outcome"] for u in uses] == ["granted", "again"], kind
        assert 0.8 <= uses[1]["time"] - uses[0]["ended_at"] <= 10, kind
    assert l.notices() == {} and l.idp.state()["violations"] == []


@pytest.mark.takes(20)
def test_a_lost_reply_without_grace_needs_a_login(logins):
    l = logins()
    families = {kind: l.account(f"n-{kind}", "--no-reload", **SHORT) for kind in LOST}
    for kind, family in families.items():
        l.idp.faults(family, kind)
    l.relay.adm("haproxy", "reload")
    for kind, family in families.items():
        wait_until(f"{kind}: it needs a login", lambda: l.needs_login(f"n-{kind}"), SETTLED)
    restart_control(l.relay)
    quiet_until = time.monotonic() + 10
    while time.monotonic() < quiet_until:
        for kind, family in families.items():
            assert l.idp.outcomes(family) == ["granted", "reused"], kind
        time.sleep(1)
    for kind in LOST:
        notice, = l.notices()[f"n-{kind}"]
        assert notice["count"] == 1 and "rt." not in json.dumps(notice)
        assert l.needs_login(f"n-{kind}")
        assert l.get(f"n-{kind}").status == 503
    status = l.relay.adm("status")
    assert f"n-{LOST[0]}" in json.dumps(status)


def test_a_new_login_ends_it(logins):
    l = logins()
    l.idp.faults(l.account("a", **SHORT), "lost")
    wait_until("it needs a login", lambda: l.needs_login("a"), SETTLED)
    family, auth = l.idp.family(client_id="app-codex", lifetime=3600)
    l.relay.adm("accounts", "set", "a", "--auth-json", str(l.file("a", auth)))
    wait_until("it serves again", lambda: l.get("a").status == 200)
    assert served(l, "a")["sub"] == family
    assert l.shown("a")["state"] == "ok"
    wait_until("the notice is gone", lambda: "a" not in l.notices())


@pytest.mark.takes(10)
def test_errors_before_the_exchange_cost_nothing(logins):
    l = logins()
    family = l.account("a", **SHORT)
    l.idp.faults(family, "error-before", "error-before")
    wait_until("it is renewed", lambda: renewed(l, "a"), SETTLED)
    assert l.idp.outcomes(family) == ["not tried", "not tried", "granted"]
    assert l.notices() == {}


@pytest.mark.takes(20)
def test_a_provider_that_is_away_costs_nothing(logins):
    """For longer than the repetitions after an unknown outcome: the token was never sent."""
    l = logins()
    family = l.account("a", first_lifetime=4, lifetime=3600)
    l.idp.ask("POST", "/off", seconds=13)
    wait_until("it is renewed", lambda: l.idp.uses(family) and renewed(l, "a"), 90, step=0.2)
    assert l.idp.outcomes(family) == ["granted"] and l.notices() == {}
    count = {r: l.relay.metric(f'relay_token_refresh_total{{result="{r}"}}') for r in ("success", "not_sent", "unknown")}
    assert count["success"] == 1 and count["not_sent"] >= 2 and count["unknown"] == 0


LATE = ["late-before", "late-after", "slow"]


@pytest.mark.takes(16)
def test_a_late_reply_is_waited_for(logins):
    """Each account has another client id, because refreshes of one client id run one at a time. Requests continue."""
    l = logins()
    families = {}
    for kind in LATE:
        l.upstream(kind, "--no-reload")
        families[kind] = l.account(f"w-{kind}", "--no-reload", upstream=kind, lifetime=3600)
        l.idp.faults(families[kind], kind, seconds=DELAY)
    l.relay.adm("haproxy", "reload")
    for kind in LATE:
        l.relay.adm("accounts", "refresh", f"w-{kind}")
    until = time.monotonic() + 5 * DELAY
    while not all(l.idp.ended(family) for family in families.values()):
        assert {l.get(f"w-{kind}").status for kind in LATE} == {200} and time.monotonic() < until
    for kind, family in families.items():
        wait_until("it is renewed", lambda: served(l, f"w-{kind}")["n"] == 1)
        use, = l.idp.ended(family)
        assert use["outcome"] == "granted" and use["delivered"] and use["ended_at"] - use["time"] >= 0.9 * DELAY
    assert l.idp.state()["violations"] == []


def test_control_killed_while_a_reply_is_on_its_way(logins):
    """With a grace the same token brings the same reply; the intent on disk names this token."""
    l = logins()
    family = l.account("a", grace=300, **SHORT)
    l.idp.faults(family, "late-after", seconds=3)
    wait_until("the token is used", lambda: l.idp.uses(family))
    restart_control(l.relay)
    wait_until("it is renewed", lambda: renewed(l, "a"), SETTLED)
    assert l.idp.outcomes(family) == ["granted", "again"] and l.notices() == {}


def test_a_refusal_is_final_and_asked_for_once(logins):
    l = logins()
    families = {errors: l.account(f"r-{errors}", errors=errors, **SHORT) for errors in ("codex", "rfc")}
    for family in families.values():
        l.idp.ask("POST", "/revoke", family=family)
    for errors in families:
        wait_until("it needs a login", lambda: l.needs_login(f"r-{errors}"), SETTLED)
    for family in families.values():
        assert l.idp.outcomes(family) == ["revoked"]


def test_a_refusal_of_a_token_that_was_replaced_meanwhile(logins):
    """The credentials are read again before an account is given up."""
    l = logins()
    family = l.account("a", **SHORT)
    l.idp.faults(family, "refused-before", seconds=4)
    wait_until("the token is used", lambda: l.idp.uses(family))
    l.relay.adm("accounts", "set", "a", "--auth-json", str(l.file("a", l.idp.rotate(family))))
    assert not l.idp.ended(family), "the refusal must come after the new tokens"
    wait_until("the refusal is out", lambda: l.idp.ended(family))
    restart_control(l.relay)  # after the restart, control has certainly read the stored credentials
    assert served(l, "a")["n"] == 1 and l.shown("a")["state"] == "ok" and l.notices() == {}
    assert l.idp.state()["violations"] == []


@pytest.mark.takes(13)
def test_a_reply_without_a_refresh_token_keeps_the_old_one(logins):
    l = logins()
    family = l.account("a", lifetime=5, rotates=False)
    wait_until("three refreshes", lambda: len(l.idp.ended(family)) >= 3, 60)
    assert set(l.idp.outcomes(family)) == {"granted"} and l.shown("a")["state"] == "ok"


@pytest.mark.takes(13)
def test_refreshed_while_suspended_and_while_cooling(logins):
    l = logins()
    families = {name: l.account(name, lifetime=5) for name in ("suspended", "cooling")}
    l.relay.adm("accounts", "suspend", "suspended")
    l.relay.adm("upstreams", "set", l.shown("cooling")["upstream"], "--probe", "/status?code=403")
    assert l.get("cooling", "/status?code=403").status == 403
    wait_until("its probe was refused", lambda: l.shown("cooling")["state"] == "cooling")
    assert {l.get(name).status for name in families} == {503}
    for name, family in families.items():
        seen = len(l.idp.uses(family))
        wait_until(f"{name} is refreshed", lambda: len(l.idp.ended(family)) >= seen + 2)
        assert set(l.idp.outcomes(family)) == {"granted"} and l.get(name).status == 503
    assert l.shown("suspended")["state"] == "suspended"
    l.relay.adm("accounts", "resume", "suspended")
    wait_until("it serves with a token of now", lambda: l.get("suspended").status == 200)


def test_refreshed_at_once_when_the_upstream_refuses_the_token(logins):
    l = logins()
    family = l.account("a", lifetime=3600)
    assert l.get("a").status == 200 and l.idp.uses(family) == []
    # no success in between: that would show that the request was at fault
    l.get("a", "/status?code=401")
    wait_until("it is renewed", lambda: l.idp.outcomes(family) == ["granted"])
    wait_until("it serves", lambda: served_number(l, "a") == 1)


def served_number(logins, name):
    """The number of the token that a request uses; None while no request is admitted."""
    if logins.get(name).status != 200:
        return None
    return claims(credential_of(logins.stack.upstream.requests()[-1]))["n"]


def test_a_refresh_is_told_when_requests_use_its_token(logins):
    """Not when the token is stored: the agent may not have it yet."""
    l = logins()
    l.account("a", lifetime=3600)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with l.relay.stopped("agent"):
            asked = pool.submit(l.relay.adm, "accounts", "refresh", "a", "--wait")
            wait_until("the token is renewed", lambda: l.idp.state()["uses"])
            time.sleep(0.5)
            assert not asked.done()
        assert asked.result()["refresh"] == "renewed"
    assert served_number(l, "a") == 1


def test_refreshed_when_asked(logins):
    l = logins()
    family = l.account("a", lifetime=3600)
    l.relay.adm("accounts", "refresh", "a")
    wait_until("it is renewed", lambda: served_number(l, "a") == 1)
    assert l.idp.outcomes(family) == ["granted"]
    l.stack.account("static", "codex", "sk-static")
    with pytest.raises(Refused) as refused:
        l.relay.adm("accounts", "refresh", "static")
    assert refused.value.code == 1 and "refresh" in refused.value.stderr


@pytest.mark.takes(17)
def test_tokens_that_are_expired_on_arrival(logins):
    """A wrong clock somewhere: more frequent refreshes do not help."""
    l = logins()
    family = l.account("a", first_lifetime=4, lifetime=-60)
    wait_until("the token is used", lambda: l.idp.uses(family))
    time.sleep(12)  # long enough to show a loop
    assert 1 <= len(l.idp.uses(family)) <= 3
    assert set(l.idp.outcomes(family)) == {"granted"} and l.idp.state()["violations"] == []


@pytest.mark.takes(10)
def test_serialised_for_each_client_id(logins):
    """Accounts that are due together are not refreshed together."""
    l = logins(extra="[health]\nrefresh_pause = 1s\n")
    families = [l.account(f"a{n}", "--no-reload", **SHORT) for n in range(5)]
    l.relay.adm("haproxy", "reload")
    wait_until("all are refreshed", lambda: all(l.idp.ended(f) for f in families), 60)
    uses = sorted((u for f in families for u in l.idp.uses(f)), key=lambda u: u["time"])
    assert len(uses) == 5
    for earlier, later in zip(uses, uses[1:]):
        assert later["time"] - earlier["ended_at"] >= 0 and later["time"] - earlier["time"] >= 0.95


# --- watched files: the owner refreshes them ---

def watched(logins, name, **wishes):
    family, auth = logins.idp.family(client_id="app-codex", **wishes)
    path = logins.file(name, auth)
    logins.relay.adm("accounts", "add", name, "--upstream", "codex", "--auth-json", str(path), "--watch")
    logins.relay.adm("accounts", "set", name, "--rpm", "0", "--rph", "0", "--concurrency", "0",
                     "--max-consecutive", "0")
    logins.relay.adm("pools", "set", name, name)
    logins.keys[name] = logins.relay.issue("demo", "--pool", name)
    return family, path


@pytest.mark.takes(12)
def test_a_watched_file_is_its_owners(logins):
    l = logins()
    family, path = watched(l, "w", lifetime=5)
    assert served(l, "w")["n"] == 0
    wait_until("its token has run out", lambda: l.get("w").status == 503)
    newer = l.idp.rotate(family)
    l.file("w", newer)
    written = path.stat()
    wait_until("the newer tokens serve", lambda: served_number(l, "w") == 1)
    wait_until("these have run out, too", lambda: l.get("w").status == 503)
    l.relay.adm_run("accounts", "refresh", "w")
    l.get("w", "/status?code=401")
    assert l.idp.uses(family) == []
    after = path.stat()
    assert (after.st_mtime_ns, after.st_ino) == (written.st_mtime_ns, written.st_ino)
    assert json.loads(path.read_text()) == newer


def test_a_watched_file_with_older_or_broken_contents(logins):
    l = logins()
    family, path = watched(l, "w", lifetime=600)
    older = json.loads(path.read_text())
    time.sleep(1.1)  # times in tokens are whole seconds
    newer = l.idp.rotate(family)
    l.file("w", newer)
    wait_until("the newer tokens serve", lambda: served_number(l, "w") == 1)
    l.file("w", older)
    path.write_text(path.read_text()[:100])
    path.write_text(json.dumps(l.idp.rotate(family)))  # in place, as an editor does
    wait_until("what is newer still serves", lambda: served_number(l, "w") == 2)
    l.file("w", older)
    path.unlink()
    restart_control(l.relay)
    assert served(l, "w")["n"] == 2 and l.idp.uses(family) == []
