"""Changes of live accounts: no request fails, and none gets a mixture of the old set and the new one."""
import pytest

from relay import VERSIONS, header


def seen_of(s, key, n=20):
    """(source address, X-New) of each of some requests, all of which must succeed."""
    s.upstream.clear()
    statuses = [s.post("/v1/x", key=key).status for _ in range(n)]
    assert statuses == [200] * n
    return {(row["source_ip"], header(row, "X-New")) for row in s.upstream.requests()}


def old_set_warnings(s):
    return [w for w in s.relay.adm("status")["warnings"] if "old set in use" in w]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_account_keeps_its_set_until_haproxy_has_the_new_one(fresh, version):
    s = fresh(version)
    r = s.relay
    r.adm("egress", "add", "ip1", "--source", "127.0.0.61")
    assert old_set_warnings(s) == []
    change = r.adm("accounts", "set", "demo", "--header", "X-New: 1", "--egress", "ip1", "--no-reload")
    assert change["haproxy"] == "pending reload"
    assert seen_of(s, s.key) == {("127.0.0.1", None)}
    assert "demo" in old_set_warnings(s)[0]
    assert r.adm("status")["haproxy"]["old_sets"] == 1
    # a new value waits together with its name
    r.adm("accounts", "set", "demo", "--header", "X-New: 2", "--no-reload")
    assert seen_of(s, s.key) == {("127.0.0.1", None)}
    assert r.adm("haproxy", "reload")["haproxy"] == "reloaded"
    assert seen_of(s, s.key) == {("127.0.0.61", "2")}
    assert old_set_warnings(s) == []
    # HAProxy knows this name already: the value is in force at once
    assert r.adm("accounts", "set", "demo", "--header", "X-New: 3")["haproxy"] == "unchanged"
    assert seen_of(s, s.key) == {("127.0.0.61", "3")}


def test_an_egress_is_taken_away_at_once_by_suspending_it(fresh):
    s = fresh()
    r = s.relay
    r.adm("egress", "add", "ip1", "--source", "127.0.0.61")
    r.adm("egress", "add", "ip2", "--source", "127.0.0.62")
    r.adm("accounts", "set", "demo", "--egress", "ip1")
    assert seen_of(s, s.key) == {("127.0.0.61", None)}
    r.adm("accounts", "set", "demo", "--egress", "ip2", "--no-reload")
    assert seen_of(s, s.key) == {("127.0.0.61", None)}
    r.adm("egress", "suspend", "ip1", "--reason", "abuse report")
    s.upstream.clear()
    assert {s.post("/v1/x", key=s.key).status for _ in range(5)} == {503}
    assert s.upstream.requests() == []
    assert r.adm("egress", "show", "ip1")["reason"] == "abuse report"
    r.adm("egress", "resume", "ip1")
    assert seen_of(s, s.key) == {("127.0.0.61", None)}
