"""Files, batches and other resources that a provider keeps for an account: no tenant reaches those of another one, each
key finds its own again, and the administration of the account is never served."""
import json
import pathlib
import re

import pytest

from failures import ANY_NUMBER, Failing
from npm import installed
from relay import ROOT, VERSIONS, Stack, wait_until

SDK = pathlib.Path(__file__).resolve().parent / "sdk"
PROVIDERS = ("openai", "codex", "anthropic", "gemini", "generic")
OPENAI = ["/v1/" + name for name in (
    "files", "uploads", "batches", "vector_stores", "containers", "conversations", "assistants", "threads", "evals",
    "fine_tuning/jobs", "videos", "audio/voices", "audio/voice_consents", "skills", "agents", "realtime/calls",
    "chatkit/threads")]
ANTHROPIC = ["/v1/" + name for name in (
    "files", "messages/batches", "skills", "sessions", "agents", "environments", "memory_stores", "vaults",
    "user_profiles", "deployments", "deployment_runs", "dreams", "tunnels")]
GEMINI = ["/v1beta/" + name for name in (
    "files", "batches", "cachedContents", "tunedModels", "corpora", "fileSearchStores", "models/m:batchGenerateContent",
    "models/m:predictLongRunning", "models/m/operations")] + ["/upload/v1beta/files"]
FAMILIES = {"openai": OPENAI, "codex": OPENAI, "anthropic": ANTHROPIC, "gemini": GEMINI,
            "generic": [*OPENAI, *ANTHROPIC, "/api/v1/files", "/openai/files"]}
# A POST asks a model, and what it made is kept below.
PARENTS = {"openai": ["/v1/responses", "/v1/chat/completions"], "codex": ["/v1/responses"],
           "anthropic": [], "gemini": ["/v1beta/interactions"], "generic": ["/v1/responses", "/v1/chat/completions"]}
ADMINISTRATION = ["/v1/organization/users", "/v1/organizations/api_keys", "/v1/projects/p/api_keys", "/v1/compliance/x",
                  "/v1/organization_x", "/api/oauth/claude_cli/create_api_key"]
CREDENTIALS = ["/v1/realtime/client_secrets", "/v1/realtime/sessions", "/v1/chatkit/sessions"]
MINTED = {"gemini": ["/v1alpha/auth_tokens"], "anthropic": ADMINISTRATION,
          "generic": [p for p in ADMINISTRATION if "projects" not in p] + CREDENTIALS}
SPELLINGS = ("/v1//files", "/v1/./files", "/V1/Files", "/v1/%66iles", "/v1/%2566iles", "/v1%2ffiles", "/v1%5cfiles",
             "/v1\\files", "/v1/files;a=b", "/v1/files%00", "/v1;x/files", "/files", "/openai/v1/files",
             "/v1/files%2F{id}", "/v1/%66iles/{id}", "/v1/responses/compact%2f{id}", "/v1/responses;/{id}")
BETA = [("anthropic-beta", "oauth-2025-04-20,files-api-2025-04-14")]


class KeepingStack(Stack):
    """Each provider with the upstream that keeps resources."""

    def __init__(self, version):
        super().__init__(version)
        self.keeping = Failing(self.dir, "keeping", ROOT / "tests/demo/keeping.py")

    def start(self):
        super().start()
        url = self.keeping.url
        for provider in PROVIDERS:
            more = ("--strip", "/v1") if provider == "codex" else ()
            path = "/backend-api/codex" if provider == "codex" else ""
            self.relay.adm("upstreams", "add", provider, "--url", url + path, "--provider", provider, "--probe", "none",
                           *more)
        for provider in PROVIDERS:
            self.pool(f"{provider}-warm", provider, 1)
        return self

    def stop(self):
        try:
            self.keeping.stop()
        finally:
            super().stop()

    def pool(self, name, provider, n=2):
        accounts = [f"{name}-{i}" for i in range(n)]
        for account in accounts:
            self.account(account, provider, f"token-of-{account}", "--rpm", "0", "--rph", "0", "--concurrency", "0",
                         "--max-consecutive", "0")
        self.relay.adm("pools", "set", name, *accounts)
        return accounts

    def tenant(self, name, pool):
        self.relay.adm("tenants", "add", name, "--pool", pool, *ANY_NUMBER)
        return Client(self, name)


class Client:
    """A key of a tenant."""

    def __init__(self, s, tenant):
        self.s, self.tenant, self.key = s, tenant, s.relay.issue(tenant)

    def ask(self, method, path, headers=()):
        answer = self.s.request(method, path, body=b"{}" if method == "POST" else None, key=self.key, headers=headers)
        answer.code = answer.getheader("X-Relay-Error")
        answer.said = json.loads(answer.body) if answer.body else None
        return answer

    def make(self, path, headers=()):
        """The id of a new resource, and the credential that has it."""
        answer = self.ask("POST", path, headers)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.said["ids"][0], answer.said["token"]

    def is_refused(self, method, path, words, headers=()):
        answer = self.ask(method, path, headers)
        assert (answer.status, answer.code) == (404, "no_route"), (method, path, answer.status, answer.body)
        if method != "HEAD":
            assert words in answer.body.decode(), (path, answer.body)
        return answer


