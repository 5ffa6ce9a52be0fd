"""Hundreds of refreshes of every kind of login with network faults while control is killed, checked against the
identity provider's book. RELAY_REFRESHES sets the number; RELAY_SEED repeats faults and moments of a run."""
import collections
import os
import random
import signal
import threading
import time

import pytest

from identity import KINDS, UNLIMITED, Logins, claims, credential_of
from relay import Refused, wait_until

REFRESHES = int(os.environ.get("RELAY_REFRESHES", "500"))
SEED = int(os.environ.get("RELAY_SEED", random.randrange(1 << 30)))
UPSTREAMS, EACH = 10, 5
LIFETIME = 6
GRACE = 300
FAULTS = {"lost": 0.02, "reset": 0.01, "cut": 0.015, "cut-chunked": 0.015, "error-before": 0.03, "error-after": 0.015,
          "late-before": 0.02, "late-after": 0.02, "rubbish": 0.01, "slow": 0.02, "off": 0.003}
# Longest times on a busy machine: from the last byte of a reply on the wire until it is on disk, and from sending a
# token (which continues without the sender) until it arrives.
TO_DISK, ON_THE_WAY = 0.5, 0.5
# The first use, repetitions after 1, 3 and 8 s, and two more for answers that prove no use.
USES_MAX = 6


def patiently(act):
    """Repeats a command while control is down."""
    def once():
        try:
            return [act()]
        except (Refused, ValueError):
            return None
    return wait_until("control takes the command", once)[0]


def upstream_of(account):
    return "u" + account[1:].split("-")[0]


def kind_of(upstream):
    return list(KINDS)[int(upstream[1:]) % len(KINDS)]


class Killer(threading.Thread):
    """Kills control at random moments, and as often right after a token was used."""

    def __init__(self, logins):
        super().__init__()
        self.logins, self.random, self.on = logins, random.Random(SEED), True
        self.times = []

    def run(self):
        while self.on:
            pid = patiently(lambda: self.logins.relay.pid_of("control"))
            time.sleep(self.random.uniform(0.3, 2.5))
            if self.random.random() < 0.6:
                self.wait_for_a_use()
            if self.on and pid:
                self.times.append(time.time())
                os.kill(pid, signal.SIGKILL)
                wait_until("another control process", lambda: self.another(pid))

    def another(self, pid):
        try:
            return self.logins.relay.pid_of("control") not in (0, pid)
        except Refused:
            return False

    def wait_for_a_use(self):
        before = self.logins.idp.ask("GET", "/count")["uses"]
        until = time.monotonic() + 2
        while self.logins.idp.ask("GET", "/count")["uses"] == before and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(self.random.choice((0, 0.001, 0.003, 0.01, 0.03, 0.1)))

    def between(self, since, until):
        return [t for t in self.times if since <= t <= until]


class Clients(threading.Thread):
    """Requests without a pause; no request leaves with an expired token."""

    def __init__(self, logins):
        super().__init__()
        self.logins, self.on = logins, True
        self.statuses = collections.Counter()
        self.expired = []

    def run(self):
        upstream = self.logins.stack.upstream
        while self.on:
            for name in list(self.logins.keys):
                self.statuses[self.logins.get(name).status] += 1
                time.sleep(0.02)
            self.look(upstream.requests())
            upstream.clear()

    def look(self, rows):
        for row in rows:
            late = time.time() - (time.monotonic() - row["time"]) \
                - claims(credential_of(row))["exp"]
            if late > 0.5:
                self.expired.append(late)


class Fleet:
    """Accounts and their successive families."""

    def __init__(self, logins):
        self.logins, self.relay, self.idp = logins, logins.relay, logins.idp
        self.families, self.lost = {}, []

    def add(self):
        for u in range(UPSTREAMS):
            self.logins.upstream(f"u{u}", "--no-reload", provider=KINDS[kind_of(f"u{u}")][0])
            names = [f"a{u}-{n}" for n in range(EACH)]
            for name in names:
                self.relay.adm("accounts", "add", name, "--upstream", f"u{u}", *self.login(name), *UNLIMITED,
                               "--no-reload")
            self.relay.adm("pools", "set", f"u{u}", *names)
            self.logins.keys[f"u{u}"] = self.relay.issue("demo", "--pool", f"u{u}")
        self.relay.adm("haproxy", "reload")

    def login(self, name):
        """Every other account's provider has a grace. The first token lives until all accounts exist."""
        grace = GRACE if int(name.rsplit("-", 1)[1]) % 2 else 0
        self.families[name], options = self.logins.login(
            name, kind_of(upstream_of(name)), f"app-{upstream_of(name)}", grace=grace, lifetime=LIFETIME,
            first_lifetime=LIFETIME * 3)
        return options

    def accounts(self):
        items = patiently(lambda: self.relay.adm("accounts", "list"))["items"]
        return {item["name"]: item for item in items if item["name"] in self.families}

    def log_in_again(self):
        """Handles a notice as an operator does."""
        for name, account in self.accounts().items():
            if account["state"] != "needs_login":
                continue
            assert name in patiently(self.logins.notices), f"{name} is lost without a notice"
            self.lost.append((name, self.families[name]))
            login = self.login(name)
            patiently(lambda: self.relay.adm("accounts", "set", name, *login))

    def granted(self):
        """{kind: refreshes}"""
        of_family = {family: kind_of(upstream_of(name)) for name, family in self.families.items()}
        of_family |= {family: kind_of(upstream_of(name)) for name, family in self.lost}
        return collections.Counter(of_family[use["family"]] for use in self.idp.state()["uses"]
                                   if use["outcome"] == "granted" and use["family"] in of_family)

    def unsettled(self):
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        return [(name, a["state"], a["credential_expires_at"]) for name, a in self.accounts().items()
                if a["state"] != "needs_login" and (a["state"] != "ok" or a["credential_expires_at"] <= now)]


