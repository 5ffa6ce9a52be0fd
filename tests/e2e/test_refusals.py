"""What a client is told when no account of its pool can serve (docs/LIMITS.md, "What the client is told"), with the real
causes. The rows for tenants and keys are in test_limits.py, the other codes in test_errors.py."""
import json
import time

import pytest

from failures import NO_BUDGET, FailingStack
from relay import VERSIONS, wait_until

RECOVERY = 30
HOURS = 7200


@pytest.fixture(scope="module", params=VERSIONS)
def site(request):
    s = FailingStack(request.param, NO_BUDGET + f"recovery = {RECOVERY}s\n")
    try:
        yield s.start()
    finally:
        s.stop()


def pool_of(site, name, n=1, wait="0s", **options):
    pool = site.pool(name, n, **options)
    site.relay.adm("pools", "set", name, *pool.accounts, "--wait", wait)
    return pool


def told(answer, status, code, kind):
    """The error of a refusal; checks what all of them have in common."""
    assert (answer.status, answer.code) == (status, code), answer.body
    error = json.loads(answer.body)["error"]
    assert (error["code"], error["type"]) == (code, kind)
    assert answer.getheader("X-Should-Retry") == str(error["retryable"]).lower()
    return error


def refused(pool, code):
    """The first refusal with this code, while requests fail."""
    return wait_until(code, lambda: (a := pool.post()).code == code and a)


def window(pool, i, seconds):
    """The account's plan is used up for this long."""
    end = int(time.time()) + seconds
    said = {"error": {"type": "usage_limit_reached", "message": "m", "resets_at": end}}
    pool.failing.set(pool.tokens[i], 429, body=said, headers=[("Content-Type", "application/json")])
    return end


def assert_names_no_account(pool, error):
    assert error["message"].startswith(f"pool {pool.name}: "), error["message"]
    for account in pool.accounts:
        assert account not in error["message"]


def test_only_a_person_can_end_it(site):
    pool = pool_of(site, "persons", 2)
    site.relay.adm("accounts", "suspend", pool.accounts[0])
    assert pool.post().status == 200
    site.relay.adm("accounts", "suspend", pool.accounts[1])
    answer = pool.post()
    error = told(answer, 503, "no_account", "overloaded_error")
    assert (answer.getheader("Retry-After"), error["resets_at"], error["retryable"]) == (None, None, False)
    assert error["message"] == "pool persons: no account can be used; only the operator can end this"


def test_a_limit_of_seconds(site):
    pool = pool_of(site, "slots", options=[("--concurrency", "1")])
    pool.failing.set(pool.tokens[0], 200, delay=60)
    s = site.connect()
    site.send(s, "GET", "/v1/x", key=pool.key)
    wait_until("the slot is taken", lambda: pool.failing.now(pool.tokens[0]) == 1)
    answer = pool.post()
    s.close()
    error = told(answer, 429, "accounts_limited", "rate_limit_error")
    assert (answer.getheader("Retry-After"), error["resets_at"], error["retryable"]) == ("1", None, True)
    assert error["message"] == "pool slots: all accounts are at their limits"


def test_a_burst(site):
    pool = pool_of(site, "burst")
    pool.failing.set(pool.tokens[0], 429, headers=[("Retry-After", "5")])
    answer = refused(pool, "accounts_limited")
    error = told(answer, 429, "accounts_limited", "rate_limit_error")
    assert error["retryable"] and 1 <= int(answer.getheader("Retry-After")) <= 6
    assert 0 < error["resets_at"] - time.time() + 1 <= 7
    assert_names_no_account(pool, error)


def test_failures_in_a_row(site):
    pool = pool_of(site, "failures", upstream="unprobed")
    pool.failing.set(pool.tokens[0], 500)
    answer = refused(pool, "circuit_open")
    error = told(answer, 503, "circuit_open", "overloaded_error")
    assert error["retryable"] and 1 <= int(answer.getheader("Retry-After")) <= 10
    assert 0 < error["resets_at"] - time.time() + 1 <= RECOVERY + 2
    assert answer.getheader("X-Circuit-Breaker") == "open"
    assert_names_no_account(pool, error)


