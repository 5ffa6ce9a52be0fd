"""End records as HAProxy sends them, with the secret that it has."""
import re


def secret(relay):
    """Generation and record secret of the newest files."""
    config = (relay.dir / "haproxy/relay.cfg").read_text()
    return (int(re.search(r"log-format 'relay1 \S+ (\d+) ", config)[1]),
            re.search(r"setenv SPOA_RELAY_SECRET '(.*)'", config)[1])


def answer(relay, identity, track):
    """The record of a request whose account refused its token."""
    gen, key = secret(relay)
    return (f"relay1 {key} {gen} {identity} {track} relay-in b1-demo-direct out 401 130 290 0 0 1 1 5 -- 0 - - "
            "1.0.0.0 st=401;").encode()


def refusal(relay, gen=None, key=None):
    """A function that makes the record of a refused request from its id."""
    gen, key = (gen, key) if key else secret(relay)
    tail = "- relay-in relay-closed <NOSRV> 401 130 290 0 -1 -1 -1 0 LR 0 invalid_api_key - - -"
    return lambda identity: f"relay1 {key} {gen} {identity} {tail}".encode()
