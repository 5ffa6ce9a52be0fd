"""The end of a window of days is a prediction: the provider's usage page may end it earlier, and nothing else may."""
import time

import pytest

from failures import NO_BUDGET, FailingStack
from relay import VERSIONS, wait_until

WEEK = 500000


@pytest.fixture(scope="module", params=VERSIONS)
def site(request):
    s = FailingStack(request.param, NO_BUDGET + "probe_idle = 1h\n")
    try:
        s.start()
        s.relay.adm("upstreams", "add", "plan", "--url", s.failing.url + "/backend-api/codex", "--strip", "/v1",
                    "--provider", "codex")
        yield s
    finally:
        s.stop()


@pytest.fixture(scope="module")
def single(site):
    free = ("--rpm", "0", "--rph", "0", "--concurrency", "0", "--max-consecutive", "0")
    return site.pool("single", 1, upstream="plan", options=[free])


def window_of(used, after):
    return {"used_percent": used, "limit_window_seconds": 18000, "reset_after_seconds": after,
            "reset_at": int(time.time()) + after}


def page_of(first, second, allowed=True):
    return {"plan_type": "pro", "credits": None, "rate_limit": {
        "allowed": allowed, "limit_reached": not allowed, "primary_window": first, "secondary_window": second}}


def answers(pool, post, page):
    """Status and body of client requests, and of the usage page."""
    token = pool.tokens[0]
    pool.failing.set_some({token: [
        {"do": "answer", "method": method, "status": status, "body": body}
        for method, (status, body) in (("POST", post), ("GET", page))]})


OK = (200, {"ok": True})
FREE = page_of(window_of(1, 9000), window_of(2, WEEK))


def used_up(pool, page=(200, FREE)):
    """The upstream names an end days ahead."""
    pool.reset()
    ends = int(time.time()) + WEEK
    answers(pool, (429, {"error": {"type": "usage_limit_reached", "resets_at": ends}}), page)
    assert pool.post(path="/v1/responses").status == 429
    shown = pool.wait_for(pool.tokens[0], "window")
    assert WEEK - 60 < shown["until_s"] <= WEEK
    assert pool.post(path="/v1/responses").getheader("X-Relay-Upstream") is None
    return shown


def check(pool):
    return pool.s.relay.adm("accounts", "check", pool.accounts[0])


def looks(pool):
    return [r for r in pool.failing.requests("GET") if r["token"] == pool.tokens[0]]


def test_a_check_ends_the_window_that_the_provider_ended(single):
    used_up(single)
    answers(single, OK, (200, FREE))
    assert check(single)["status"] == 200
    assert looks(single)[-1]["path"] == "/backend-api/wham/usage"
    shown = single.wait_for(single.tokens[0], "ok")
    assert shown["until"] is None
    assert single.post(path="/v1/responses").status == 200
    assert 0 < single.show(single.tokens[0])["used"] < 0.1


def test_a_window_met_again_is_set_again(single):
    used_up(single)
    check(single)
    single.wait_for(single.tokens[0], "ok")
    assert single.post(path="/v1/responses").status == 429
    single.wait_for(single.tokens[0], "window")


@pytest.mark.parametrize("page", [
    (200, {"ok": True}),
    (200, "rubbish"),
    (200, {"data": [{"id": "a model"}]}),
    (200, page_of({"used_percent": "1"}, None)),
    (200, page_of(window_of(-1, 9000), None)),
    (200, page_of(window_of(100, 9000), window_of(2, WEEK))),
    (203, FREE),
    (404, FREE),
], ids=["other", "text", "models", "a text", "negative", "contradiction", "203", "404"])
def test_rubbish_changes_nothing(single, page):
    until = used_up(single)["until"]
    answers(single, OK, page)
    assert check(single)["status"] == page[0]
    shown = single.show(single.tokens[0])
    assert (shown["state"], shown["until"]) == ("window", until)


def test_a_page_that_says_the_limit_is_reached_moves_the_window(single):
    used_up(single)
    page = page_of(window_of(100, 9000), window_of(40, WEEK), allowed=False)
    answers(single, OK, (200, page))
    check(single)
    shown = wait_until("the window is shorter", lambda: (a := single.show(single.tokens[0]))["until_s"] < 9001 and a)
    assert shown["state"] == "window" and shown["until_s"] > 8900
    single.reset()
    answers(single, OK, (200, page))
    check(single)
    assert single.wait_for(single.tokens[0], "window")["until_s"] > 8900
    single.reset()
