"""The official OpenAI and Anthropic SDKs, installed as users do."""
import json
import pathlib
import subprocess

from npm import installed
from relay import wait_until

SOURCE = pathlib.Path(__file__).resolve().parent / "sdk"
TEXT = "Hello from the demo upstream."


def used_up(stack):
    """Keys of two tenants: the quota of one is used up, and the request of a connection has the only slot of the other."""
    r = stack.relay
    r.adm("upstreams", "add", "sdk-limits", "--url", stack.upstream.url, "--provider", "generic")
    stack.account("sdk-limits", "sdk-limits", "token-of-sdk-limits")
    r.adm("pools", "set", "sdk-limits", "sdk-limits")
    r.adm("tenants", "add", "sdk-quota", "--pool", "sdk-limits", "--daily", "1")
    r.adm("tenants", "add", "sdk-slot", "--pool", "sdk-limits", "--concurrency", "1")
    quota, slot = r.issue("sdk-quota"), r.issue("sdk-slot")
    assert stack.get("/v1/x", key=quota).status == 200

    def hold():
        s = stack.connect()
        stack.send(s, "GET", "/sse?n=1000&ms=100", key=slot)
        if s.recv(1000).startswith(b"HTTP/1.1 200"):
            return s
        return s.close()  # the old HAProxy process, during a reload
    return quota, slot, wait_until("the slot is taken", hold)


def test_normal_and_streamed_calls_and_typed_errors(stack):
    place = installed(SOURCE)
    r = stack.relay
    r.adm("upstreams", "add", "sdk-anthropic", "--url", stack.upstream.url, "--provider", "anthropic")
    stack.account("sdk-anthropic", "sdk-anthropic", "sk-ant-api03-x")
    r.adm("pools", "set", "sdk-anthropic", "sdk-anthropic")
    key = r.issue("demo", "--pool", "sdk-anthropic")
    revoked = r.adm("tokens", "issue", "--tenant", "demo")
    r.adm("tokens", "revoke", str(revoked["id"]))
    quota, slot, holder = used_up(stack)
    run = subprocess.run(["node", "calls.mjs", f"http://127.0.0.1:{stack.port}", stack.key, key, "rk_bad",
                          revoked["token"], quota, slot], cwd=place, capture_output=True, text=True, timeout=120)
    holder.close()
    assert run.returncode == 0, run.stdout + run.stderr
    out = json.loads(run.stdout)
    for call in ("chat", "chatStream", "response", "responseStream", "message", "messageStream"):
        assert out[call] == TEXT, call
    codes = {"bad": "invalid_api_key", "revoked": "revoked_api_key"}
    assert set(out["refusals"]) == {f"{sdk} {name}" for sdk in ("openai", "anthropic") for name in codes}
    for case, error in out["refusals"].items():
        assert error["raised"] and error["typed"] and error["status"] == 401, (case, error)
        assert (error["code"], error["type"]) == (codes[case.split()[1]], "authentication_error"), (case, error)
    # X-Should-Retry: a quota is shown at once, although the SDKs repeat a 429 by themselves
    sent = {case: (error["sent"], error["status"], error["code"]) for case, error in out["sent"].items()}
    assert sent == {"openai quota": (1, 429, "quota_exceeded"), "anthropic quota": (1, 429, "quota_exceeded"),
                    "openai slot": (2, 429, "concurrency_limited"), "anthropic slot": (2, 429, "concurrency_limited")}
