"""No relay key and no upstream credential leaks, after a run that used them all."""
import pathlib
import subprocess

CANARY = "canary-7f3a9c-upstream-token"


def test_no_secret_is_left_anywhere(fresh):
    s = fresh()
    s.relay.adm("upstreams", "add", "canary", "--url", s.upstream.url)
    s.account("canary", "canary", CANARY)
    s.relay.adm("pools", "set", "canary", "canary")
    key = s.relay.issue("demo", "--pool", "canary")
    secrets = [CANARY, key, s.key, "token-of-demo"]
    for path in ("/v1/x", "/v1/messages", "/status?code=500"):
        s.post(path, key=key)
    s.post("/v1/x", key=key[:-1] + "x")
    s.post("/v1/x", headers=[("Authorization", f"Bearer {key}"), ("session-id", "c1")])
    s.relay.adm("accounts", "set", "canary", "--weight", "5")
    rotated = s.relay.adm("tokens", "rotate", "1")
    secrets.append(rotated["token"])
    texts = {"metrics": metrics(s), "export": str(s.relay.adm("export")), "status": str(s.relay.adm("status")),
             "requests": str(s.relay.adm("requests", "list")), "tokens": str(s.relay.adm("tokens", "list"))}
    for path in [*s.dir.rglob("*")]:
        if path.is_file() and path.name != "upstream.log":
            texts[str(path)] = path.read_bytes().decode("latin-1")
    for cmdline in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts[str(cmdline)] = cmdline.read_bytes().decode("latin-1")
        except OSError:
            continue  # the process has ended
    assert len([t for t in texts if t.startswith(str(s.dir))]) > 5
    for where, text in texts.items():
        for secret in secrets:
            assert secret not in text, f"{secret[:8]}... is in {where}"


def metrics(s):
    return subprocess.run(["curl", "-s", f"http://127.0.0.1:{s.relay.metrics_port}/metrics"],
                          capture_output=True, text=True, check=True).stdout
