"""Conversations that only the request body names: pi, Qwen Code, Cline, the AI SDK and LangChain send no header."""
import collections
import concurrent.futures
import itertools
import json
import os
import signal
import time

import pytest

from failures import FailingStack
from relay import ANY, VERSIONS, wait_until

UNLIMITED = ("--rpm", "0", "--rph", "0", "--concurrency", "0", "--max-consecutive", "0")
ACCOUNTS = 3
CONVERSATIONS = 8
JSON = ("Content-Type", "application/json")


@pytest.fixture(scope="module", params=VERSIONS)
def site(request):
    s = FailingStack(request.param)
    try:
        yield s.start()
    finally:
        s.stop()


def pool_of(site, name, upstream="openai", n=ACCOUNTS, **options):
    return site.pool(f"body-{name}", n, upstream=upstream, options=[UNLIMITED] * n, **options)


# --- what the clients send: the body of turn `n` of conversation `c`, which grows ---

def talk(c, n, user, assistant):
    """The messages of all turns so far."""
    messages = [user(f"do number {c}", 0 == n)]
    for i in range(n):
        messages += [assistant(f"answer {i}"), user(f"and then {i}", i == n - 1)]
    return messages


def said(role):
    return lambda text, last=False: {"role": role, "content": text}


def marked(text, last=False):
    """Cline marks the last messages for Anthropic's cache; the mark moves on with each turn."""
    part = {"type": "text", "text": text}
    return {"role": "user", "content": [{**part, "cache_control": {"type": "ephemeral"}} if last else part]}


def input_text(text, last=False):
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def gemini(role):
    return lambda text, last=False: {"role": role, "parts": [{"text": text}]}


SYSTEM = {"role": "system", "content": "You are a coding agent. " * 100}
CLIENTS = {
    "pi": ("codex", "/v1/responses", lambda c, n: {
        "model": "m", "input": talk(0, n, input_text, said("assistant")), "stream": False,
        "prompt_cache_key": f"0199-session-{c}"}),
    "ai-sdk": ("openai", "/v1/responses", lambda c, n: {
        "model": "m", "input": [SYSTEM, *talk(c, n, input_text, said("assistant"))]}),
    "qwen-code": ("openai", "/v1/chat/completions", lambda c, n: {
        "model": "m", "messages": [SYSTEM, *talk(c, n, said("user"), said("assistant"))], "temperature": 0}),
    "cline": ("anthropic", "/v1/messages", lambda c, n: {
        "model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "s"}],
        "messages": talk(c, n, marked, said("assistant")), "stream": False}),
    "langchain": ("anthropic", "/v1/messages", lambda c, n: {
        "max_tokens": 9, "messages": talk(0, n, said("user"), said("assistant")), "model": "m",
        "metadata": {"user_id": f"user-{c}"}}),
    "gemini": ("gemini", "/v1beta/models/m:generateContent", lambda c, n: {
        "contents": talk(c, n, gemini("user"), gemini("model")), "generationConfig": {"temperature": 0}}),
}


