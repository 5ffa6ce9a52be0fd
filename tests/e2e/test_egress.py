"""Ways out: each account is seen from its own addresses, whatever happens to them."""
import pytest

from egress import NAME, Authority, Names, Node, Socks4
from relay import VERSIONS, Refused, Upstream, haproxy_command, header, wait_until

ECHO_NEVER = "echo_every = 0\n"


def account_through(s, name, egresses, upstream="demo", options=()):
    """An account, its pool and a key of its own."""
    s.account(name, upstream, f"token-of-{name}", "--egress", ",".join(egresses), *options)
    s.relay.adm("pools", "set", name, name)
    s.relay.adm("tenants", "add", name, "--pool", name, "--daily", "0", "--monthly", "0")
    return s.relay.issue(name)


def seen_from(upstream, token):
    return {r["source_ip"] for r in upstream.requests() if header(r, "authorization") == f"Bearer {token}"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_node_goes_out_with_what_it_cannot_read(fresh, version):
    s = fresh(version)
    command = haproxy_command(version)
    ours, theirs, nodes = (Authority(s.dir, n) for n in ("relay", "upstream", "nodes"))
    upstream = Upstream(s.dir, "tls", "--cert", theirs.issue(NAME))
    names = Names()
    node = Node(s.dir, command, "127.0.0.77", nodes.issue("node.test"), ours.pem, {NAME: upstream.port}, names)
    try:
        s.relay.adm("upstreams", "add", "tls", "--url", f"https://{NAME}", "--provider", "openai",
                    "--ca-file", theirs.pem)
        s.relay.adm("egress", "add", "far", "--node", f"127.0.0.1:{node.port}", "--cert", ours.issue("relay.test"),
                    "--ca", nodes.pem)
        key = account_through(s, "far", ["far"], "tls")
        answer = s.post("/v1/chat/completions", key=key)
        assert answer.status == 200, (answer.status, answer.body, s.haproxy.text()[-2000:], node.text()[-2000:])
        assert seen_from(upstream, "token-of-far") == {"127.0.0.77"}
        assert set(names.asked) == {NAME}
    finally:
        node.stop()
        names.close()
        upstream.stop()
