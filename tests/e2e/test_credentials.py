"""Credential files of every kind: imported, used, refreshed at the provider's token host."""
import json
import subprocess

import pytest

from identity import FAST, KINDS, SECRET, UNLIMITED, Logins, claims, credential_of
from relay import ANY, BUILD, VERSIONS, Refused, header, wait_until


@pytest.fixture
def logins(fresh):
    made = []

    def make(version=ANY, extra=FAST):
        made.append(Logins(fresh(version, extra=extra)))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.idp.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_each_kind_is_used_and_refreshed(logins, version):
    l = logins(version)
    families = {}
    for kind, (provider, _, login) in KINDS.items():
        l.upstream(kind, "--no-reload", provider=provider)
        families[kind], options = l.login(kind, kind, f"app-{kind}", lifetime=3600)
        shown = l.relay.adm("accounts", "add", kind, "--upstream", kind, *options, *UNLIMITED, "--no-reload")
        assert shown["login"] == login and shown["refreshable"] and shown["credential_expires_at"], shown
        l.relay.adm("pools", "set", kind, kind)
        l.keys[kind] = l.relay.issue("demo", "--pool", kind)
    l.relay.adm("haproxy", "reload")
    for kind, family in families.items():
        assert l.get(kind).status == 200
        row = l.stack.upstream.requests()[-1]
        assert claims(credential_of(row))["sub"] == family and claims(credential_of(row))["n"] == 0, kind
        assert header(row, "chatgpt-account-id") == (f"acct-{family}" if kind.startswith("codex") else None)
        assert l.relay.adm("accounts", "refresh", kind, "--wait")["refresh"] == "renewed", kind
        assert l.get(kind).status == 200
        assert claims(credential_of(l.stack.upstream.requests()[-1]))["n"] >= (0 if kind == "gemini" else 1), kind
        use, = l.idp.uses(family)
        assert use["outcome"] == "granted" and use["client_id"] == f"app-{kind}"
    log = l.relay.process.text()
    assert SECRET not in log and "sk-ant-ort01" not in log and "rt-f" not in log


def test_a_file_brings_the_token_url_and_the_client(logins):
    """The upstream has neither; its accounts refresh at the file's token URL from then on."""
    l = logins()
    l.relay.adm("upstreams", "add", "any", "--url", l.stack.upstream.url)
    family, options = l.login("a", "oauth", "app-of-the-file", lifetime=3600)
    shown = l.relay.adm("accounts", "add", "a", "--upstream", "any", *options)
    assert f"upstream any refreshes tokens at {l.idp.url} from now on" in shown["note"], shown
    assert shown["client_id"] == "app-of-the-file"
    assert l.relay.adm("accounts", "refresh", "a", "--wait")["refresh"] == "renewed"
    assert l.idp.outcomes(family) == ["granted"]
    # a second file of another host is refused
    other = {"refresh_token": "x", "client_id": "y", "token_url": "http://127.0.0.1:1/t"}
    with pytest.raises(Refused, match="accounts of upstream any refresh at"):
        l.relay.adm("accounts", "add", "b", "--upstream", "any", "--credentials", str(l.file("b", other)))
    # the same login twice
    _, auth = l.idp.family(**KINDS["oauth"][1], client_id="c", token_url=l.idp.url)
    path = str(l.file("c", auth))
    l.relay.adm("accounts", "add", "c", "--upstream", "any", "--credentials", path)
    with pytest.raises(Refused, match="account c has this login already"):
        l.relay.adm("accounts", "add", "d", "--upstream", "any", "--credentials", path)


def test_a_wrong_client_secret_keeps_the_token(logins):
    l = logins()
    l.upstream("g", provider="gemini")
    family, options = l.login("g", "gemini", "app-g", lifetime=3600)
    wrong = l.stack.dir / "wrong.secret"
    wrong.write_text("wrong")
    with pytest.raises(Refused, match="client_secret is missing: give --client-id ID and --client-secret-file FILE"):
        l.relay.adm("accounts", "add", "g", "--upstream", "g", *options[:2])
    l.relay.adm("accounts", "add", "g", "--upstream", "g", *options[:2], "--client-secret-file", str(wrong))
    l.idp.faults(family, "client")
    with pytest.raises(Refused, match="rejected the request; the refresh is retried"):
        l.relay.adm("accounts", "refresh", "g", "--wait")
    l.relay.adm("accounts", "set", "g", *options[2:])
    assert l.relay.adm("accounts", "refresh", "g", "--wait")["refresh"] == "renewed"
    assert l.idp.outcomes(family)[-1] == "granted" and l.notices() == {}


