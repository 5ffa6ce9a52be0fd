"""relayadm and the admin API on a separate daemon: successful commands, refused commands, secrets that never appear."""
import base64
import http.client
import json
import os
import re
import socket
import sqlite3
import subprocess
import time

import pytest

from bare import compare
from relay import BUILD, Refused, Relay, make_reachable

TOKEN = "sk-canary-7f3a9"
RELAYADM = BUILD / "relayadm"


@pytest.fixture
def relay(tmp_path):
    make_reachable(tmp_path)
    r = Relay(tmp_path, ["/usr/sbin/haproxy"])
    for name in ("state", "run"):
        (tmp_path / name).mkdir(mode=0o755)
    if os.geteuid() == 0:
        for name in ("state", "run"):
            subprocess.run(["chown", "daemon", tmp_path / name], check=True)
    try:
        r.start()
        yield r
    finally:
        r.stop()


@pytest.fixture
def furnished(relay):
    relay.adm("upstreams", "add", "u", "--url", "http://127.0.0.1:9/api", "--provider", "openai")
    relay.adm("upstreams", "add", "codex", "--url", "https://codex.invalid/x", "--provider", "codex")
    relay.adm("egress", "add", "e", "--source", "127.0.0.2")
    relay.adm("accounts", "add", "a", "--upstream", "u", "--egress", "e", "--token-stdin", stdin=TOKEN + "\n")
    relay.adm("accounts", "add", "b", "--upstream", "u", "--token-stdin", stdin=TOKEN + "-b")
    relay.adm("accounts", "add", "c", "--upstream", "codex", "--token-stdin", stdin=TOKEN + "-c")
    relay.adm("pools", "set", "p", "a", "b")
    relay.adm("tenants", "add", "t", "--pool", "p")
    return relay