UNSAFE = "another tenant could reach them"


@pytest.fixture(scope="module", params=VERSIONS)
def site(request):
    s = KeepingStack(request.param)
    try:
        yield s.start()
    finally:
        s.stop()


def requests_on(path, i):
    """All that a client may do with a resource, or with all of them."""
    return [(method, p) for method in ("GET", "POST", "DELETE", "PATCH", "PUT", "HEAD")
            for p in (path, f"{path}/{i}", f"{path}/{i}/content/x")]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_one_tenant_reaches_its_own_and_no_other_tenant_does(site, provider):
    """Alone, a tenant has all of its resources. With a second tenant nobody reaches any, until it has left again."""
    name = f"own-{provider}"
    accounts = site.pool(name, provider)
    first = site.tenant(f"{name}-one", name)
    made, tokens = {}, set()
    for path in FAMILIES[provider]:
        i, token = first.make(path)
        made[path] = i
        tokens.add(token)
        assert first.ask("GET", f"{path}/{i}").status == 200
        assert i in first.ask("GET", path).said["ids"]
    assert len(tokens) == 1
    for path in PARENTS[provider]:
        i, token = first.make(path)
        assert first.ask("GET", f"{path}/{i}").status == (200 if token in tokens else 404)
    if provider in ("anthropic", "generic"):
        assert first.make("/v1/messages", BETA)[1] in tokens
    second = site.tenant(f"{name}-two", name)
    assert not site.relay.adm("pools", "show", name)["resources_served"]
    site.keeping.clear()
    for client in (first, second):
        for path, i in made.items():
            for method, p in requests_on(path, i):
                client.is_refused(method, p, UNSAFE)
        for path in PARENTS[provider]:
            for method, p in requests_on(path, "res-1"):
                if (method, p) != ("POST", path):
                    client.is_refused(method, p, UNSAFE)
            client.is_refused("POST", path, UNSAFE, [("X-HTTP-Method-Override", "GET")])
        if provider in ("anthropic", "generic"):
            client.is_refused("POST", "/v1/messages", UNSAFE, BETA)
    assert site.keeping.requests(None) == []
    # what a model answers needs no resource
    for path in PARENTS[provider]:
        assert second.ask("POST", path).status == 200
    site.relay.adm("tenants", "set", second.tenant, "--pool", "")
    for path, i in made.items():
        assert first.ask("GET", f"{path}/{i}").status == 200, path
    assert len(accounts) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_with_shared_resources_tenants_of_one_account_reach_each_other(site, provider):
    """The operator accepts that. At different accounts they do not meet."""
    name = f"shared-{provider}"
    site.pool(name, provider)
    first, second = site.tenant(f"{name}-one", name), site.tenant(f"{name}-two", name)
    site.relay.adm("pools", "set", name, "--resources", "shared")
    assert site.relay.adm("pools", "show", name)["resources_served"]
    keys = [second] + [Client(site, second.tenant) for _ in range(12)]
    home = first.make(FAMILIES[provider][0])[1]
    homes = {k: k.make(FAMILIES[provider][0])[1] for k in keys}
    same = next(k for k, token in homes.items() if token == home)
    other = next(k for k, token in homes.items() if token != home)
    for path in FAMILIES[provider]:
        i, token = first.make(path)
        assert token == home
        assert same.ask("GET", f"{path}/{i}").status == 200 and i in same.ask("GET", path).said["ids"]
        for method, p in requests_on(path, i):
            if p != path:
                answer = other.ask(method, p)
                assert (answer.status, answer.getheader("X-Relay-Upstream")) == (404, "1"), (method, p)
        assert i not in other.ask("GET", path).said["ids"]
        assert same.ask("DELETE", f"{path}/{i}").status == 200
        assert first.ask("GET", f"{path}/{i}").status == 404


