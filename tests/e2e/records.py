"""End records as HAProxy sends them, with the secret that it has."""
import re


def secret(relay):
    """Generation and record secret of the newest files."""
    config = (relay.dir / "haproxy/relay.cfg").read_text()
    return (int(re.search(r"log-format 'relay3 \S+ (\d+) ", config)[1]),
            re.search(r"setenv SPOA_RELAY_SECRET '(.*)'", config)[1])


def answer(relay, identity, track):
    """The record of a request whose account refused its token."""
    gen, key = secret(relay)
    return (f"relay3 {key} {gen} {identity} {track} relay-in b1-demo-direct out 401 130 290 0 0 1 1 5 -- 0 - - "
            "1.0.0.0 POST /v1/x - - st=401;").encode()


def refusal(relay, gen=None, key=None, track="1|1|0"):
    """A function that makes the record of a refused request from its id."""
    gen, key = (gen, key) if key else secret(relay)
    tail = f"{track} relay-in relay-closed <NOSRV> 429 130 290 0 -1 -1 -1 0 LR 0 rate_limited - - POST /v1/responses - - -"
    return lambda identity: f"relay3 {key} {gen} {identity} {tail}".encode()