def jwt(claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    return f"{part({'alg': 'none'})}.{part(claims)}.sig"


def auth_json(path, **tokens):
    tokens = {"id_token": "id", "refresh_token": "rt-canary-51", "account_id": "acct-1", **tokens}
    path.write_text(json.dumps({"OPENAI_API_KEY": None, "tokens": tokens}))
    return path


def human(relay, *words):
    run = subprocess.run([RELAYADM, "--socket", relay.socket, *words], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


# --- refusals ---

REFUSED = [
    # words, exit code, part of the message
    (["tenants", "add", "t"], 1, 'tenant "t" exists already'),
    (["upstreams", "add", "u", "--url", "http://x"], 1, 'upstream "u" exists already'),
    (["tenants", "add", "UPPER"], 2, "not a name"),
    (["tenants", "show", "UPPER"], 2, "not a name"),
    (["tenants", "add", "x", "--pool", "nope"], 1, 'no pool named "nope"'),
    (["tenants", "set", "nobody", "--rpm", "1"], 1, 'no tenant named "nobody"'),
    (["tenants", "set", "t", "--allow-ip", "10.0.0.1/8"], 2, "10.0.0.1/8"),
    (["tenants", "set", "t", "--wait", "soon"], 2, "refuse|forever"),
    (["tenants", "set", "t"], 2, "nothing to change"),
    (["pools", "add", "ghost", "a"], 1, 'no pool named "ghost"'),
    (["pools", "add", "p", "c"], 1, "one upstream"),
    (["pools", "add", "p"], 2, "ACCOUNT is missing"),
    (["pools", "remove", "p", "c"], 1, "is not in pool"),
    (["pools", "remove", "p", "a", "b"], 1, "no account left"),
    (["pools", "remove", "p", "b", "b"], 2, '"b" is given twice'),
    (["pools", "add", "p", "b", "b"], 2, '"b" is given twice'),
    (["pools", "set", "p", "b", "b"], 2, '"b" is given twice'),
    (["accounts", "set", "b", "--egress", "direct,direct"], 2, '"direct" is given twice'),
    (["pools", "set", "new", "--strategy", "sticky"], 1, "at least one"),
    (["haproxy", "options", "--stats", "127.0.0.1:1"], 1, "never rendered"),
    (["haproxy", "options", "--replay-body", "1k"], 2, "none of"),
    (["haproxy", "options", "--stats", "localhost"], 2, "not HOST:PORT"),
    (["haproxy", "options", "--stats", ":99999"], 2, "1 to 65535"),
    (["haproxy", "options", "--bind", "127.0.0.1:80 ssl crt x"], 2, "1 to 65535"),
    (["bans", "add", "10.0.0.1/8"], 2, "10.0.0.1/8"),
    (["bans", "add", "10.0.0.1", "--for", "0"], 2, "at least 1ms"),
    (["requests", "list", "--last", "many"], 2, "whole number"),
    (["requests", "list", "--since", "garbage"], 2, "neither a time"),
    (["requests", "list", "--since", "-5m"], 2, "neither a time"),
    (["requests", "list", "--until", "bad"], 2, "neither a time"),
    (["requests", "list", "--status", "0"], 2, "neither a status"),
    (["requests", "list", "--status", "5XX"], 2, "neither a status"),
    (["requests", "list", "--status", "9xx"], 2, "neither a status"),
    (["requests", "list", "--status", "20"], 2, "neither a status"),
    (["requests", "list", "--code", "nonsense"], 2, "not an error code"),
    (["requests", "list", "--tenant", "nobody"], 1, "nobody"),
    (["backup", ""], 2, "is empty"),
    (["requests", "why", "1234"], 2, "not the id of a request"),
    (["requests", "why", "01a22049-6bf7-7c2d-9755-98e4843787c0"], 1, "nothing is known"),
    (["tokens", "show", "x"], 2, "whole number"),
    (["tokens", "issue"], 2, "--tenant is missing"),
    (["tokens", "issue", "--tenant", "t", "--count", "0"], 2, "from 1 to 10000"),
    (["accounts", "set", "a", "--pace", "3s-1s"], 2, "MIN-MAX"),
    (["pools", "set", "p", "a", "ghost"], 1, 'no account named "ghost"'),
    (["pools", "set", "p", "a", "c"], 1, "one upstream"),
    (["accounts", "del", "a"], 1, "in use by pool p"),
    (["egress", "del", "e"], 1, "in use by account a"),
    (["upstreams", "del", "u"], 1, "in use by accounts a, b"),
    (["pools", "del", "p"], 1, "in use by tenant t"),
    (["upstreams", "add", "x", "--url", "http://user:pw@x"], 2, "user name"),
    (["upstreams", "add", "x", "--url", "http://x", "--header", "Authorization: y"], 2, "authorization"),
    (["egress", "add", "x", "--source", "300.0.0.1"], 2, "not an IP address"),
    (["tokens", "issue", "--tenant", "nobody"], 1, 'no tenant named "nobody"'),
    (["tokens", "revoke", "999"], 1, "no key with id 999"),
    (["accounts", "set", "a", "--weight", "0"], 2, "weight"),
    (["accounts", "set", "a", "--token-file", "/nonexistent"], 1, "/nonexistent"),
    (["apply", "/nonexistent"], 1, "/nonexistent"),
    (["egress", "add", "x"], 2, "--source, --socks4, --node"),
    (["upstreams", "add", "x"], 2, "--url is missing"),
    (["tenants", "add", "x", "--rpm", "many"], 2, "whole number"),
    (["tenants", "add", "x", "--colour", "red"], 2, "--colour"),
    (["tenants", "add"], 2, "NAME is missing"),
    (["accounts", "refresh", "a"], 1, "it has no refresh token"),
    (["accounts", "polish", "a"], 2, 'unknown verb "polish"'),
    (["accounts", "set", "b", "--egress", "e"], 1, 'egress "e" belongs to account "a"'),
    (["accounts", "suspend"], 2, "NAME is missing"),
    (["accounts", "suspend", "--risk-above", "1.2"], 2, "0 to 1"),
    (["accounts", "suspend", "--risk-above", "much"], 2, "0 to 1"),
    (["accounts", "suspend", "a", "--risk-above", "0.7"], 2, "--risk-above"),
    (["accounts", "reset", "nobody"], 1, 'no account named "nobody"'),
    (["notices", "ack", "7"], 1, "no notice with id 7"),
    (["notices", "ack", "x"], 2, "whole number"),
    (["--socket", "", "status"], 2, "--socket is empty"),
    (["--socket", "/" + "s" * 107, "status"], 2, "longer than 107"),
    (["frobnicate"], 2, 'unknown noun "frobnicate"'),
]


def test_a_refusal_is_clear_and_changes_nothing(furnished):
    before = furnished.adm("export")
    version = furnished.adm("status")["store"]["version"]
    for words, code, message in REFUSED:
        run = subprocess.run([RELAYADM, "--socket", furnished.socket, *words], capture_output=True, text=True, timeout=60)
        assert run.returncode == code, (words, run)
        assert run.stderr.startswith("relayadm: ") and message in run.stderr, (words, run.stderr)
        assert run.stdout == ""
        error = json.loads(furnished.adm_run(*words).stderr)["error"]
        assert error["message"] == run.stderr.splitlines()[0].removeprefix("relayadm: "), (words, error)
        assert (error["code"] == "usage") == (code == 2), (words, error)
    assert furnished.adm("export") == before
    assert furnished.adm("status")["store"]["version"] == version


def rows():
    """Every command with the words of its arguments, from the help."""
    text = subprocess.run([RELAYADM, "help"], capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^  ([a-z]+(?: [a-z-]+)*)((?: \[?[A-Z_|a-z]+(?:\.\.\.)?\]?)*)(?:  |$)", text, re.M)
    return [(head.split(), tail.split()) for head, tail in lines]


def test_a_wrong_use_is_exit_2_for_every_command(relay):
    """Without the daemon's help: no word of these reaches it."""
    commands = rows()
    assert len(commands) > 55
    for words, arguments in commands:
        wrong = [["--no-such-option"], ["--json", *(["x"] * 9)] if not any("..." in a for a in arguments) else ["--json=1"]]
        if arguments and not arguments[0].startswith("["):
            wrong.append([])
        for more in wrong:
            run = subprocess.run([RELAYADM, "--socket", "/nonexistent", *words, *more], capture_output=True, text=True)
            assert run.returncode == 2, (words, more, run)
            assert run.stdout == "" and run.stderr


def test_a_refusal_is_exit_1_for_every_object(furnished):
    """A name that nothing has, or an id."""
    asked = set()
    for words, arguments in rows():
        if arguments[:1] not in (["NAME"], ["POOL"], ["ID"]) or words[1:] == ["add"] and words[0] != "pools":
            continue
        subject = "999" if arguments[0] == "ID" else "nobody"
        more = {"set": ["--rpm", "1"]}.get(words[1], []) + ["a" for a in arguments[1:]]
        if words[0] in ("upstreams", "egress"):
            more = {"set": ["--region", "x"] if words[0] == "egress" else ["--strip", "/x"]}.get(words[1], [])
        if words == ["pools", "set"]:
            continue  # makes the pool
        run = furnished.adm_run(*words, subject, *more)
        assert run.returncode == 1, (words, run)
        error = json.loads(run.stderr)["error"]
        assert error["code"] == "not_found" and error["message"], (words, error)
        asked.add(words[0])
    assert asked == {"tenants", "tokens", "upstreams", "egress", "accounts", "pools", "notices"}


def test_a_malformed_auth_json_is_named_and_changes_nothing(furnished, tmp_path):
    bad = {
        "{": "not JSON",
        "[]": "not a JSON object",
        "{}": "neither tokens nor OPENAI_API_KEY",
        '{"tokens": {"access_token": "secret-canary", "account_id": "x"}}': "access_token: it is not a JWT",
        '{"tokens": {"access_token": "%s"}}' % jwt({"exp": 2000000000}): "account_id is missing",
        '{"tokens": {"access_token": "%s", "account_id": "x"}}' % jwt({}): "has no exp",
        '{"OPENAI_API_KEY": "%s"}' % ("x" * 4097): "4097 bytes long; at most 4096",
        '{"OPENAI_API_KEY": "a\\nb"}': "line break",
    }
    before = furnished.adm("accounts", "list")
    for text, message in bad.items():
        (tmp_path / "auth.json").write_text(text)
        with pytest.raises(Refused) as refused:
            furnished.adm("accounts", "add", "x", "--upstream", "codex", "--auth-json", tmp_path / "auth.json")
        assert refused.value.code == 1 and message in refused.value.stderr
        assert "canary" not in refused.value.stderr
    assert furnished.adm("accounts", "list") == before


def test_a_key_needs_a_pool_whose_accounts_have_credentials(furnished, tmp_path):
    furnished.adm("tenants", "add", "poor")
    with pytest.raises(Refused, match="has no pool"):
        furnished.adm("tokens", "issue", "--tenant", "poor")
    furnished.adm("accounts", "add", "old", "--upstream", "codex", "--auth-json",
                  auth_json(tmp_path / "old.json", access_token=jwt({"exp": 1000})))
    assert furnished.adm("accounts", "show", "old")["state"] == "expired"
    furnished.adm("pools", "set", "q", "c", "old")
    with pytest.raises(Refused, match="no usable credential for old"):
        furnished.adm("tokens", "issue", "--tenant", "t", "--pool", "q")


def test_a_daemon_that_is_not_there_is_exit_3(tmp_path):
    run = subprocess.run([RELAYADM, "--socket", tmp_path / "none.sock", "status"], capture_output=True, text=True)
    assert run.returncode == 3 and "none.sock" in run.stderr
    run = subprocess.run([RELAYADM, "--json", "--socket", tmp_path / "none.sock", "status"], capture_output=True, text=True)
    assert run.returncode == 3 and json.loads(run.stderr)["error"]["code"] == "unreachable" and run.stdout == ""
    run = subprocess.run([RELAYADM, "status"], capture_output=True, text=True,
                         env={**os.environ, "RELAYADM_SOCKET": str(tmp_path / "env.sock")})
    assert run.returncode == 3 and "env.sock" in run.stderr


def test_a_stranger_may_not_use_the_socket(relay):
    if os.geteuid() != 0:
        pytest.fail("needs root, to become another user")
    run = subprocess.run([RELAYADM, "--socket", relay.socket, "status"], capture_output=True, text=True,
                         user="nobody", group="nogroup", extra_groups=[])
    assert run.returncode == 3, run
    run = subprocess.run([RELAYADM, "--socket", relay.socket, "tenants", "list"], capture_output=True, text=True,
                         user="nobody", group="daemon", extra_groups=[])
    assert run.returncode == 0, run


# --- successful commands ---

def test_a_codex_login_brings_account_id_expiry_and_limits(furnished, tmp_path):
    expires = int(time.time()) + 86400
    path = auth_json(tmp_path / "auth.json", access_token=jwt({"exp": expires}))
    account = furnished.adm("accounts", "add", "login", "--upstream", "codex", "--auth-json", path)
    assert account["state"] == "ok" and account["refreshable"] is True
    assert account["credential_expires_at"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))
    assert (account["rpm"], account["rph"], account["concurrency"], account["max_consecutive"]) == (10, 200, 2, 5)
    assert furnished.adm("accounts", "show", "a")["rpm"] == 0


def test_tokens_have_the_promised_shape(furnished):
    issued = furnished.adm("tokens", "issue", "--tenant", "t", "--ttl", "30d", "--name", "laptop")
    assert {"id", "token", "tenant", "pool", "expires_at"} <= set(issued)
    assert re.fullmatch(r"rk_[0-9A-Za-z]{36}", issued["token"])
    shown = furnished.adm("tokens", "show", issued["id"])
    assert (shown["last4"], shown["state"], shown["rpm"]) == (issued["token"][-4:], "active", 30)
    assert issued["token"] not in json.dumps(furnished.adm("tokens", "list"))
    fresh = furnished.adm("tokens", "rotate", issued["id"], "--grace", "1h")
    assert fresh["token"] != issued["token"]
    assert furnished.adm("tokens", "show", issued["id"])["state"] == "active"
    assert furnished.adm("tokens", "show", fresh["id"])["family"] == issued["id"]
    furnished.adm("tokens", "revoke", issued["id"])
    assert furnished.adm("tokens", "show", issued["id"])["state"] == "revoked"
    limited = furnished.adm("tokens", "issue", "--tenant", "t", "--daily", "50", "--monthly", "900")
    shown = furnished.adm("tokens", "show", limited["id"])
    assert (shown["family"], shown["daily"], shown["monthly"]) == (limited["id"], 50, 900)
    many = furnished.adm("tokens", "issue", "--tenant", "t", "--count", "500")["items"]
    assert len({one["token"] for one in many}) == 500
    assert human(furnished, "tokens", "issue", "--tenant", "t").startswith("rk_")


def test_a_dead_key_can_be_deleted(furnished):
    live, dead = (furnished.adm("tokens", "issue", "--tenant", "t")["id"] for _ in range(2))
    furnished.adm("tokens", "revoke", dead)
    assert furnished.adm("tokens", "show", live)["last_used_at"] is None
    with pytest.raises(Refused, match=f"key {live} is active: revoke it first"):
        furnished.adm("tokens", "del", live)
    furnished.adm("tokens", "del", dead)
    assert [key["id"] for key in furnished.adm("tokens", "list")["items"]] == [live]
    with pytest.raises(Refused, match=f"no key with id {dead}"):
        furnished.adm("tokens", "del", dead)


def test_an_account_can_be_suspended_and_resumed(furnished):
    furnished.adm("accounts", "suspend", "a", "--reason", "bill not paid")
    shown = furnished.adm("accounts", "show", "a")
    assert (shown["state"], shown["suspend_reason"]) == ("suspended", "bill not paid")
    furnished.adm("accounts", "suspend", "a")
    assert furnished.adm("accounts", "show", "a")["suspend_reason"] == "bill not paid"
    furnished.adm("accounts", "resume", "a")
    assert furnished.adm("accounts", "show", "a")["state"] == "ok"


def test_options_of_later_use_are_kept_and_shown(furnished):
    furnished.adm("tenants", "set", "t", "--rps", "1", "--rpm", "2", "--rph", "3", "--concurrency", "4", "--daily", "5",
                  "--monthly", "6", "--wait", "2m", "--shadow", "on", "--allow-ip", "10.0.0.0/8,::1")
    t = furnished.adm("tenants", "show", "t")
    assert [t[k] for k in ("rps", "rpm", "rph", "concurrency", "daily", "monthly")] == [1, 2, 3, 4, 5, 6]
    assert (t["wait"], t["shadow"], t["allow_ip"]) == ("2m", True, ["10.0.0.0/8", "::1"])
    furnished.adm("accounts", "set", "a", "--pace", "500ms-3s", "--region", "eu-1", "--weight", "7", "--header", "X-A: b")
    a = furnished.adm("accounts", "show", "a")
    assert (a["pace"], a["region"], a["weight"], a["headers"]) == ("500ms-3s", "eu-1", 7, {"X-A": "b"})
    furnished.adm("pools", "set", "p", "b", "a", "--strategy", "round-robin", "--sticky", "hard", "--wait", "5s")
    p = furnished.adm("pools", "show", "p")
    assert (p["accounts"], p["strategy"], p["sticky"], p["wait"]) == (["b", "a"], "round-robin", "hard", "5s")
    furnished.adm("pools", "set", "p", "--sticky", "free")
    p = furnished.adm("pools", "show", "p")
    assert (p["accounts"], p["strategy"], p["sticky"], p["wait"]) == (["b", "a"], "round-robin", "free", "5s")
    furnished.adm("pools", "remove", "p", "a")
    assert furnished.adm("pools", "add", "p", "a")["accounts"] == ["b", "a"]
    furnished.adm("upstreams", "set", "codex", "--token-url", "https://auth.invalid/token", "--client-id", "app_1")
    assert furnished.adm("upstreams", "show", "codex")["client_id"] == "app_1"


def unknown(value, path="$"):
    """Where an answer has a value that stands for none."""
    if isinstance(value, dict):
        return [found for key, one in value.items() for found in unknown(one, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for n, one in enumerate(value) for found in unknown(one, f"{path}[{n}]")]
    return [path] if value == "" or value == -1 else []


def test_what_is_unknown_is_null(furnished):
    """Every command that shows something, of things that have hardly any setting."""
    key = furnished.adm("tokens", "issue", "--tenant", "t")["id"]
    furnished.adm("bans", "add", "192.0.2.1")
    furnished.adm("egress", "suspend", "e")
    shown = {}
    for words, arguments in rows():
        if words[-1] not in ("list", "show", "status", "options"):
            continue
        subjects = {"ID": [str(key)], "POOL": ["p"], "NAME": {"tenants": ["t"], "upstreams": ["u"], "accounts": ["a"],
                    "egress": ["direct", "e"]}.get(words[0])}[arguments[0]] if arguments else [None]
        for subject in subjects:
            answer = furnished.adm(*words, *([subject] if subject else []))
            assert unknown(answer) == [], (words, subject, unknown(answer))
            shown[" ".join(words)] = answer
    assert len(shown) >= 17, sorted(shown)
    assert shown["haproxy status"]["generation"] is None and shown["haproxy status"]["uptime_s"] is None
    assert shown["accounts show"]["pace"] is None and shown["accounts show"]["region"] is None
    assert shown["bans list"]["items"][0]["reason"] is None and shown["tokens show"]["name"] is None


def test_export_and_apply_are_each_other(furnished):
    document = furnished.adm("export")
    assert TOKEN not in json.dumps(document)
    assert furnished.adm("apply", "-", stdin=json.dumps(document))["changes"] == []
    document["tenants"].append({"name": "new", "pool": "p"})
    document["accounts"][0]["weight"] = 9
    changed = human_apply(furnished, document)
    assert changed == ["~ accounts a: weight", "+ tenants new"]
    assert human_apply(furnished, document) == []
    document["tenants"].append({"name": "newer"})
    document["pools"].append({"name": "bad", "accounts": ["ghost"]})
    with pytest.raises(Refused, match="pools bad: there is no account named"):
        furnished.adm("apply", "-", stdin=json.dumps(document))
    assert [t["name"] for t in furnished.adm("tenants", "list")["items"]] == ["new", "t"]


def human_apply(relay, document):
    run = subprocess.run([RELAYADM, "--socket", relay.socket, "apply", "-"], input=json.dumps(document),
                         capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_a_backup_is_a_whole_store_without_clear_secrets(furnished, tmp_path):
    key = furnished.adm("tokens", "issue", "--tenant", "t")["token"]
    path = tmp_path / "copy.db"
    human(furnished, "backup", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert [row[0] for row in db.execute("SELECT name FROM accounts ORDER BY name")] == ["a", "b", "c"]
    db.close()
    content = path.read_bytes()
    assert TOKEN.encode() not in content and key.encode() not in content
    with pytest.raises(Refused, match="File exists"):
        furnished.adm("backup", path)
    assert path.read_bytes() == content


def test_no_secret_is_in_logs_store_or_command_lines(furnished, tmp_path):
    auth = auth_json(tmp_path / "auth.json", access_token=jwt({"exp": 2000000000, "canary": "at-canary-52"}))
    furnished.adm("accounts", "add", "login", "--upstream", "codex", "--auth-json", auth)
    key = furnished.adm("tokens", "issue", "--tenant", "t")["token"]
    secrets = [TOKEN, key, "rt-canary-51", json.loads(auth.read_text())["tokens"]["access_token"]]
    auth.unlink()
    places = [p for p in furnished.dir.rglob("*") if p.is_file()]
    assert any(p.suffix == ".db" for p in places) and any(p.name == "relay.log" for p in places)
    for place in places:
        content = place.read_bytes()
        for secret in secrets:
            assert secret.encode() not in content, place
    log = furnished.process.text()
    assert '"noun":"tokens","verb":"issue","target":"t"' in log


def test_a_change_returns_within_100_ms(furnished):
    """More than a command that changes nothing, at the same time."""
    def timed(*words):
        begin = time.monotonic()
        furnished.adm(*words)
        return time.monotonic() - begin

    def measure():
        times = [(timed("tenants", "set", "t", "--rpm", n), timed("tenants", "list")) for n in range(20)]
        return [sorted(some) for some in zip(*times)]

    compare(measure, lambda changes, lists: changes[-2] < lists[-2] + 0.1)
    status = furnished.adm("status")["snapshot"]
    assert status["published"] == status["acknowledged"]


def test_tables_and_status_are_for_people(furnished):
    lines = human(furnished, "accounts", "list").splitlines()
    assert lines[0].split() == ["NAME", "UPSTREAM", "STATE", "FOR", "IN-USE", "RISK", "USED", "EGRESS", "WEIGHT",
                                "RPM", "RPH", "CONC", "POOLS"]
    assert [line.split()[0] for line in lines[1:]] == ["a", "b", "c"]
    assert all(line.index(word) == lines[0].index("UPSTREAM") for line, word in zip(lines[1:], ("u", "u", "codex")))
    assert "url: http://127.0.0.1:9/api\n" in human(furnished, "upstreams", "show", "u")
    screen = human(furnished, "status")
    for word in ("mode: single", "keeper", "control", "agent", "POOL", "ACCOUNT"):
        assert word in screen
    processes = furnished.adm("status")["processes"]
    assert set(processes) == {"keeper", "control", "agent"}
    assert all(p["pid"] > 0 and p["restarts"] == 0 and p["uptime_s"] >= 0 for p in processes.values())


# --- HTTP ---

class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("relay", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(relay, method, path, body=None):
    c = UnixConnection(relay.socket)
    c.request(method, path, body)
    answer = c.getresponse()
    document = json.loads(answer.read())
    c.close()
    assert answer.headers["Content-Type"] == "application/json"
    return answer, document


def test_http_errors_are_json_with_the_right_status(furnished):
    for method, path, body, status in [
        ("GET", "/", None, 404), ("GET", "/v1/nothing", None, 404), ("GET", "/v1/tenants/", None, 404),
        ("PUT", "/v1/tenants", "{}", 405), ("POST", "/v1/tenants", "{", 400), ("POST", "/v1/tenants", "[]", 400),
        ("POST", "/v1/tenants", '{"name": "x"} y', 400), ("POST", "/v1/tenants", '{"name": "x", "rpm": "5"}', 400),
        ("POST", "/v1/tenants", '{"name": "x", "no": 1}', 400), ("POST", "/v1/tenants", '{"name": "t"}', 409),
        ("POST", "/v1/tenants", '{"a":' * 40, 400), ("POST", "/v1/tenants", " " * 1100000, 413),
        ("GET", "/v1/tenants/none", None, 404), ("GET", "/v1/tenants/BAD", None, 400),
        ("GET", "/v1/tokens?tenant=t&tenant=t", None, 400), ("GET", "/v1/tokens?x=1", None, 400),
        ("GET", "/v1/requests?last=abc", None, 400), ("GET", "/v1/tokens/x", None, 400),
        ("GET", "/v1/requests/1234/why", None, 400), ("DELETE", "/v1/egress/e", None, 409),
    ]:
        answer, document = ask(furnished, method, path, body)
        assert answer.status == status, (method, path, body and body[:50], document)
        assert document["error"]["code"] and document["error"]["message"]
        if status == 405:
            assert answer.headers["Allow"] == "GET, POST"
    assert [t["name"] for t in ask(furnished, "GET", "/v1/tenants")[1]["items"]] == ["t"]


def test_many_connections_at_once_do_not_lock_anybody_out(furnished):
    idle = []
    for _ in range(100):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(furnished.socket))
        s.sendall(b"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        idle.append(s)
    try:
        furnished.adm("tenants", "set", "t", "--rpm", "5")
    finally:
        for s in idle:
            s.close()


# --- texts generated from the rows ---

def test_help_is_there_for_every_command():
    out = subprocess.run([RELAYADM, "help"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  ([a-z]+ [a-z]+)(?: |$)", out, re.M)
    assert len(commands) > 35
    for command in commands:
        noun, verb = command.split()
        text = subprocess.run([RELAYADM, noun, verb, "--help"], capture_output=True, text=True, check=True).stdout
        assert text.startswith(f"usage: relayadm {noun} {verb}"), text


def complete(words):
    script = subprocess.run([RELAYADM, "--generate-completion"], capture_output=True, text=True, check=True).stdout
    line = " ".join(f"'{w}'" for w in words)
    script = f"relayadm() {{ {RELAYADM} \"$@\"; }}\n" + script
    script += f"\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _relayadm; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_completion_knows_names(furnished):
    """Of things that exist, wherever a command takes them. Silent, and without a delay, when control is away."""
    def names(*words):
        return complete([RELAYADM, "--socket", furnished.socket, *words])

    furnished.adm("tenants", "add", "t2")
    assert names("tenants", "set", "") == ["t", "t2"]
    assert names("tenants", "set", "t2", "--rpm", "5", "--pool", "") == ["p"]
    for words in (("tenants", "add", ""), ("tenants", "set", "t", ""), ("tokens", "show", "")):
        assert "--json" in names(*words) and "t2" not in names(*words), words
    assert names("tokens", "issue", "--tenant", "t") == ["t", "t2"]
    assert names("pools", "add", "") == ["p"]
    assert names("pools", "add", "p", "") == names("pools", "set", "p", "a", "--wait", "5s", "") == ["a", "b", "c"]
    assert names("accounts", "add", "x", "--upstream", "co") == ["codex"]
    assert names("accounts", "set", "a", "--egress", "d") == ["direct"]
    assert names("accounts", "set", "a", "--egress", "e,d") == ["e,direct"]
    assert names("egress", "check", "") == ["direct", "e"]
    assert names("upstreams", "show", "u") == ["u"]
    assert names("tenants", "set", "t", "--al") == ["--allow-ip"]
    assert names("names", "te") == ["tenants"] and names("site", "self-use", "") == ["on", "off"]
    assert human(furnished, "names", "accounts") == "a\nb\nc\n"
    assert furnished.adm("names", "pools") == {"items": ["p"]}
    assert complete([RELAYADM, "--socket", "/nonexistent/s", "tenants", "set", ""]) == []


def test_completion_knows_nouns_verbs_options_and_choices():
    assert {"tenants", "accounts", "--json"} <= set(complete(["relayadm", ""]))
    assert complete(["relayadm", "tok"]) == ["tokens"]
    assert set(complete(["relayadm", "pools", ""])) == {"add", "remove", "set", "list", "show", "del"}
    assert complete(["relayadm", "--socket", "/x", "tokens", "iss"]) == ["issue"]
    assert complete(["relayadm", "tokens", "issue", "--ten"]) == ["--tenant"]
    assert complete(["relayadm", "upstreams", "add", "u", "--provider", "co"]) == ["codex"]


@pytest.mark.parametrize("title, command", [
    ("RELAYADM 1", [RELAYADM, "--generate-man"]),
    ("SPOA\\-RELAY 8", [BUILD / "spoa-relay", "--generate", "man"]),
    ("SPOA\\-RELAY.CONF 5", [BUILD / "spoa-relay", "--generate", "config-man"]),
])
def test_the_man_pages_are_troff_without_a_date(title, command):
    page = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert page.startswith(f'.TH {title} "" "spoa\\-relay ')
    for line in page.splitlines():
        assert not line.startswith(".") or re.match(r"\.(TH|SH|SS|TP|PP|RS|RE|BR)\b", line), line


# --- the daemon's own configuration ---

def test_a_typo_in_the_configuration_is_named_with_file_and_line(tmp_path):
    path = tmp_path / "relay.conf"
    path.write_text("[relay]\nlog_level = info\n\n[spop]\nlissten = abns:x\n")
    run = subprocess.run([BUILD / "spoa-relay", "--check-config", "--config", path], capture_output=True, text=True)
    assert run.returncode != 0
    assert f"{path}:5" in run.stderr and "lissten" in run.stderr