def test_every_spelling_is_refused(site):
    accounts = site.pool("spelt", "openai", 1)
    alone = site.tenant("spelt-one", "spelt")
    i, _ = alone.make("/v1/files")
    reached = [p for p in SPELLINGS if alone.ask("GET", p.format(id=i)).status == 200]
    assert len(reached) > len(SPELLINGS) // 2, reached
    site.pool("spelt-codex", "codex", 1)
    intruder = site.tenant("spelt-two", "spelt")
    codex = [site.tenant(f"spelt-{n}", "spelt-codex") for n in ("three", "four")]
    site.keeping.clear()
    for client in (intruder, codex[0]):
        for p in SPELLINGS:
            client.is_refused("GET", p.format(id=i), UNSAFE)
    assert site.keeping.requests(None) == [] and len(accounts) == 1
    for path in ("/v1/responses", "/v1/responses/compact"):
        assert codex[1].ask("POST", path).status == 200
    assert [r["path"] for r in site.keeping.requests()] == ["/backend-api/codex/responses",
                                                            "/backend-api/codex/responses/compact"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_administration_is_never_served(site, provider):
    name = f"admin-{provider}"
    site.pool(name, provider, 1)
    client = site.tenant(name, name)
    paths = MINTED.get(provider, ADMINISTRATION + CREDENTIALS)
    site.keeping.clear()
    for setting in ("exclusive", "shared"):
        site.relay.adm("pools", "set", name, "--resources", setting)
        for path in paths:
            for method, p in requests_on(path, "x"):
                client.is_refused(method, p, "administration")
    assert site.keeping.requests(None) == []


def test_why_says_the_reason(site):
    site.pool("why", "openai")
    first = site.tenant("why-one", "why")

    def why(answer):
        i = answer.getheader("X-Request-Id")
        return wait_until("it has ended", lambda: (w := site.relay.adm("requests", "why", i)).get("status") and w)
    assert why(first.ask("POST", "/v1/files"))["resources"] == "the resources of a key are at one account"
    bound = why(first.ask("GET", "/v1/files"))
    assert {c["reason"] for c in bound["candidates"]} == {
        "taken: the conversation, or the resources of the key, are bound to it",
        "the conversation, or the resources of the key, are bound to another account"}
    assert why(first.ask("POST", "/v1/responses"))["resources"] is None
    assert "administration" in why(first.ask("GET", "/v1/projects"))["resources"]
    site.tenant("why-two", "why")
    refused = why(first.ask("GET", "/v1/files"))
    assert refused["code"] == "no_route" and "another tenant" in refused["resources"]


def test_the_account_is_known_after_a_restart_without_state(fresh):
    """Not the account that the key would get without a binding."""
    for version in VERSIONS:
        s = KeepingStack(version)
        try:
            s.start()
            accounts = s.pool("kept", "openai")
            client = s.tenant("kept", "kept")
            usual = client.ask("GET", "/v1/files/x")
            assert usual.status == 200
            usual = usual.said["token"].removeprefix("token-of-")
            other, = [a for a in accounts if a != usual]
            s.relay.adm("pools", "set", "kept", other)
            before = s.relay.metric("relay_snapshot_version")
            i, token = client.make("/v1/files")
            assert token == f"token-of-{other}"
            wait_until("the agent knows it", lambda: s.relay.metric("relay_snapshot_version") > before)
            s.relay.adm("pools", "set", "kept", *accounts)
            s.relay.stop()
            (s.dir / "state" / "state").unlink()
            s.relay.start()
            for path in ("/v1/files", f"/v1/files/{i}"):
                assert wait_until("it serves", lambda: (a := client.ask("GET", path)).status == 200 and a).said["token"] == token
        finally:
            s.stop()


# Paths of the SDKs that reach no resource.
STATELESS = re.compile(r"^/(v1/)?(chat/completions|completions|complete|responses|embeddings|moderations|images/\w+|messages|"
                       r"models|audio/(speech|transcriptions|translations)|responses/(compact|input_tokens)|"
                       r"messages/count_tokens)$")


@pytest.mark.parametrize("provider, package", (("openai", "openai"), ("anthropic", "@anthropic-ai/sdk")))
def test_the_sdks_know_no_other_family(site, provider, package):
    """Each path of the SDK either is a known stateless one, or is refused in a pool of two tenants."""
    name = f"sdk-{provider}"
    site.pool(name, provider, 1)
    client, _ = site.tenant(f"{name}-one", name), site.tenant(f"{name}-two", name)
    sources = (installed(SDK) / "node_modules" / package / "resources").rglob("*.js")
    calls = {m.groups() for f in sources
             for m in re.finditer(r"_client\.(get|post|delete|getAPIList)\((?:path`|'|`)(/[a-z][^'`]*)['`]", f.read_text())}
    assert len(calls) > 40
    for verb, path in sorted(calls):
        path = re.sub(r"\$\{[^}]*\}", "x", path.split("?")[0])
        if not STATELESS.match(path) or verb == "delete":
            if path == "/models/x" or path == "/v1/models/x":
                continue
            method = {"getAPIList": "GET"}.get(verb, verb.upper())
            answer = client.ask(method, path if path.startswith("/v1") else f"/v1{path}")
            assert (answer.status, answer.code) == (404, "no_route"), (method, path, answer.status)
