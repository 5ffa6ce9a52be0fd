"""An agent over TCP: HAProxy sends a secret from its environment; with another secret it gets no answer."""
import http.client
import json
import ssl
import subprocess

from relay import free_port, make_reachable, wait_until

SECRET = "a-shared-secret-of-32-characters"


def test_the_secret_opens_and_another_does_not(fresh, monkeypatch):
    monkeypatch.setenv("SPOA_RELAY_SECRET", SECRET)
    s = fresh(extra=f"[spop]\nlisten = tcp:127.0.0.1:{free_port()}\nsecret = {SECRET}\n")
    answer = s.post("/v1/x", key=s.key)
    assert answer.status == 200
    wait_until("its record is taken", lambda: s.relay.metric("relay_events_total") >= 1)
    for rendered in (s.dir / "haproxy").iterdir():
        assert SECRET not in rendered.read_text()
    s.upstream.clear()
    monkeypatch.setenv("SPOA_RELAY_SECRET", SECRET[:-1] + "x")
    s.haproxy.stop()
    # health needs no secret, but with a wrong one HAProxy gets no answer even for it
    def answers():
        try:
            return s.get("/relay/health").status == 503
        except OSError:
            return False
    s._serves = answers
    s.start_haproxy()
    refused = s.post("/v1/x", key=s.key)
    assert refused.status == 503 and json.loads(refused.body)["error"]["code"] == "agent_unavailable"
    assert s.upstream.requests() == []
    wait_until("it is counted", lambda: s.relay.metric("relay_spop_connections_refused_total") > 0)


def test_tls_to_clients(fresh, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    pem = directory / "both.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", directory / "key", "-out", directory / "crt"],
                   check=True, capture_output=True)
    pem.write_text((directory / "crt").read_text() + (directory / "key").read_text())
    pem.chmod(0o644)
    make_reachable(directory)
    port = free_port()
    s = fresh()
    s.relay.adm("haproxy", "render", "--out", str(s.dir / "haproxy"), "--bind", f"127.0.0.1:{port}", "--cert", str(pem))
    context = ssl.create_default_context(cafile=directory / "crt")

    def get():
        c = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60)
        try:
            c.request("GET", "/v1/models", headers={"X-API-Key": s.key})
            return c.getresponse().status
        except OSError:
            return None
        finally:
            c.close()
    wait_until("it is served over TLS", lambda: get() == 200)
