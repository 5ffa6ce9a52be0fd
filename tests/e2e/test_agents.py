"""Agents as users have them, five turns with tool calls each: what their users see of failures. RELAY_FULL=1 runs every
agent on every version."""
import threading
import time

import pytest

import agents
from failures import NO_BUDGET, Pool
from relay import VERSIONS, Stack, is_full, wait_until

UNLIMITED = ("--rpm", "0", "--rph", "0", "--concurrency", "0", "--max-consecutive", "0")
AGENTS = {"codex": (agents.codex, "codex"), "claude": (agents.claude, "anthropic"),
          "opencode": (agents.opencode, "openai"), "openai-responses": (agents.sdk("responses"), "openai"),
          "openai-chat": (agents.sdk("chat"), "openai"), "anthropic-messages": (agents.sdk("messages"), "anthropic"),
          "azure-chat": (agents.sdk("azure"), "openai"), "gemini": (agents.gemini, "gemini"),
          "gemini-sdk": (agents.sdk("gemini"), "gemini")}
# Codex on every version, since its conversations are bound; the others on the oldest and the newest.
RUNS = [(version, agent) for version in VERSIONS for agent in AGENTS
        if agent == "codex" or is_full() or version in (VERSIONS[0], VERSIONS[-1])]
TRANSIENT = {"503": {"do": 503}, "503-told": {"do": 503, "headers": [("Retry-After", "30")]}, "529": {"do": 529},
             "closed": {"do": "close"}}