def test_windows(site):
    pool = pool_of(site, "windows", 2)
    window(pool, 0, 2 * HOURS)
    end = window(pool, 1, HOURS)
    answer = refused(pool, "accounts_exhausted")
    error = told(answer, 429, "accounts_exhausted", "usage_limit_reached")
    assert not error["retryable"] and error["resets_at"] == end
    assert 0 <= int(answer.getheader("Retry-After")) - (end - time.time()) <= 60
    assert_names_no_account(pool, error)
    # an account that needs a person changes nothing, and one that serves ends it
    site.relay.adm("accounts", "suspend", pool.accounts[0])
    assert pool.post().code == "accounts_exhausted"
    site.relay.adm("accounts", "reset", pool.accounts[1])
    pool.failing.set(pool.tokens[1])
    assert pool.post().status == 200


def test_a_window_that_ends_soon(site):
    pool = pool_of(site, "soon", 2)
    window(pool, 0, HOURS)
    end = window(pool, 1, 40)
    answer = refused(pool, "accounts_limited")
    error = told(answer, 429, "accounts_limited", "rate_limit_error")
    assert error["retryable"] and error["resets_at"] == end
    assert 1 <= int(answer.getheader("Retry-After")) <= 40


def test_an_hour_of_the_accounts_own(site):
    pool = pool_of(site, "own-hour", options=[("--rph", "3")])
    answer = wait_until("the hour is used up", lambda: (a := pool.post()).status == 429 and a)
    later = int(answer.getheader("Retry-After")) > 60
    error = told(answer, 429, *(("accounts_exhausted", "usage_limit_reached") if later else
                                ("accounts_limited", "rate_limit_error")))
    assert error["retryable"] is not later and error["resets_at"] % 3600 == 0


def test_a_failed_probe(site):
    """The account refuses probes as well: nobody uses it for five minutes."""
    pool = pool_of(site, "refused")
    pool.failing.set(pool.tokens[0], 403)
    site.relay.adm("accounts", "check", pool.accounts[0])
    answer = refused(pool, "no_account")
    error = told(answer, 503, "no_account", "overloaded_error")
    assert (answer.getheader("Retry-After"), error["retryable"]) == (None, False)
    assert 60 < error["resets_at"] - time.time() <= 1800
    assert_names_no_account(pool, error)


def test_a_wait_ends_with_the_shortage(site):
    """The end comes within the waiting time of the pool: nothing is refused."""
    pool = pool_of(site, "waits", wait="20s")
    window(pool, 0, 3)
    assert pool.post().status == 429
    wait_until("the end record is judged", lambda: pool.show(pool.tokens[0])["state"] != "ok")
    pool.failing.set(pool.tokens[0])
    began = time.monotonic()
    assert pool.post().status == 200 and time.monotonic() - began < 18
    window(pool, 0, HOURS)
    assert pool.post().status == 429
    wait_until("the end record is judged", lambda: pool.show(pool.tokens[0])["state"] != "ok")
    began = time.monotonic()
    assert pool.post().code == "accounts_exhausted" and time.monotonic() - began < 18


@pytest.mark.parametrize("provider, path, text", (
    ("openai", "/v1/messages", "OpenAI API, not /v1/messages"),
    ("anthropic", "/v1/responses", "Anthropic API, not /v1/responses"),
    ("gemini", "/v1/chat/completions", "Gemini API, not /v1/chat/completions")))
def test_a_path_of_another_api(site, provider, path, text):
    name = f"api-{provider}"
    pool = pool_of(site, name, upstream=provider)
    answer = pool.post(path=path)
    assert (answer.status, answer.code) == (404, "no_route")
    assert (answer.getheader("Retry-After"), answer.getheader("X-Should-Retry")) == (None, "false")
    assert json.loads(answer.body)["error"]["message"] == f"pool {name} serves the {text}"
    assert pool.failing.total(pool.tokens[0], "POST") == 0
