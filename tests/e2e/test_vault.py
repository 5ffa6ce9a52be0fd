"""Rotation of the vault's keys: traffic and refreshes go on, and control may be killed at any moment."""
import collections
import json
import os
import random
import signal
import threading
import time

import pytest

from identity import UNLIMITED, Logins
from relay import Refused, wait_until

ACCOUNTS = 200
KILLS = int(os.environ.get("RELAY_KILLS", "20"))
SEED = int(os.environ.get("RELAY_SEED", random.randrange(1 << 30)))


@pytest.fixture
def logins(fresh):
    made = Logins(fresh(extra="[health]\nrefresh_pause = 50ms\n"))
    try:
        yield made
    finally:
        made.idp.stop()


def add_accounts(l):
    """{account: family}, all in one pool."""
    directory = l.stack.dir / "logins"
    directory.mkdir()
    families = {}
    for i in range(ACCOUNTS):
        family, auth = l.idp.family(kind="oauth", client_id="app-any", token_url=l.idp.url, grace=300, lifetime=3600)
        (directory / f"{i:03}.json").write_text(json.dumps(auth))
        families[f"v-{i:03}"] = family
    l.relay.adm("upstreams", "add", "any", "--url", l.stack.upstream.url)
    l.relay.adm("accounts", "add", "v", "--upstream", "any", "--credentials", str(directory), *UNLIMITED, settle=False)
    l.relay.adm("pools", "set", "v", *families)
    l.keys["v"] = l.relay.issue("demo", "--pool", "v")
    return families


def status(l):
    try:
        return l.relay.adm("vault", "status")
    except (Refused, ValueError):
        return None


class Traffic(threading.Thread):
    def __init__(self, logins):
        super().__init__()
        self.logins, self.on, self.statuses = logins, True, collections.Counter()

    def run(self):
        while self.on:
            self.statuses[self.logins.get("v").status] += 1
            time.sleep(0.01)


def put_key(path, text):
    os.chmod(path, 0o600)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o400)


def refresh(l, name):
    def once():
        try:
            return l.relay.adm("accounts", "refresh", name, "--wait")["refresh"] == "renewed"
        except (Refused, ValueError):
            return False
    wait_until(f"{name} is refreshed", once, 30, 0.2)


def test_a_rotation_renews_the_key_file_and_all_values(logins):
    l = logins
    add_accounts(l)
    before = status(l)
    key_file = before["key_file"]
    old = open(key_file).read()
    shown = l.relay.adm("vault", "rotate")
    assert shown["rotation"] == "none" and shown["values_left"] == 0 and shown["rotated_at"]
    assert shown["key_id"] != before["key_id"] and shown["data_key"] == before["data_key"] + 1
    assert open(key_file).read() != old and os.stat(key_file).st_mode & 0o777 == 0o400
    assert not os.path.exists(key_file + ".next")
    # a restart opens the store with the new key file
    l.relay.stop()
    l.relay.start()
    assert l.get("v").status == 200
    refresh(l, "v-000")
    kept = l.relay.adm("vault", "rotate", "--keep-key-file")
    assert kept["key_id"] == shown["key_id"] and kept["data_key"] == shown["data_key"] + 1
    # the old key file opens nothing
    l.relay.stop()
    new = open(key_file).read()
    put_key(key_file, old)
    with pytest.raises(AssertionError, match="is not the one this store was sealed with"):
        l.relay.start()
    assert l.relay.process.popen.wait() == 1
    put_key(key_file, new)
    l.relay.start()
    assert l.get("v").status == 200


@pytest.mark.takes(60)
def test_control_may_be_killed_at_any_moment(logins):
    """Also during traffic and refreshes. The next control process goes on with the rotation by itself."""
    print("seed", SEED)
    l, chance = logins, random.Random(SEED)
    families = add_accounts(l)
    first, seen = status(l), collections.Counter()
    traffic = Traffic(l)
    traffic.start()
    try:
        for n in range(KILLS):
            pid = wait_until("control runs", lambda: status(l) and l.relay.pid_of("control"))
            rotation = threading.Thread(target=lambda: l.relay.adm_run("vault", "rotate"))
            rotation.start()
            refreshed = chance.choice(list(families))
            refreshing = threading.Thread(target=lambda: l.relay.adm_run("accounts", "refresh", refreshed, "--wait"))
            refreshing.start()
            time.sleep(chance.uniform(0, 0.15) if n % 4 else chance.uniform(0, 0.03))
            os.kill(pid, signal.SIGKILL)
            rotation.join()
            refreshing.join()
            now = wait_until("control is back", lambda: l.relay.pid_of("control") not in (0, pid) and status(l)
                             if status(l) else None)
            seen[now["rotation"]] += 1
            now = wait_until("the rotation ends", lambda: (s := status(l)) and s["rotation"] == "none" and s, 60)
            assert now["values_left"] == 0
    finally:
        traffic.on = False
        traffic.join()
    last = status(l)
    print("kills", KILLS, "rotations", last["data_key"] - first["data_key"], "seen after a kill", dict(seen),
          "answers", dict(traffic.statuses))
    assert last["data_key"] > first["data_key"] + KILLS // 4 and last["key_id"] != first["key_id"]
    # no value is lost: every account can be used and refreshed, and no login ended
    for name in families:
        assert l.relay.adm("accounts", "show", name)["state"] == "ok", name
    for name in list(families)[::20]:
        refresh(l, name)
    assert l.notices() == {}
    assert set(traffic.statuses) == {200}
    l.relay.stop()
    l.relay.start()
    assert l.get("v").status == 200
