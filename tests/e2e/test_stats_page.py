"""HAProxy's stats page as an operator sees it: each egress with its state, and the reason in the tooltip."""
import signal

import pytest

from browser import Browser
from egress import Socks4
from relay import BUILD, VERSIONS, free_port, wait_until
from test_egress import account_through, check

PICTURES = BUILD / "artefacts"
# The row of the real server of an egress's backend: visible texts only, without tooltips.
ROW = """(name => { let a = [...document.querySelectorAll('a[name]')].find(a => a.name.endsWith('-' + name + '/out'));
 let row = a && a.closest('tr'); if (!row) return null; row.id = 'egress-' + name;
 row.children[row.children.length - 8].id = 'check-' + name; return [row.className, row.innerText] })"""
TIP = "getComputedStyle(document.querySelector('#check-{0} div.tips')).visibility"


@pytest.fixture
def page():
    browser = Browser()
    try:
        yield browser
    finally:
        browser.close()


def row_of(page, url, name):
    page.open(url)
    return page.ask(f"{ROW}('{name}')") or ["", ""]


def reason_of(page, url, name):
    reason = f"document.querySelector('#check-{name} div.tips').innerText"
    if "egress" not in page.ask(reason):
        page.open(url)
        page.point_at(f"#check-{name} u")
    return page.ask(reason)


@pytest.mark.takes(10)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_stats_page_shows_each_egress_with_state_and_reason(fresh, page, version):
    listen = f"[check]\nlisten = tcp:127.0.0.1:{free_port()}\n"
    s = fresh(version, extra=listen)
    s.relay.write_config(f"{listen}[health]\necho_url = {s.upstream.url}/ip\necho_every = 0\n")
    s.relay.process.popen.send_signal(signal.SIGHUP)
    url = f"http://127.0.0.1:{s.stats_port}/;norefresh"
    proxy = Socks4(s.dir, "127.0.0.62")
    try:
        s.relay.adm("egress", "add", "steady", "--source", "127.0.0.60")
        s.relay.adm("egress", "add", "astray", "--socks4", f"127.0.0.1:{proxy.port}")
        for name in ("steady", "astray"):
            account_through(s, name, [name])
        wait_until("both are checked", lambda: check(s)[0] == 0)
        wait_until("it is up", lambda: "UP" in row_of(page, url, "astray")[1], 60, 0.3)
        proxy.stop()
        proxy = Socks4(s.dir, "127.0.0.63", proxy.port)
        assert check(s, "astray")[0] == 1
        wait_until("it is down", lambda: "DOWN (agent)" in row_of(page, url, "astray")[1], 60, 0.3)
        wait_until("the other is checked", lambda: "L4OK" in row_of(page, url, "steady")[1], 60, 0.3)
        color, text = page.ask(f"{ROW}('steady')")
        assert "UP" in text and "DOWN" not in text and "down" not in color
        assert page.ask(f"{ROW}('astray')")[0] == "active_down"
        assert page.ask(TIP.format("astray")) == "hidden"
        page.point_at("#check-astray u")
        wait_until("the reason is seen", lambda: page.ask(TIP.format("astray")) == "visible")
        # HAProxy 2.6 leaves the reason out while it asks the agent again: that page is opened anew
        wait_until("the reason is named", lambda: "egress suspended" in reason_of(page, url, "astray"), 60, 0.3)
        picture = PICTURES / f"stats-page-{version}.png"
        page.take_picture(picture)
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000
    finally:
        proxy.stop()
