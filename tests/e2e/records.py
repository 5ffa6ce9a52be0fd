"""End records as HAProxy sends them, with the secret that it has."""
import re


def refusal(relay):
    """A function that makes the record of a refused request from its id."""
    config = (relay.dir / "haproxy/relay.cfg").read_text()
    secret = re.search(r"setenv SPOA_RELAY_SECRET '(.*)'", config)[1]
    gen = re.search(r"log-format 'relay1 \S+ (\d+) ", config)[1]
    tail = "- relay-in relay-closed <NOSRV> 401 130 290 0 -1 -1 -1 0 LR 0 invalid_api_key - - -"
    return lambda identity: f"relay1 {secret} {gen} {identity} {tail}".encode()
