"""64 clients with 4 KB credentials for half a minute: no error, no slow request."""
import re
import subprocess

from relay import Process, free_port, wait_until

SECONDS = 30
TOKEN = "t" * 4096


def checking_upstream(stack, port):
    """A HAProxy that answers 200 to the exact credential only: wrk counts all other answers."""
    cfg = stack.dir / "checking.cfg"
    cfg.write_text(f"""
global
    nbthread 1
    tune.bufsize 32768
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 1s
frontend up
    bind 127.0.0.1:{port}
    http-request deny deny_status 500 unless {{ req.fhdr(authorization) -m str "Bearer {TOKEN}" }}
    http-request return status 200 content-type application/json string "{{}}"
""")
    return Process("checking upstream", ["haproxy", "-W", "-f", cfg], stack.dir / "checking.log")


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def test_64_clients_with_4_kb_bearers(stack):
    port = free_port()
    upstream = checking_upstream(stack, port)
    try:
        r = stack.relay
        r.adm("upstreams", "add", "checking", "--url", f"http://127.0.0.1:{port}")
        stack.account("checking", "checking", TOKEN)
        r.adm("pools", "set", "checking", "checking")
        key = r.issue("demo", "--pool", "checking")
        wait_until("the upstream answers", lambda: stack.get("/v1/x", key=key).status == 200)
        run = subprocess.run(["wrk", "-t", "1", "-c", "64", "-d", str(SECONDS), "--latency", "--timeout", "5",
                              "-H", f"X-API-Key: {key}", f"http://127.0.0.1:{stack.port}/v1/x"],
                             capture_output=True, text=True, timeout=SECONDS + 60)
        slowest = milliseconds(re.search(r"Latency\s+\S+\s+\S+\s+(\S+)", run.stdout).group(1))
        rate = re.search(r"Requests/sec:\s+(\S+)", run.stdout).group(1)
        print(f"HAProxy {stack.version}: {rate} requests/s, slowest {slowest} ms")
        assert "Non-2xx" not in run.stdout and "Socket errors" not in run.stdout, run.stdout
        assert slowest < 200, run.stdout
    finally:
        upstream.stop()
