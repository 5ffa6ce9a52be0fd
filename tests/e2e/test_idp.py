"""The fake identity provider: exchanges, replies and its book."""
import http.client
import json
import socket
import time

import pytest

from identity import Idp, claims
from relay import wait_until


@pytest.fixture(scope="module")
def idp(tmp_path_factory):
    p = Idp(tmp_path_factory.mktemp("idp"))
    try:
        yield p
    finally:
        p.stop()


def send(idp, token, timeout=60):
    """(status, document) of a use; an incomplete answer raises."""
    c = http.client.HTTPConnection("127.0.0.1", idp.port, timeout=timeout)
    c.request("POST", "/oauth/token", json.dumps(
        {"client_id": "app", "grant_type": "refresh_token", "refresh_token": token}), {"Content-Type": "application/json"})
    answer = c.getresponse()
    body = answer.read()
    c.close()
    return answer.status, json.loads(body)


def refresh_token(auth):
    return auth["tokens"]["refresh_token"]


def test_each_token_is_good_once(idp):
    family, auth = idp.family(lifetime=5)
    token = refresh_token(auth)
    for n in range(3):
        status, reply = send(idp, token)
        assert status == 200 and claims(reply["access_token"])["exp"] - time.time() <= 5
        assert claims(reply["access_token"])["n"] == n + 1
        token = reply["refresh_token"]
    wait_until("the last is in the book", lambda: len(idp.ended(family)) == 3)
    assert all(use["delivered"] for use in idp.uses(family))
    assert idp.state()["violations"] == []


def test_a_spent_token_revokes_its_family(idp):
    family, auth = idp.family()
    status, reply = send(idp, refresh_token(auth))
    assert status == 200
    wait_until("it is delivered", lambda: len(idp.ended(family)) == 1)
    status, error = send(idp, refresh_token(auth))
    assert status == 401 and error["error"]["code"] == "refresh_token_reused"
    status, error = send(idp, reply["refresh_token"])
    assert status == 401 and error["error"]["code"] == "refresh_token_invalidated"
    assert [v["kind"] for v in idp.state()["violations"] if idp.state()["uses"][v["n"]]["family"] == family] == ["settled"]
    assert send(idp, "rt.unknown") == (400, {"error": "invalid_grant",
                                             "error_description": "The refresh token is not valid."})


def test_within_the_grace_the_same_reply_comes_again(idp):
    family, auth = idp.family(grace=30)
    first = send(idp, refresh_token(auth))
    assert send(idp, refresh_token(auth)) == first
    assert send(idp, first[1]["refresh_token"])[0] == 200
    assert send(idp, refresh_token(auth))[0] == 401, "its successor was used: the grace is over"
    assert [use["outcome"] for use in idp.uses(family)] == ["granted", "again", "granted", "reused"]


@pytest.mark.parametrize("kind", ["lost", "reset", "cut", "cut-chunked", "rubbish"])
def test_a_reply_that_is_lost_was_committed(idp, kind):
    family, auth = idp.family()
    idp.faults(family, kind)
    with pytest.raises((OSError, http.client.HTTPException, ValueError)):
        send(idp, refresh_token(auth))
    use = wait_until("it is over", lambda: idp.ended(family))[0]
    assert use["outcome"] == "granted" and use["delivered"] is False and use["fault"] == kind
    assert send(idp, refresh_token(auth))[0] == 401


def test_errors_before_and_after(idp):
    family, auth = idp.family()
    idp.faults(family, "error-before", "error-after")
    assert send(idp, refresh_token(auth))[0] == 503
    assert idp.state()["families"][family]["tokens"] == 1
    assert send(idp, refresh_token(auth))[0] == 500
    assert idp.state()["families"][family]["tokens"] == 2


@pytest.mark.parametrize("kind", ["late-before", "late-after", "slow"])
def test_a_late_reply(idp, kind):
    family, auth = idp.family(grace=30)
    idp.faults(family, kind, seconds=0.5)
    began = time.monotonic()
    assert send(idp, refresh_token(auth))[0] == 200 and time.monotonic() - began >= 0.5
    assert wait_until("it is over", lambda: idp.ended(family))[0]["delivered"] is True

    idp.faults(family, kind, seconds=3 if kind == "slow" else 0.5)
    with pytest.raises(OSError):
        send(idp, refresh_token(auth), timeout=0.1)
    use = wait_until("the second is over", lambda: len(idp.ended(family)) == 2 and idp.ended(family)[1])
    assert use["delivered"] is False and use["committed_at"], "the peer had left"


def test_moments_without_a_listener(idp):
    family, auth = idp.family()
    idp.faults(family, "off", seconds=0.5)
    assert send(idp, refresh_token(auth))[0] == 200

    def refused():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", idp.port)) != 0
    wait_until("connections are refused", refused, step=0.005)
    wait_until("it listens again", lambda: not refused())


def test_the_schedule_comes_from_the_seed(idp):
    family, auth = idp.family(rotates=False)
    idp.ask("POST", "/faults", schedule={"error-before": 0.3, "error-after": 0.3}, seed=7)
    statuses = [send(idp, refresh_token(auth))[0] for _ in range(60)]
    idp.ask("POST", "/faults", schedule={})
    assert {200, 500, 503} == set(statuses)
    assert send(idp, refresh_token(auth))[0] == 200


def test_the_owner_rotates_and_revokes(idp):
    family, auth = idp.family()
    newer = idp.ask("POST", "/rotate", family=family)["auth"]
    assert refresh_token(newer) != refresh_token(auth)
    idp.ask("POST", "/revoke", family=family)
    status, error = send(idp, refresh_token(newer))
    assert status == 401 and error["error"]["code"] == "refresh_token_invalidated"