SILENCE = 11  # seconds in which nothing happens, at most: a Retry-After of 10 s and a turn
PATIENCE = 60
HOUR = 3600
PATHS = {"anthropic": "/v1/messages", "gemini": "/v1beta/models/demo:generateContent"}
GEMINI_LIMIT = {"code": 429, "message": "You exceeded your current quota.", "status": "RESOURCE_EXHAUSTED", "details": [
    {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
     "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}]}
# Codex shows another text, with the end of the limit; the others show our message.
LIMIT = {"codex": "hit your usage limit"}


class AgentStack(Stack):
    def __init__(self, version):
        super().__init__(version, NO_BUDGET)
        self.failing = agents.Provider(self.dir)
        self.names = iter(range(10000))
        self.seconds = {}

    def start(self):
        super().start()
        url = self.failing.url
        self.relay.adm("upstreams", "add", "openai", "--url", url, "--provider", "openai")
        self.relay.adm("upstreams", "add", "anthropic", "--url", url, "--provider", "anthropic")
        self.relay.adm("upstreams", "add", "gemini", "--url", url, "--provider", "gemini")
        self.relay.adm("upstreams", "add", "codex", "--url", f"{url}/backend-api/codex", "--strip", "/v1",
                       "--provider", "codex")
        return self

    def clean(self, desk):
        """Seconds of a run without a failure. The first one also makes the agent's home."""
        if desk.agent not in self.seconds:
            self.seconds[desk.agent] = PATIENCE
            run = Desk(self, desk.agent, desk.home).run()
            assert_done(run)
            self.seconds[desk.agent] = run.seconds
        return self.seconds[desk.agent]

    def stop(self):
        try:
            self.failing.stop()
        finally:
            super().stop()


class Desk:
    """An agent with a home, and a pool of two accounts for it."""

    def __init__(self, site, agent, home, limits=()):
        self.site, self.agent, self.home = site, agent, home
        self.run_agent, upstream = AGENTS[agent]
        self.upstream = upstream
        name = f"{agent}-{next(site.names)}"
        tokens = [f"sk-ant-api03-{name}-{i}" for i in range(2)] if upstream == "anthropic" else None
        self.pool = Pool(site, name, 2, upstream=upstream, tokens=tokens, options=[UNLIMITED] * 2)
        if limits:
            site.relay.adm("tenants", "set", name, *limits)
        self.failing = site.failing
        self.clean = site.clean(self)
        wait_until("HAProxy knows the pool", lambda: site.get("/v1/models", key=self.pool.key).status == 200)
        self.failing.calm()

    def run(self, key=None):
        run = self.run_agent(f"http://127.0.0.1:{self.site.port}", key or self.pool.key, self.home)
        times = [r["time"] for r in self.failing.turns()]
        print(f"{self.pool.name} on HAProxy {self.site.version}: {run}")
        assert max((b - a for a, b in zip(times, times[1:])), default=0) < SILENCE, times
        return run

    def wait_of_opencode(self, home):
        status, seconds = agents.opencode_waits(f"http://127.0.0.1:{self.site.port}", self.pool.key, home)
        print(f"{self.pool.name} on HAProxy {self.site.version}: after {seconds:.1f} s {status}")
        assert status["type"] == "retry", status
        return status, seconds

    def is_quick(self, run):
        """No silence in it, as compared with a run without a failure on this machine, which may be busy."""
        return run.seconds < 3 * self.clean + SILENCE

    def fail_turn(self, n, do, times=1, **more):
        self.failing.set(f"turn-{n}", do, times=times, **more)

    def tokens_used(self):
        return {r["token"] for r in self.failing.turns() if r["did"] == "ok"}

    def use_up(self, tokens):
        """The accounts have reached their limit for an hour."""
        end = int(time.time()) + HOUR
        body = {"error": {"type": "usage_limit_reached", "message": "The usage limit has been reached",
                          "plan_type": "plus", "resets_at": end}}
        headers = [("anthropic-ratelimit-unified-status", "rejected"), ("anthropic-ratelimit-unified-reset", str(end))]
        if self.upstream == "gemini":
            body, headers = {"error": GEMINI_LIMIT}, []
        for token in tokens:
            self.failing.set(token, 429, method="POST", body=body, headers=headers)

    def meet_the_limit(self, token):
        """The relay has seen that the account is used up."""
        def met():
            self.pool.post(next(self.pool.sessions), path=PATHS.get(self.upstream, "/v1/responses"))
            return self.pool.show(token)["state"] == "window"
        wait_until("the account is in its window", met)


@pytest.fixture(scope="module")
def sites():
    made = {}

    def get(version):
        if version not in made:
            made[version] = AgentStack(version)
            made[version].start()
        return made[version]
    try:
        yield get
    finally:
        for site in made.values():
            site.stop()


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    made = {}
    return lambda agent: made.setdefault(agent, tmp_path_factory.mktemp(agent))


@pytest.fixture(params=RUNS, ids=lambda run: "-".join(run))
def desk(request, sites, homes):
    version, agent = request.param
    return lambda **options: Desk(sites(version), agent, homes(agent), **options)


# OpenCode retries each 429, whatever X-Should-Retry says, and sleeps for as long as Retry-After says: the last two tests.
@pytest.fixture(params=[run for run in RUNS if run[1] != "opencode"], ids=lambda run: "-".join(run))
def heeding_desk(request, sites, homes):
    version, agent = request.param
    return lambda **options: Desk(sites(version), agent, homes(agent), **options)


def assert_done(run):
    assert run.code == 0 and agents.DONE in run.text, run


@pytest.mark.takes(5)
@pytest.mark.parametrize("failure", TRANSIENT)
def test_a_transient_failure_is_survived(desk, failure):
    d = desk()
    d.fail_turn(2, **TRANSIENT[failure])
    assert_done(d.run())
    turns = d.failing.turns()
    assert [r["turn"] for r in turns if r["did"] == "ok"] == list(range(6))
    assert len(turns) == 7
    if d.agent == "codex":
        assert len(d.tokens_used()) == 1  # its reasoning is bound to the account


@pytest.mark.takes(5)
def test_an_account_that_is_used_up_meanwhile(desk):
    """Another account takes over; a conversation with bound state ends with a word about it, and a new one goes on."""
    d = desk()
    first = []

    def use_up_the_first():
        first.append(wait_until("a turn is answered", d.failing.turns, 60)[0]["token"])
        d.use_up(first)
    thread = threading.Thread(target=use_up_the_first)
    for token in d.pool.tokens:
        d.failing.set(token, "ok", delay=0.3)
    thread.start()
    run = d.run()
    thread.join()
    if d.agent != "codex":
        return assert_done(run)
    assert run.code != 0 and LIMIT[d.agent] in run.text and d.is_quick(run), run
    d.failing.clear()
    assert_done(d.run())
    assert first[0] not in d.tokens_used()


@pytest.mark.takes(3)
def test_an_exhausted_pool_is_told_at_once(heeding_desk):
    d = heeding_desk()
    d.use_up(d.pool.tokens)
    for token in d.pool.tokens:
        d.meet_the_limit(token)
    d.failing.clear()
    run = d.run()
    assert run.code != 0 and LIMIT.get(d.agent, "limit") in run.text and d.is_quick(run), run
    assert d.failing.turns() == []


@pytest.mark.takes(3)
def test_a_daily_quota_is_told_at_once(heeding_desk):
    d = heeding_desk(limits=("--daily", "4"))
    run = d.run()
    assert run.code != 0 and LIMIT.get(d.agent, "4 requests a day") in run.text and d.is_quick(run), run


@pytest.mark.takes(3)
def test_a_bad_key_is_told_at_once(desk):
    d = desk()
    run = d.run(key="rk_" + "x" * 36)
    assert run.code != 0 and "relay key is not known" in run.text and d.is_quick(run), run
    assert d.failing.turns() == []


@pytest.mark.takes(5)
def test_a_reload_in_the_middle(desk):
    d = desk()
    for token in d.pool.tokens:
        d.failing.set(token, "ok", delay=0.3)
    reloaded = []

    def reload():
        wait_until("the agent is in the middle", lambda: len(d.failing.turns()) >= 3, 60)
        reloaded.append(d.site.relay.adm("haproxy", "reload"))
    thread = threading.Thread(target=reload)
    thread.start()
    run = d.run()
    thread.join()
    assert reloaded
    assert_done(run)
    if d.agent == "codex":
        assert len(d.tokens_used()) == 1


@pytest.fixture(params=[run for run in RUNS if run[1] == "opencode"], ids=lambda run: "-".join(run))
def opencode_desk(request, sites, homes):
    version, agent = request.param
    return lambda **options: Desk(sites(version), agent, homes(agent), **options)


@pytest.mark.takes(4)
def test_opencode_says_that_the_pool_is_exhausted_and_until_when(opencode_desk, tmp_path):
    d = opencode_desk()
    d.use_up(d.pool.tokens)
    for token in d.pool.tokens:
        d.meet_the_limit(token)
    status, seconds = d.wait_of_opencode(tmp_path)
    assert "all accounts are at their limits until" in status["message"] and seconds < SILENCE - 1, (status, seconds)
    assert HOUR - 120 < status["next"] / 1000 - time.time() < HOUR + 60, status


@pytest.mark.takes(4)
def test_opencode_says_that_the_daily_quota_is_used_up_and_until_when(opencode_desk, tmp_path):
    d = opencode_desk(limits=("--daily", "4"))
    status, seconds = d.wait_of_opencode(tmp_path)
    assert "4 requests a day" in status["message"] and seconds < SILENCE - 1 + d.clean, (status, seconds)
    assert status["next"] / 1000 % (24 * HOUR) < 60, status  # 00:00 UTC
