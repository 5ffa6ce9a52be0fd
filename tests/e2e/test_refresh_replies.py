"""Odd replies of the token host (tests/demo/replies.py): no refresh token that was in a reply is lost, and no account ends
without a word."""
import concurrent.futures
import sqlite3
import sys

import pytest

from identity import FAST, Logins
from relay import ANY, ROOT, VERSIONS, wait_until

sys.path.insert(0, str(ROOT / "tests/demo"))
import replies  # noqa: E402

THREADS = 4
SOME = ("access-long", "id-long", "gzip", "br", "chunked", "no-length", "created", "forbidden", "rejected")
# The access token of the reply cannot be used: the relay renews it with the new refresh token by itself.
NO_ACCESS = {"no-access-token", *(kind for kind in replies.KEPT if kind.startswith("access-"))} - {
    "access-opaque", "access-blanks"}
WORDS = {"access-long": "5000 bytes long; at most 4096", "access-number": "not a valid string",
         "no-access-token": "access_token is missing"}


@pytest.fixture
def logins(fresh):
    made = []

    def make(version=ANY):
        made.append(Logins(fresh(version, extra=FAST)))
        made[-1].upstream()
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.idp.stop()


def refresh(l, name):
    """True if the refresh succeeded."""
    return l.relay.adm_run("accounts", "refresh", name, "--wait").returncode == 0


def all_notices(l, name):
    return [n for n in l.relay.adm("notices", "list")["items"] if n["subject"] == f"account/{name}"]


def ends_with_a_login(l, kind, family):
    assert not refresh(l, kind)
    assert l.needs_login(kind), kind
    notice, = all_notices(l, kind)
    assert "log in again" in notice["message"] and ("invalid_grant" in notice["message"] or
                                                    "refresh_token_expired" in notice["message"])
    assert not refresh(l, kind) and len(l.idp.uses(family)) == 1, "a rejected token is not sent again"


def survives(l, kind, family):
    """After the odd reply, and a second time, the relay uses the token that the host considers current."""
    good = refresh(l, kind)
    assert good == (kind not in NO_ACCESS and kind not in replies.UNREADABLE and kind not in replies.REFUSED), kind
    if kind in NO_ACCESS:
        wait_until(f"{kind}: it is renewed", lambda: len(l.idp.ended(family)) == 2)
    wait_until(f"{kind}: a refresh succeeds", lambda: refresh(l, kind))
    assert refresh(l, kind) and l.get(kind).status == 200 and l.shown(kind)["state"] == "ok", kind
    uses = l.idp.uses(family)
    assert uses[0]["fault"] == kind and {u["outcome"] for u in uses[1:]} <= {"granted", "again"}, (kind, uses)
    assert all_notices(l, kind) == [], kind


@pytest.mark.takes(30)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_token_in_a_reply_is_never_lost(logins, version):
    l = logins(version)
    kinds = list(replies.KINDS if version == ANY else SOME)
    assert len(kinds) >= 50 or version != ANY

    # Refreshes of one client id run one after the other, those on request first.
    for n in range(2 * THREADS):
        l.upstream(f"u{n}", "--no-reload")

    def prepare(kind):
        family = l.account(kind, "--no-reload", upstream=f"u{kinds.index(kind) % (2 * THREADS)}", lifetime=36000,
                           grace=300 if kind in replies.UNREADABLE else 0)
        l.idp.faults(family, kind)
        return family

    def run(kind):
        (ends_with_a_login if kind in replies.ENDED else survives)(l, kind, families[kind])
        return kind

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        families = dict(zip(kinds, pool.map(prepare, kinds)))
        l.relay.adm("haproxy", "reload")
        assert list(pool.map(run, kinds)) == kinds
    assert l.idp.state()["violations"] == []


@pytest.mark.takes(25)
def test_a_notice_says_why_a_reply_is_of_no_use(logins):
    l = logins()
    for kind, words in WORDS.items():
        family = l.account(kind, lifetime=36000)
        l.idp.faults(family, *[kind] * 3)
        assert not refresh(l, kind)
        notice = wait_until("a notice", lambda: all_notices(l, kind))[0]
        assert notice["kind"] == "refresh_failing" and words in notice["message"]
        # With pauses of 1, 2 and 4 s, and each time with the newest token.
        wait_until(f"{kind}: it is renewed", lambda: len(l.idp.ended(family)) == 4)
        uses = l.idp.ended(family)
        for pause, (earlier, later) in zip((1, 2, 4), zip(uses, uses[1:])):
            assert later["time"] - earlier["ended_at"] >= 0.9 * pause
        assert [u["token"] for u in uses] == [0, 1, 2, 3]
        wait_until("the notice is gone", lambda: not all_notices(l, kind))
    assert l.idp.state()["violations"] == []


def age_refusals(relay):
    """The refusals have lasted for almost a day."""
    db = sqlite3.connect(relay.dir / "state" / "relay.db", timeout=30)
    with db:
        assert db.execute("UPDATE refresh_refusals SET lasted_ms = 86399999, last_ms = last_ms - 60000").rowcount == 1
    db.close()


def test_endless_refusals_need_a_login(logins):
    l = logins()
    family = l.account("a", lifetime=36000)
    l.idp.faults(family, *["client"] * 4)
    for _ in range(2):
        assert not refresh(l, "a") and l.shown("a")["state"] == "ok"
    age_refusals(l.relay)
    l.relay.stop()
    l.relay.start()
    assert not refresh(l, "a") and l.needs_login("a")
    notice, = all_notices(l, "a")
    assert "invalid_client" in notice["message"] and "since" in notice["message"]
    assert l.shown("a")["needs_login"] == "invalid_client" and l.get("a").status == 503
    # The token is not used up: a refresh on request may succeed once the cause is gone.
    assert not refresh(l, "a") and l.needs_login("a")
    l.idp.faults(family)
    assert refresh(l, "a") and l.shown("a")["state"] == "ok" and l.get("a").status == 200
    assert all_notices(l, "a") == [] and l.idp.state()["violations"] == []


def test_an_auth_json_with_nothing_but_a_refresh_token(logins):
    """Its other fields are renewed at once; an opaque access token is, by the age of the file."""
    l = logins()
    changes = {"opaque": {"access_token": "opaque"}, "missing": {"access_token": None}, "number": {"access_token": 7},
               "long": {"access_token": "a" * 5000}, "id": {"id_token": {"x": 1}, "access_token": "x y"}}
    for name, change in changes.items():
        family, auth = l.idp.family(client_id="app-codex", lifetime=36000)
        auth["tokens"].update(change)
        l.relay.adm("accounts", "add", name, "--upstream", "codex", "--auth-json", str(l.file(name, auth)))
        wait_until(f"{name}: it is renewed", lambda: l.idp.ended(family))
        l.relay.adm("pools", "set", name, name)
        l.keys[name] = l.relay.issue("demo", "--pool", name)
        wait_until("it serves", lambda: l.get(name).status == 200)
        assert l.idp.outcomes(family) == ["granted"]
