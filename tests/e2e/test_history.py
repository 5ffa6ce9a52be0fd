"""The history keeps every request, also at a rate that no HAProxy of one machine reaches."""
import os
import pathlib
import socket
import sqlite3
import subprocess
import time

import pytest

import records
from relay import BUILD, is_full, wait_until

RATE, SECONDS = 10000, 60 if is_full() else 3
BURST = 100


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def saved(db):
    return db.execute("SELECT count(*) FROM requests").fetchone()[0]


def send_records(relay, start, count):
    """Records of refused requests, at RATE a second, with new ids."""
    record = records.refusal(relay)
    begin = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", relay.events_port))
        for n in range(count):
            identity = f"{int(time.time() * 1000):012x}f{(start + n) * 0x9e3779b97f4a7c15 % 16 ** 19:019x}"
            s.send(record(identity))
            ahead = begin + n / RATE - time.monotonic()
            if n % BURST == 0 and ahead > 0:
                time.sleep(ahead)
    return time.monotonic() - begin


def test_a_list_has_all_pages(stack):
    """The pages of relayadm are one list, whatever comes meanwhile; a page of the API goes on at its `next`."""
    adm = stack.relay.adm
    stack.relay.adm("tenants", "add", "pages", "--pool", "demo", "--daily", "0", "--monthly", "0")
    key = stack.relay.issue("pages")
    ids = [stack.post(f"/v1/x/{n}", key=key).getheader("X-Request-Id") for n in range(12)]
    wait_until("all are listed", lambda: len(adm("requests", "list", "--tenant", "pages")["items"]) == 12)
    newest_first = ids[::-1]

    def listed(*options):
        answer = adm("requests", "list", "--tenant", "pages", *options)
        return [row["id"] for row in answer["items"]], answer["next"]

    assert listed("--last", "0") == (newest_first, None)
    first, cursor = listed("--last", "5")
    assert first == newest_first[:5] and cursor
    stack.post("/v1/x/late", key=key)
    wait_until("a newer one is listed", lambda: len(listed("--last", "0")[0]) == 13)
    second, cursor = listed("--last", "5", "--cursor", str(cursor))
    third, end = listed("--last", "0", "--cursor", str(cursor))
    assert first + second + third == newest_first and end is None
    assert listed("--since", "1h", "--status", "2xx", "--last", "0")[0][1:] == newest_first
    assert listed("--until", "2020-01-01T00:00:00Z") == ([], None)
    assert listed("--status", "404", "--last", "0") == ([], None)
    assert listed("--code", "rate_limited")[0] == []
    assert listed("--account", "demo", "--key", str(adm("tokens", "list", "--tenant", "pages")["items"][0]["id"]),
                  "--last", "0")[0][1:] == newest_first
    for bad, code in ((("--since", "yesterday"), 2), (("--status", "4x"), 2), (("--account", "nobody"), 1),
                      (("--tenant", "nobody"), 1)):
        assert stack.relay.adm_run("requests", "list", *bad).returncode == code
    words = [BUILD / "relayadm", "--socket", stack.relay.socket, "requests", "list", "--tenant", "pages", "--last", "0"]
    table = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    assert table[0].split()[:2] == ["ID", "TIME"] and "RETRIES" in table[0] and [r.split()[0] for r in table[2:]] == newest_first


@pytest.mark.takes(SECONDS + 4)
def test_no_request_is_lost_at_ten_thousand_a_second(fresh):
    s = fresh()
    s.post("/v1/x", key=s.key)
    wait_until("the first request is saved", lambda: s.relay.adm("requests", "list")["items"])
    control = s.relay.pid_of("control")
    with sqlite3.connect(f"file:{s.dir}/state/relay.db?mode=ro", uri=True, timeout=60) as db:
        wait_until("the store is quiet", lambda: saved(db) > 0)
        before, cpu = saved(db), cpu_seconds(control)
        took = send_records(s.relay, before, RATE * SECONDS)
        wait_until("all are saved", lambda: saved(db) >= before + RATE * SECONDS, 60, 0.1)
        us = (cpu_seconds(control) - cpu) * 1e6 / (RATE * SECONDS)
        assert db.execute("SELECT count(DISTINCT id) FROM requests").fetchone()[0] == saved(db)
    print(f"{RATE * SECONDS} requests in {took:.1f} s; control: {us:.1f} us of CPU each")
    assert s.relay.metric("relay_events_lost_total") == s.relay.metric("relay_requests_unsaved_total") == 0
    assert us < 20
