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
TIP = "document.querySelector('#check-{0} div.tips')"


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


def shows_both(page, url):
    """A page that has all of it. HAProxy leaves results and reasons out while it asks an agent again."""
    steady, astray = row_of(page, url, "steady")[1], page.ask(f"{ROW}('astray')")[1]
    reason = page.ask(TIP.format("astray") + "?.textContent") or ""
    return "L4OK" in steady and "DOWN (agent)" in astray and "egress suspended" in reason


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
        wait_until("both states and the reason are there", lambda: shows_both(page, url), 60, 0.3)
        color, text = page.ask(f"{ROW}('steady')")
        assert "UP" in text and "DOWN" not in text and "down" not in color
        assert page.ask(f"{ROW}('astray')")[0] == "active_down"
        visibility = f"getComputedStyle({TIP.format('astray')}).visibility"
        assert page.ask(visibility) == "hidden"
        page.point_at("#check-astray u")
        wait_until("the reason is seen", lambda: page.ask(visibility) == "visible")
        assert "egress suspended" in page.ask(TIP.format("astray") + ".innerText")
        picture = PICTURES / f"stats-page-{version}.png"
        page.take_picture(picture)
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000
    finally:
        proxy.stop()
