"""The clock of the machine is set while the relay runs: limits stay exact, nothing is out for longer, nothing is deleted."""
import calendar
import collections
import mmap
import os
import pathlib
import struct
import subprocess
import time

import pytest

from relay import ANY, VERSIONS, Stack, header, wait_until

HOUR, DAY = 3600, 86400
NOON = calendar.timegm((2026, 11, 15, 12, 20, 0))  # far from the ends of hours, days and months
MONTH_END = calendar.timegm((2026, 12, 1, 0, 0, 0))
YEAR_END = calendar.timegm((2027, 1, 1, 0, 0, 0))
LIMITS = {"hour": 8, "day": 10, "month": 25}


class Clock:
    """The wall clock of a relay. Everything else keeps the real one."""

    def __init__(self, stack):
        library, path = stack.dir / "setclock.so", stack.dir / "clock"
        source = pathlib.Path(__file__).with_name("setclock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
        path.write_bytes(bytes(8))
        path.chmod(0o644)
        with open(path, "r+b") as f:
            self.block = mmap.mmap(f.fileno(), 8)
        stack.relay.environment = {**os.environ, "LD_PRELOAD": str(library), "SETCLOCK_FILE": str(path)}
        self.set(NOON)

    def set(self, now):
        struct.pack_into("=q", self.block, 0, round((now - time.time()) * 1000))

    def move(self, seconds):
        struct.pack_into("=q", self.block, 0, struct.unpack_from("=q", self.block)[0] + seconds * 1000)

    def now(self):
        return time.time() + struct.unpack_from("=q", self.block)[0] / 1000


class Calendar:
    """What a tenant may have used in each hour, day and month, remembered for ever."""

    def __init__(self):
        self.used = collections.Counter()

    @staticmethod
    def windows(now):
        t = time.gmtime(now)
        return [("hour", t[:4]), ("day", t[:3]), ("month", t[:2])]

    def admits(self, now):
        windows = self.windows(now)
        if any(self.used[w] >= LIMITS[w[0]] for w in windows):
            return False
        self.used.update(windows)
        return True


@pytest.fixture
def clocked():
    """Makes stacks whose relay has its own clock."""
    made = []

    def make(version=ANY):
        s = Stack(version)
        made.append(s)
        s.clock = Clock(s)
        return s.start()

    try:
        yield make
    finally:
        for s in made:
            s.stop()


def tenant(s, name):
    s.relay.adm("tenants", "add", name, "--pool", "demo", "--rph", str(LIMITS["hour"]), "--daily", str(LIMITS["day"]),
                "--monthly", str(LIMITS["month"]))
    return s.relay.issue(name)


def ask(s, key, times, model):
    """Sends requests; each one must be answered as the calendar says."""
    for _ in range(times):
        expected = 200 if model.admits(s.clock.now()) else 429
        answer = s.post("/v1/responses", key=key)
        assert answer.status == expected, (time.gmtime(s.clock.now()), model.used, answer.body)


# Steps of the clock in seconds, and requests after each.
SCHEDULES = {
    "an-hour-ahead": [(0, 6), (HOUR, 6)],
    "an-hour-back": [(0, 6), (-HOUR, 6), (HOUR, 3)],
    "a-day-ahead-and-back": [(0, 7), (DAY, 5), (-DAY, 6), (DAY, 6), (-DAY, 1)],
    "two-days-back-and-ahead": [(0, 7), (-2 * DAY, 5), (2 * DAY, 6), (-2 * DAY, 6), (2 * DAY, 1)],
    "sixty-days-for-three-seconds": [(0, 7), (60 * DAY, 5), (-60 * DAY, 6)],
}


def end_of(s, key, end, model):
    """Over the end of a month as time goes by, back by five minutes, and over it again."""
    s.clock.set(end - 300)
    ask(s, key, 7, model)
    s.clock.set(end - 0.5)
    wait_until("the month ends", lambda: s.clock.now() > end)
    ask(s, key, 5, model)
    s.clock.set(end - 300)
    ask(s, key, 6, model)
    s.clock.set(end + 1)
    ask(s, key, 6, model)


def rows_of(s, name):
    return len(s.relay.adm("requests", "list", "--tenant", name, "--last", "1000")["items"])


@pytest.mark.takes(60)
@pytest.mark.parametrize("version", VERSIONS)
def test_limits_are_those_of_the_calendar(clocked, version):
    s = clocked(version)
    sent, steps = {}, 0
    for name, schedule in SCHEDULES.items():
        s.clock.set(NOON)
        key, model = tenant(s, name), Calendar()
        for step, times in schedule:
            s.clock.move(step)
            ask(s, key, times, model)
            if step == 60 * DAY:
                time.sleep(3)  # control acts once a second
            steps += step != 0
        sent[name] = sum(times for _, times in schedule)
    for name, end in (("month-end", MONTH_END), ("year-end", YEAR_END)):
        s.clock.set(end - 300)
        key, model = tenant(s, name), Calendar()
        end_of(s, key, end, model)
        sent[name] = 24
    # nothing was deleted, whatever the clock said
    for name, count in sent.items():
        wait_until(f"all requests of {name} are in the history", lambda: rows_of(s, name) == count)
    assert s.relay.metric("relay_clock_steps_total") >= steps
    status = s.relay.adm("status")
    assert status["clock"]["steps"] >= steps and status["clock"]["last_step_at"], status["clock"]
    assert all(0 <= p["uptime_s"] < HOUR for p in status["processes"].values()), status["processes"]
    notices = s.relay.adm("notices", "list")["items"]
    assert "clock_step" in [n["kind"] for n in notices], notices


@pytest.mark.takes(60)
@pytest.mark.parametrize("step", [-2 * DAY, 60 * DAY])
def test_a_ban_lasts_as_long_as_it_should(clocked, step):
    s = clocked()
    s.relay.adm("bans", "add", "127.0.0.1", "--for", "25s")
    begin = time.monotonic()
    assert s.get("/v1/models", key=s.key).status == 403
    s.clock.move(step)
    steps = s.relay.metric("relay_clock_steps_total")
    # control moves the ban within a second or two
    wait_until("the step is seen", lambda: s.relay.metric("relay_clock_steps_total") >= max(steps, 1))
    wait_until("the address is banned", lambda: s.get("/v1/models", key=s.key).status == 403, seconds=15)
    wait_until("the ban has ended", lambda: s.get("/v1/models", key=s.key).status == 200, seconds=50)
    assert time.monotonic() - begin > 24


@pytest.mark.takes(20)
@pytest.mark.parametrize("step", [-2 * DAY, 60 * DAY])
def test_conversations_stay_with_their_account(clocked, step):
    s = clocked()
    sessions = [f"session-{n}" for n in range(12)]

    def accounts():
        s.upstream.clear()
        for session in sessions:
            s.post("/v1/responses", key=s.key, headers=[("session-id", session)])
        return {header(r, "Authorization") for r in s.upstream.requests() if r["method"] == "POST"}  # no probes
    s.account("second", "demo", "token-of-second")
    s.relay.adm("pools", "set", "demo", "demo", "second")
    s.relay.adm("accounts", "suspend", "demo")
    assert accounts() == {"Bearer token-of-second"}
    s.relay.adm("accounts", "resume", "demo")
    for move in (step, -step, step):
        s.clock.move(move)
        assert accounts() == {"Bearer token-of-second"}, move


@pytest.mark.takes(40)
def test_a_step_while_the_relay_is_stopped(clocked):
    s = clocked()
    key, model = tenant(s, "stopped"), Calendar()
    ask(s, key, 7, model)
    s.relay.adm("bans", "add", "192.0.2.1", "--for", "1h")
    s.relay.stop()
    s.clock.move(DAY)
    s.relay.start()
    wait_until("HAProxy has its agent again", lambda: s.get("/relay/health").status == 200)
    assert s.relay.metric("relay_clock_steps_total") >= 1
    ask(s, key, 6, model)
    ban = s.relay.adm("bans", "list")["items"][0]
    left = calendar.timegm(time.strptime(ban["expires_at"], "%Y-%m-%dT%H:%M:%SZ")) - s.clock.now()
    assert HOUR - 120 < left <= HOUR, ban
    s.relay.stop()
    s.clock.move(-DAY)
    s.relay.start()
    wait_until("HAProxy has its agent again", lambda: s.get("/relay/health").status == 200)
    ask(s, key, 6, model)
