"""One stack for each HAProxy version and session; fresh ones for tests that break things.

    pytest tests/e2e                                        all tests, one after the other
    pytest -n 4 tests/e2e                                   all tests, in four workers (needs python3-pytest-xdist)
    RELAY_HAPROXY=3.2 pytest tests/e2e -k test_large_answer    one test on one HAProxy version
    RELAY_FULL=1 pytest tests/e2e                           the biggest runs, too
    RELAY_BUILD=build/asan pytest tests/e2e                 the programs of another build

The build has to be made with -DBUILD_TESTING=ON.
"""
import pytest

import workers
from relay import ANY, VERSIONS, Stack, haproxy_commands


def pytest_configure(config):
    config.addinivalue_line("markers", "takes(seconds): about how long a test runs; the longest are started first")
    if workers.is_worker(config):
        workers.isolate()
    elif config.getoption("numprocesses", None):
        workers.start(config)
        haproxy_commands()  # may download versions: only this process has network access


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["relay_groups"] = node.config.relay_groups


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return workers.make_scheduler(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if workers.is_worker(config):
        workers.order(config, items)


def pytest_unconfigure(config):
    workers.end(config)


@pytest.fixture(scope="session", params=VERSIONS)
def stack(request):
    s = Stack(request.param)
    try:
        yield s.start()
    finally:
        s.stop()


@pytest.fixture
def fresh():
    """Makes separate stacks: fresh(version, ...). All are stopped at the end of the test."""
    made = []

    def make(version=ANY, **options):
        s = Stack(version, **options)
        made.append(s)
        return s.start()

    try:
        yield make
    finally:
        for s in made:
            s.stop()
