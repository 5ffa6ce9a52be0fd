"""Accounts of Gemini: the credential that goes up, the classes of its errors, and probes. The shape of the relay's own
errors is in test_errors.py and test_render_again.py."""
import json

import pytest

from failures import FailingStack, attempts_of
from relay import VERSIONS, header, wait_until
from rendered import google_fields

PATH = "/v1beta/models/demo:generateContent"
CREDENTIALS = ("x-goog-api-key", "authorization", "x-api-key", "api-key")


@pytest.fixture(scope="module", params=VERSIONS)
def site(request):
    s = FailingStack(request.param)
    try:
        yield s.start()
    finally:
        s.stop()


@pytest.fixture(scope="module")
def pair(site):
    return site.pool("gemini-pair", upstream="gemini")


@pytest.fixture(scope="module")
def single(site):
    return site.pool("gemini-single", 1, upstream="gemini")


def credentials(row):
    return [(k.lower(), v) for k, v in row["headers"] if k.lower() in CREDENTIALS]


def test_only_the_accounts_key_goes_up(single):
    single.reset()
    own = [("x-goog-api-key", "of-the-client"), ("X-Goog-Api-Key", "of-the-client-too"),
           ("Authorization", "Bearer of-the-client"), ("x-goog-user-project", "of-the-client")]
    assert single.post(path=PATH, headers=own).status == 200
    row, = single.failing.requests()
    assert credentials(row) == [("x-goog-api-key", single.tokens[0])]
    assert header(row, "x-goog-user-project") is None and row["path"] == PATH


def test_an_oauth_token_is_a_bearer(site):
    token = "ya29.a-token"
    pool = site.pool("gemini-login", 1, upstream="gemini", tokens=[token])
    assert pool.post(path=PATH).status == 200
    row, = pool.failing.requests()
    assert credentials(row) == [("authorization", f"Bearer {token}")]


def test_the_next_account_sends_its_key_alone(pair):
    pair.reset()
    session, first = pair.bind()
    pair.failing.clear()
    pair.failing.set(first, 403, method="POST")
    assert pair.post(session, path=PATH).status == 200
    assert [credentials(r) for r in attempts_of(pair)] == [[("x-goog-api-key", t)] for t in (first, pair.other(first))]


def test_the_shape_of_account_switched(pair):
    pair.reset()
    session, first = pair.bind()
    pair.failing.set(first, 529, method="POST")
    answer = pair.post(session, path=PATH)
    said = google_fields(json.loads(answer.body), 503, "account_switched", answer.getheader("X-Request-Id"))
    assert (said["type"], said["retryable"], said["resets_at"]) == ("overloaded_error", True, None)


def test_a_quota_error_has_its_reset_in_the_details(site, single):
    single.reset()
    site.relay.adm("tenants", "add", "gemini-slow", "--pool", single.name, "--daily", "1")
    key = site.relay.issue("gemini-slow")
    assert site.post(PATH, key=key).status == 200
    answer = site.post(PATH, key=key)
    said = google_fields(json.loads(answer.body), 429, "quota_exceeded", answer.getheader("X-Request-Id"))
    assert said["type"] == "usage_limit_reached" and isinstance(said["resets_at"], int)


def test_a_probe_requests_the_model_list(single):
    single.reset()
    seen = single.s.relay.adm("accounts", "check", single.accounts[0])
    assert (seen["status"], seen["class"], seen["state"]) == (200, "success", "ok")
    probe, = [r for r in single.failing.requests("GET") if r["token"] == single.tokens[0]]
    assert (probe["path"], probe["query"]) == ("/v1beta/models", "pageSize=1")
    assert credentials(probe) == [("x-goog-api-key", single.tokens[0])]


def error(status, name, *details):
    return {"error": {"code": status, "message": "of the upstream", "status": name, "details": list(details)}}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.074824224s"}
HELP = {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"url": "https://example.com"}]}


def quota(name):
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaMetric": "example.com/requests", "quotaId": name, "quotaValue": "50"}]}


BAD_KEY = error(400, "INVALID_ARGUMENT", {"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                                          "reason": "API_KEY_INVALID", "domain": "googleapis.com"})
DAY = error(429, "RESOURCE_EXHAUSTED", quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), HELP, RETRY)
MINUTE = error(429, "RESOURCE_EXHAUSTED", quota("GenerateRequestsPerMinutePerProjectPerModel"), HELP, RETRY)


@pytest.mark.parametrize("status, body, seen", (
    (400, BAD_KEY, "auth"),
    (400, error(400, "INVALID_ARGUMENT"), "payload"),
    (429, DAY, "window"),
    (429, MINUTE, "burst"),
    (429, error(429, "RESOURCE_EXHAUSTED"), "burst"),
    (403, error(403, "PERMISSION_DENIED"), "denied"),
    (503, error(503, "UNAVAILABLE"), "overload"),
))
def test_the_body_decides_the_class(single, status, body, seen):
    single.reset()
    single.failing.set(single.tokens[0], status, body=body, headers=[("Content-Type", "application/json")])
    assert single.s.relay.adm("accounts", "check", single.accounts[0])["class"] == seen
    single.reset()


def test_a_burst_lasts_for_the_delay_in_the_body(single):
    """At most for five seconds on the report of one key."""
    single.reset()
    single.s.relay.adm("pools", "set", single.name, *single.accounts, "--wait", "0s")
    single.failing.set(single.tokens[0], 429, body=MINUTE, headers=[("Content-Type", "application/json")])
    assert json.loads(single.post(path=PATH).body) == MINUTE
    single.wait_for(single.tokens[0], "burst", 2)
    # a slow machine may need longer than the rest
    refused = wait_until("it rests", lambda: (a := single.post(path=PATH)).code and a)
    said = google_fields(json.loads(refused.body), 429, "accounts_limited", refused.getheader("X-Request-Id"))
    assert said["retryable"] and 1 <= int(refused.getheader("Retry-After")) <= 5
    single.reset()
