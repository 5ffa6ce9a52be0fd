"""Key -> tenant -> account -> credential -> source address, exactly as configured."""
import base64
import concurrent.futures
import json
import random
import time

import pytest

from relay import VERSIONS, header, is_full


def jwt(expires):
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    return f"{part({'alg': 'none'})}.{part({'exp': expires})}.sig"


def add(stack, name, provider, token, *options, url_path="", upstream=(), tmp=None):
    """An upstream, an account, a pool and a key with the same name."""
    r = stack.relay
    r.adm("upstreams", "add", name, "--url", stack.upstream.url + url_path, "--provider", provider, *upstream)
    if token:
        stack.account(name, name, token, *options)
    else:
        r.adm("accounts", "add", name, "--upstream", name, *options)
    r.adm("pools", "set", name, name)
    return r.issue("demo", "--pool", name)


def last(stack):
    return stack.upstream.requests()[-1]


def test_bearer_source_and_nothing_of_the_client(stack):
    stack.relay.adm("egress", "add", "ip-9", "--source", "127.0.0.9")
    key = add(stack, "plain", "openai", "sk-plain", "--egress", "ip-9", "--header", "OpenAI-Organization: org-ours")
    answer = stack.post("/v1/x?q=1%20a", key=key, headers=[
        ("Authorization", "Bearer own-jwt"), ("Cookie", "a=b"), ("X-Forwarded-For", "9.9.9.9"),
        ("OpenAI-Organization", "org-theirs"), ("X-Relay-Secret", "x"), ("anthropic-beta", "keep-me")])
    assert answer.status == 200
    row = last(stack)
    assert row["source_ip"] == "127.0.0.9"
    assert (row["path"], row["query"]) == ("/v1/x", "q=1%20a")
    assert header(row, "authorization") == "Bearer sk-plain"
    assert header(row, "openai-organization") == "org-ours"
    assert header(row, "anthropic-beta") == "keep-me"
    assert header(row, "host") == f"127.0.0.1:{stack.upstream.port}"
    names = {k.lower() for k, _ in row["headers"]}
    assert not names & {"x-api-key", "cookie", "x-forwarded-for", "x-relay-secret"}
    assert key not in json.dumps(row)


def test_headers_for_one_hop(stack):
    answer = stack.post("/v1/x", key=stack.key, headers=[("Connection", "X-Hop, close"), ("X-Hop", "1"), ("X-End", "2")])
    assert answer.status == 200
    assert header(last(stack), "x-hop") is None and header(last(stack), "x-end") == "2"
    answer = stack.post("/v1/x", key=stack.key, headers=[("Connection", "X-A"), ("X-A", "1"), ("Other-X-A", "2")])
    if stack.version == "3.4":
        assert header(last(stack), "x-a") is None and header(last(stack), "other-x-a") == "2"
    else:  # no rule of these versions could tell them apart
        assert (answer.status, answer.getheader("X-Relay-Error")) == (400, "bad_request")


def test_key_as_bearer(stack):
    answer = stack.post("/v1/x", headers=[("Authorization", f"Bearer {stack.key}")])
    assert answer.status == 200
    assert header(last(stack), "authorization") == "Bearer token-of-demo"


def test_codex_auth_json(stack, tmp_path):
    auth = tmp_path / "auth.json"
    token = jwt(int(time.time()) + 3600)
    auth.write_text(json.dumps({"OPENAI_API_KEY": None, "last_refresh": "2026-01-01T00:00:00Z", "tokens": {
        "id_token": jwt(1), "access_token": token, "refresh_token": "rt-secret", "account_id": "acc-42"}}))
    key = add(stack, "codex", "codex", None, "--auth-json", str(auth))
    answer = stack.post("/responses", key=key, headers=[("ChatGPT-Account-ID", "forged")])
    assert answer.status == 200
    assert header(last(stack), "authorization") == f"Bearer {token}"
    assert header(last(stack), "chatgpt-account-id") == "acc-42"


def test_anthropic_key_and_oauth(stack):
    key = add(stack, "anthropic", "anthropic", "sk-ant-api03-x")
    assert stack.post("/v1/messages", key=key, headers=[("anthropic-version", "2023-06-01")]).status == 200
    row = last(stack)
    assert header(row, "x-api-key") == "sk-ant-api03-x" and header(row, "authorization") is None
    assert header(row, "anthropic-version") == "2023-06-01"
    key = add(stack, "anthropic-oauth", "anthropic", "sk-ant-oat01-x")
    assert stack.post("/v1/messages", key=key, headers=[("anthropic-beta", "tools-1")]).status == 200
    row = last(stack)
    assert header(row, "authorization") == "Bearer sk-ant-oat01-x" and header(row, "x-api-key") is None
    assert header(row, "anthropic-beta") == "tools-1,oauth-2025-04-20"


def test_prefix_and_strip(stack):
    key = add(stack, "rewritten", "generic", "t", url_path="/backend/api", upstream=("--strip", "/v1"))
    for path, expected in (("/v1/chat/completions?x=/v1", "/backend/api/chat/completions"),
                           ("/v1beta/models", "/backend/api/v1beta/models"), ("/v1", "/backend/api/")):
        assert stack.post(path, key=key).status == 200
        assert last(stack)["path"] == expected


@pytest.mark.takes(25)
@pytest.mark.parametrize("version", VERSIONS)
def test_no_request_leaves_as_another(fresh, version):
    """33 tenants, 100 keys, 20 accounts (RELAY_FULL=1: three times as many), 10 addresses; the upstream reports credential
    and address of each request."""
    tenants, tokens, accounts, requests = (100, 300, 50, 3000) if is_full() else (33, 100, 20, 1000)
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    s = fresh(version)
    r = s.relay
    egresses = [f"ip{i}" for i in range(10)]
    for i, name in enumerate(egresses):
        r.adm("egress", "add", name, "--source", f"127.0.0.{20 + i}", "--shared")
    way = {}
    for i in range(accounts):
        way[f"a{i}"] = rng.randrange(10)
        s.account(f"a{i}", "demo", f"token-of-a{i}", "--egress", egresses[way[f"a{i}"]], "--no-reload")
    pools = {f"p{i}": rng.sample(sorted(way), rng.randrange(1, 8)) for i in range(30)}
    for name, members in pools.items():
        r.adm("pools", "set", name, *members)
    tenant_pool = {f"t{i}": rng.choice(sorted(pools)) for i in range(tenants)}
    for name, pool in tenant_pool.items():
        r.adm("tenants", "add", name, "--pool", pool)
    keys = []
    for i in range(tokens):
        tenant = f"t{i % tenants}"
        own = rng.choice([None, rng.choice(sorted(pools))])
        keys.append((r.issue(tenant, *(("--pool", own) if own else ())), own or tenant_pool[tenant]))
    r.adm("haproxy", "reload")
    s.upstream.clear()

    def one(n):
        key, _ = keys[n % tokens]
        return s.post(f"/v1/n/{n}", key=key, headers=[("session-id", f"c{n % 97}")] if n % 2 else []).status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(one, range(requests)))
    assert set(statuses) == {200}
    rows = s.upstream.requests()
    assert len(rows) == requests
    for row in rows:
        n = int(row["path"].rsplit("/", 1)[1])
        account = header(row, "authorization").removeprefix("Bearer token-of-")
        assert keys[n % tokens][0] not in json.dumps(row)
        assert account in pools[keys[n % tokens][1]], f"request {n} left as {account}"
        assert row["source_ip"] == f"127.0.0.{20 + way[account]}", f"request {n} left from {row['source_ip']}"
