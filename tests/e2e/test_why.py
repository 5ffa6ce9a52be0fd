"""`requests why` says nothing false, and what a client was told fits to it."""
import json
import time

import pytest

from relay import VERSIONS, wait_until


def why(s, answer):
    """Of a finished request."""
    request = answer.getheader("X-Request-Id")
    return wait_until("it has ended", lambda: (o := s.relay.adm("requests", "why", request)).get("status") and o)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_address_that_is_not_here_is_told_as_such(fresh, version):
    s = fresh(version)
    r = s.relay
    r.adm("egress", "add", "nowhere", "--source", "203.0.113.77")
    s.account("far", "demo", "token-of-far", "--egress", "nowhere")
    r.adm("pools", "set", "far", "far")
    key = r.issue("demo", "--pool", "far")
    reasons = set()

    def unreachable():
        answer = s.post("/v1/x", key=key)
        assert answer.status in (502, 503), answer.body
        error = json.loads(answer.body)["error"]
        told = why(s, answer)
        assert told["code"] == answer.getheader("X-Relay-Error") == error["code"]
        [candidate] = told["candidates"]
        reasons.add((error["code"], candidate["reason"]))
        assert "no account can be used" not in error["message"] or error["code"] != "upstream_unreachable", error
        return error["code"] == "circuit_open"

    assert unreachable() is False
    # until the circuit of the egress opens
    wait_until("the egress is down", unreachable)
    failed = "this request could not be connected through its egress"
    assert reasons <= {("upstream_unreachable", failed), ("upstream_unreachable", "its egress is down"),
                       ("circuit_open", "its egress is down")}, reasons
    assert ("upstream_unreachable", failed) in reasons and ("circuit_open", "its egress is down") in reasons


def test_what_had_no_reasons_has_lost_none(fresh):
    s = fresh()
    with s.relay.stopped("agent"):
        answer = s.post("/v1/x", key=s.key)
        assert (answer.status, answer.getheader("X-Relay-Error")) == (503, "agent_unavailable")
    told = why(s, answer)
    assert told["code"] == "agent_unavailable" and "gone" not in (told["note"] or ""), told
    assert told["note"] in ("HAProxy refused it by itself: the agent decided nothing",
                            "HAProxy did not wait for this decision")
    # of a bad key there is a decision, and perhaps no row in the history
    answer = s.post("/v1/x", key="rk_nonsense")
    told = s.relay.adm("requests", "why", answer.getheader("X-Request-Id"))
    assert told["code"] == "invalid_api_key" and (told["note"] is None or "no tenant" in told["note"]), told
    # one in progress
    began = time.monotonic()
    with s.connect() as client:
        s.send(client, "GET", "/v1/silence?before=10")
        wait_until("it is decided", lambda: s.relay.metric("relay_leases_outstanding") == 1)
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        request = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"x-request-id"))
        told = s.relay.adm("requests", "why", request.decode())
        if time.monotonic() - began < 9:
            assert told["note"] == "not finished yet", told