class Judge:
    def __init__(self, state, killer):
        self.families, self.uses, self.killer = state["families"], state["uses"], killer
        self.violations = state["violations"]
        self.by_token = collections.defaultdict(list)
        for use in self.uses:
            self.by_token[use["family"], use["token"]].append(use)

    def killed_during(self, use):
        """Control died between sending the token and storing the reply."""
        return self.killer.between(use["time"] - ON_THE_WAY, (use["ended_at"] or time.time()) + TO_DISK)

    def repeated(self):
        """([unexcused second uses of settled tokens], [seconds from a reply to the death that excuses one])."""
        bad, gaps = [], []
        for v in self.violations:
            first, again = self.uses[v["first"]], self.uses[v["n"]]
            deaths = [t for t in self.killed_during(first) if t <= again["time"]]
            if deaths:
                gaps.append(round(deaths[0] - (first["ended_at"] or deaths[0]), 3))
            else:
                near = [round(t - first["time"], 3) for t in self.killer.between(first["time"] - 9, again["time"] + 1)]
                bad.append((v["kind"], "deaths after the first", near, first, again))
        return bad, sorted(gaps)

    def losses(self):
        """{family: cause} of all revoked families; "" = no valid cause."""
        found = {}
        for name, family in self.families.items():
            if family["revoked"]:
                found[name] = self.cause(name)
        return found

    def cause(self, name):
        last = next(use for use in self.uses if use["family"] == name and use["outcome"] == "reused")
        used = [use for use in self.by_token[name, last["token"]] if use["n"] < last["n"]]
        granted = [use for use in used if use["outcome"] in ("granted", "again")]
        if self.families[name]["grace"]:
            return ""
        if not any(use["delivered"] for use in granted):
            return "on the wire"
        return "control killed" if any(self.killed_during(use) for use in granted) else ""

    def too_often(self):
        found = []
        for uses in self.by_token.values():
            deaths = len(self.killer.between(uses[0]["time"], uses[-1]["time"]))
            if len(uses) > USES_MAX + deaths:
                found.append((len(uses), deaths, uses[0], uses[-1]))
        return found

    def after_the_end(self):
        """Uses of a family after its refusal was delivered."""
        ends, found = {}, []
        for use in self.uses:
            end = ends.get(use["family"])
            if end and end["ended_at"] and use["time"] > end["ended_at"] and not self.killed_during(end):
                found.append((end, use))
            if use["outcome"] in ("reused", "revoked") and use["delivered"]:
                ends.setdefault(use["family"], use)
        return found


@pytest.fixture
def logins(fresh):
    made = Logins(fresh(extra="[health]\nrefresh_pause = 50ms\n"))
    try:
        yield made
    finally:
        made.idp.stop()


def wait_for_the_last(fleet):
    """Accounts that neither serve nor need a login at the end. A token with four unknown outcomes pauses for a minute,
    unless an operator requests a refresh."""
    began, asked = time.monotonic(), set()
    while (left := fleet.unsettled()) and time.monotonic() < began + 90:
        if time.monotonic() > began + 15:
            for name in {name for name, _, _ in left} - asked:
                fleet.relay.adm_run("accounts", "refresh", name)
                asked.add(name)
        time.sleep(0.3)
    return left


def run(fleet, killer, clients):
    for thread in (killer, clients):
        thread.start()
    try:
        until = time.monotonic() + 60 + REFRESHES / 4
        while (count := fleet.idp.ask("GET", "/count"))["granted"] < REFRESHES \
                or min(fleet.granted()[kind] for kind in KINDS) < REFRESHES / len(KINDS):
            assert time.monotonic() < until, f"only {count}"
            fleet.log_in_again()
            time.sleep(0.3)
    finally:
        for thread in (killer, clients):
            thread.on = False
            thread.join()
    fleet.idp.ask("POST", "/faults", schedule={})
    left = wait_for_the_last(fleet)
    fleet.log_in_again()
    return left


def settled(logins, fleet, killer):
    """A repeated token may have been refused after the last look; its account serves until its access token expires."""
    fleet.log_in_again()
    return {family for _, family in fleet.lost} == set(Judge(logins.idp.state(), killer).losses())


@pytest.mark.takes(60)
def test_no_token_is_wasted(logins):
    print("seed", SEED)
    fleet, killer, clients = Fleet(logins), Killer(logins), Clients(logins)
    fleet.add()
    logins.idp.ask("POST", "/faults", schedule=FAULTS, seed=SEED, seconds=3)
    left = run(fleet, killer, clients)
    wait_until("each loss is known", lambda: settled(logins, fleet, killer), 60, 0.3)
    judge = Judge(logins.idp.state(), killer)
    repeated, gaps = judge.repeated()
    losses = judge.losses()
    faults = collections.Counter(use["fault"] for use in judge.uses)
    print(dict(faults), dict(collections.Counter(use["outcome"] for use in judge.uses)))
    print("refreshes", dict(fleet.granted()))
    print("kills", len(killer.times), "lost", dict(collections.Counter(losses.values())), "excused repeats", len(gaps),
          "longest gaps", gaps[-5:], "answers to clients", dict(clients.statuses))
    assert repeated == []
    assert judge.too_often() == []
    assert judge.after_the_end() == []
    assert [name for name, cause in losses.items() if not cause] == []
    assert left == [], "neither serving nor in need of a login"
    told = logins.notices("--all")
    for name, times in collections.Counter(name for name, _ in fleet.lost).items():
        assert len(told[name]) == times, name
    assert clients.expired == []
    assert killer.times and faults.keys() > {"lost", "cut"}
