"""The table of docs/CLIENTS.md: each cell is the outcome of a run. Agents run on the newest HAProxy, all others on the one
before; RELAY_FULL=1 runs all on all versions."""
import pytest

import clients
from relay import ROOT, VERSIONS, is_full

PAGE = ROOT / "docs/CLIENTS.md"


def table():
    """{client: {feature: cell}} of the page."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    start = next(i for i, row in enumerate(rows) if row[0] == "client" and "chat" in row)
    features = rows[start][1:]
    return {row[0]: dict(zip(features, row[1:], strict=True)) for row in rows[start + 2:start + 2 + len(clients.CLIENTS)]}


TABLE = table()


def versions_of(client):
    if is_full():
        return VERSIONS
    return VERSIONS[-1:] if isinstance(clients.CLIENTS[client](), clients.Agent) else VERSIONS[-2:][:1]


RUNS = [(version, client) for client in clients.CLIENTS for version in versions_of(client)]


@pytest.fixture(scope="module")
def sites():
    made = {}

    def get(version):
        if version not in made:
            made[version] = clients.ClientStack(version)
            made[version].start()
        return made[version]
    try:
        yield get
    finally:
        for site in made.values():
            site.stop()


@pytest.fixture(scope="module")
def at(sites, tmp_path_factory):
    made = {}

    def get(version, client):
        if (version, client) not in made:
            home = tmp_path_factory.mktemp("home")
            made[version, client] = clients.CLIENTS[client]().at(sites(version), client, home)
        return made[version, client]
    return get


def test_the_page_has_each_client_and_each_feature():
    assert list(TABLE) == list(clients.CLIENTS)
    assert all(list(row) == list(clients.FEATURES) for row in TABLE.values())


@pytest.mark.takes(5)
@pytest.mark.parametrize("feature", clients.FEATURES)
@pytest.mark.parametrize("run", RUNS, ids="-".join)
def test_a_cell_is_what_a_run_shows(at, run, feature):
    version, client = run
    assert at(version, client).outcome(feature) == TABLE[client][feature]