def ask(pool, path, body, headers=(), **options):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = pool.post(body=body, path=path, headers=[JSON, *headers], **options)
    assert answer.status == 200, (answer.status, answer.body)
    return json.loads(answer.body)["token"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_conversation_stays(site, client):
    upstream, path, body = CLIENTS[client]
    pool = pool_of(site, client, upstream)
    tokens = collections.defaultdict(set)
    for n in range(4):
        for c in range(CONVERSATIONS):
            tokens[c].add(ask(pool, path, body(c, n)))
    assert all(len(t) == 1 for t in tokens.values()), dict(tokens)
    assert len(set.union(*tokens.values())) > 1, dict(tokens)


def test_a_long_conversation_stays(site):
    """Its name comes behind its messages, and is out of reach when they have 48 KB."""
    pool = pool_of(site, "long", "codex")
    for c in range(CONVERSATIONS):
        tokens = []
        for size in (100, 10000, 47000, 60000, 200000, 300):
            tokens.append(ask(pool, "/v1/responses", {
                "input": [input_text(f"do number {c}"), said("assistant")("x" * size)],
                "prompt_cache_key": f"session-{c}"}))
        assert len(set(tokens)) == 1, (c, tokens)


# --- when the agent asks for the body ---

class Questions:
    def __init__(self, site):
        self.site = site

    def count(self):
        return self.site.relay.metric('relay_spop_frames_total{type="notify"}')

    def of(self, ask):
        before = self.count()
        ask()
        return self.count() - before


BODY = CLIENTS["qwen-code"][2](1, 1)
PATH = "/v1/chat/completions"


def test_only_requests_that_need_it_are_asked_twice(site):
    pool = pool_of(site, "asked")
    single = pool_of(site, "single", n=1)
    questions = Questions(site)
    packed = json.dumps(BODY).encode()
    cases = {
        "plain": (2, lambda: ask(pool, PATH, BODY)),
        "a charset": (2, lambda: pool.post(path=PATH, body=packed,
                                           headers=[("content-type", "Application/JSON; charset=utf-8")])),
        "one account": (1, lambda: ask(single, PATH, BODY)),
        "a header": (1, lambda: ask(pool, PATH, BODY, [("session-id", "s")])),
        "no answer of a model": (1, lambda: ask(pool, "/v1/embeddings", BODY)),
        "no JSON": (1, lambda: pool.post(path=PATH, body=packed, headers=[("Content-Type", "text/plain")])),
        "encoded": (1, lambda: ask(pool, PATH, packed, [("Content-Encoding", "gzip")])),
        "no body": (1, lambda: ask(pool, PATH, b"")),
        "a GET": (1, lambda: site.get(PATH, key=pool.key, headers=[JSON])),
        "a head that leaves no place": (1, lambda: ask(
            pool, PATH, b"{" + b" " * 60000 + b"}", [(f"x-{i}", "x" * 4000) for i in range(5)])),
        "a bad key": (1, lambda: site.post(PATH, body=packed, key="rk_bad", headers=[JSON])),
    }
    # The account of what a key stores is not known before its first answer, which HAProxy reports at once.
    assert site.get(PATH, key=pool.key).status == 200
    for name, (expected, act) in cases.items():
        assert questions.of(act) == expected, name
    wait_until("all slots are free", lambda: site.relay.metric("relay_leases_outstanding") == 0)


def begin(site, key, length, sent=b"{", headers=()):
    s = site.connect()
    site.send(s, "POST", PATH, [JSON, ("Content-Length", length), *headers], sent, key)
    return s


def status_of(s):
    return int(s.recv(65536).split(b" ", 2)[1])


def test_nothing_is_counted_before_the_body_is_there(site):
    pool = pool_of(site, "late")
    site.relay.adm("tenants", "set", pool.name, "--rph", "2", "--concurrency", "1")
    body = json.dumps(BODY).encode()
    slow = [begin(site, pool.key, len(body), body[:5]) for _ in range(4)]
    assert ask(pool, PATH, BODY)
    wait_until("its slot is free", lambda: site.relay.metric("relay_leases_outstanding") == 0)
    for s, expected in zip(slow, (200, 429, 429, 429)):
        s.sendall(body[5:])
        assert status_of(s) == expected
        s.close()


def test_each_question_has_the_headers_that_connection_names(site):
    """The key and the conversation are among them: they go only after the last question."""
    pool = pool_of(site, "named", limits=("--concurrency", "1", "--wait", "30s"))
    for token in pool.tokens:
        pool.failing.set(token, "ok", delay=0.2, method="POST")
    hops = [("Connection", "X-API-Key, X-Hop, Thread-Id"), ("X-Hop", "theirs"), ("Thread-Id", "a")]
    sent = [hops[:2], hops, hops[:2]]
    with concurrent.futures.ThreadPoolExecutor(len(sent)) as threads:
        list(threads.map(lambda headers: ask(pool, PATH, BODY, headers), sent))
    pool.failing.calm()


@pytest.mark.takes(125)
def test_a_body_that_never_comes(fresh):
    s = fresh(ANY)
    s.account("other", "demo", "token-of-other")
    s.relay.adm("pools", "set", "demo", "demo", "other")
    wait_until("HAProxy knows the accounts", lambda: s.get("/echo", key=s.key).status == 200)
    pending = begin(s, s.key, 1000)
    pending.settimeout(200)
    answer = pending.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408") and b"request_timeout" in answer, answer
    assert s.relay.metric("relay_leases_outstanding") == 0
    assert not [r for r in s.upstream.requests() if r["method"] == "POST"]


def test_a_request_that_waits_keeps_its_name(site):
    pool = pool_of(site, "waits", limits=("--concurrency", "1", "--wait", "30s"))
    own = {c: ask(pool, PATH, CLIENTS["qwen-code"][2](c, 0)) for c in range(CONVERSATIONS)}
    for token in pool.tokens:
        pool.failing.set(token, "ok", delay=0.2, method="POST")
    with concurrent.futures.ThreadPoolExecutor(CONVERSATIONS) as threads:
        tokens = list(threads.map(lambda c: ask(pool, PATH, CLIENTS["qwen-code"][2](c, 1)), own))
    pool.failing.calm()
    assert tokens == list(own.values())


def test_a_failover_takes_the_body_along(site):
    pool = pool_of(site, "failover", n=2)
    for token in pool.tokens:
        pool.failing.set(token, 503, method="POST", times=1)
        pool.failing.set(pool.other(token))
        for c in itertools.count():
            answer = pool.post(path=PATH, body=json.dumps(CLIENTS["qwen-code"][2](c, 2)).encode(), headers=[JSON])
            assert answer.status == 200, answer.body
            if pool.failing.total(token):
                break
        pool.reset()


def test_an_agent_that_dies_fails_no_request(site):
    pool = pool_of(site, "killed")
    answers = collections.Counter()
    tokens = collections.defaultdict(set)
    end = time.monotonic() + 30

    def client(c):
        for n in itertools.count():
            if killed["done"] and n > 20 or time.monotonic() > end:
                return
            answer = pool.post(path=PATH, body=json.dumps(CLIENTS["qwen-code"][2](c, n % 5)).encode(), headers=[JSON])
            answers[answer.status] += 1
            if answer.status == 200:
                tokens[c].add(json.loads(answer.body)["token"])

    killed = {"done": False}
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        clients = [threads.submit(client, c) for c in range(4)]
        for _ in range(4):
            pid = site.relay.pid_of("agent")
            os.kill(pid, signal.SIGKILL)
            wait_until("a new agent", lambda: site.relay.pid_of("agent") not in (pid, None, 0))
        killed["done"] = True
        for c in clients:
            c.result()
    assert set(answers) == {200} and answers[200] > 80, answers
    assert all(len(t) == 1 for t in tokens.values()), dict(tokens)