def test_a_watched_file_of_another_kind(logins):
    """The relay takes newer tokens of Claude Code, and never refreshes them."""
    l = logins()
    l.upstream("claude", provider="anthropic")
    family, auth = l.idp.family(**KINDS["claude"][1], client_id="app-claude", lifetime=3600)
    path = l.file("w", auth)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    l.relay.adm("accounts", "add", "w", "--upstream", "claude", "--credentials", str(path), "--watch", *UNLIMITED)
    l.relay.adm("pools", "set", "w", "w")
    l.keys["w"] = l.relay.issue("demo", "--pool", "w")
    assert l.get("w").status == 200
    l.file("w", {**l.idp.rotate(family), "more": 1})

    def is_newer():
        return l.get("w").status == 200 and claims(credential_of(l.stack.upstream.requests()[-1]))["n"] == 1
    wait_until("the newer token is used", is_newer)
    with pytest.raises(Refused, match="its credential file is watched"):
        l.relay.adm("accounts", "refresh", "w")
    assert "rt." not in json.dumps(l.relay.adm("accounts", "show", "w"))


def files_of_all_kinds(l, directory, count):
    """{account: family} of `count` files, of the kinds in turn."""
    families = {}
    directory.mkdir()
    for i in range(count):
        family, auth = l.idp.family(kind="oauth", client_id="app-any", token_url=l.idp.url, lifetime=3600)
        (directory / f"User {i:02}.json").write_text(json.dumps(auth))
        families[f"in-user-{i:02}"] = family
    return families


def test_fifty_files_at_once(logins):
    """One command, one reload; every file is told of, and a bad one stops no other."""
    l = logins()
    l.relay.adm("upstreams", "add", "any", "--url", l.stack.upstream.url)
    families = files_of_all_kinds(l, l.stack.dir / "logins", 50)
    directory = l.stack.dir / "logins"
    good = sorted(directory.iterdir())
    bad = {"a-broken.json": ("{", "not JSON"), "a-empty.json": ("{}", "neither tokens nor OPENAI_API_KEY"),
           "a-claude.json": ('{"claudeAiOauth": {}}', "is a login of claude-code"),
           "z-twice.json": (good[0].read_text(), "account in-user-00 has this login already")}
    for name, (text, _) in bad.items():
        (directory / name).write_text(text)
    (directory / "README").write_text("not a login")
    (directory / "z-directory.json").mkdir()
    reloads = l.relay.adm("haproxy", "status")["generation"]
    run = l.relay.adm_run("accounts", "add", "in", "--upstream", "any", "--credentials", str(directory), *UNLIMITED)
    assert run.returncode == 1 and "5 of 55 files made no account in force" in run.stderr, run
    items = {item["file"]: item for item in json.loads(run.stdout)["items"]}
    assert len(items) == 55
    for path in good:
        item = items[path.name]
        assert (item["result"], item["login"], item["reason"]) == ("added", "oauth", None), item
    for name, (_, words) in bad.items():
        assert items[name]["result"] in ("refused", "exists") and words in items[name]["reason"], items[name]
    assert items["z-directory.json"]["reason"] == "is not a regular file"
    assert l.relay.adm("haproxy", "status")["generation"] <= reloads + 2
    listed = {a["name"]: a for a in l.relay.adm("accounts", "list")["items"]}
    assert families.keys() <= listed.keys() and all(listed[name]["refreshable"] for name in families)
    # all of them are in force and can be refreshed
    l.relay.adm("pools", "set", "all", *families)
    l.keys["all"] = l.relay.issue("demo", "--pool", "all")
    assert l.get("all").status == 200
    for name in list(families)[::10]:
        assert l.relay.adm("accounts", "refresh", name, "--wait")["refresh"] == "renewed"
    # a second run finds them
    run = l.relay.adm_run("accounts", "add", "in", "--upstream", "any", "--credentials", str(directory), *UNLIMITED)
    results = [item["result"] for item in json.loads(run.stdout)["items"]]
    assert run.returncode == 1 and results.count("exists") == 51 and "added" not in results
    # without --json a table
    run = subprocess.run([BUILD / "relayadm", "--socket", l.relay.socket, "accounts", "add", "in", "--upstream", "any",
                          "--credentials", str(directory)], capture_output=True, text=True, timeout=60)
    assert run.stdout.splitlines()[0].split() == ["FILE", "ACCOUNT", "LOGIN", "RESULT", "REASON"], run
    # the command line is wrong as a whole
    run = l.relay.adm_run("accounts", "add", "in", "--credentials", str(directory))
    assert run.returncode == 2 and "--upstream is missing" in run.stderr
