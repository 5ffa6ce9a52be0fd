"""One stack for each HAProxy version and session; fresh ones for tests that break things."""
import pytest

from relay import VERSIONS, Stack


@pytest.fixture(scope="session", params=VERSIONS)
def stack(request):
    s = Stack(request.param)
    try:
        yield s.start()
    finally:
        s.stop()


@pytest.fixture
def fresh():
    """Makes stacks of one's own: fresh(version, ...). All are stopped at the end of the test."""
    made = []

    def make(version="2.6", **options):
        s = Stack(version, **options)
        made.append(s)
        return s.start()

    try:
        yield make
    finally:
        for s in made:
            s.stop()
