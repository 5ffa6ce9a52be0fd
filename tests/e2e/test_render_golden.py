"""Every HAProxy version parses every golden rendering (tests/golden/rendered) without an alert or a warning."""

import grp
import os
import pathlib
import re
import subprocess

import pytest

import relay

pytestmark = pytest.mark.takes(0.2)

GOLDEN = relay.ROOT / "tests" / "golden" / "rendered"
FEATURES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
RENDERED_DIR = "/etc/spoa-relay/haproxy"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """One file for every certificate, key and CA that the golden files name."""
    place = tmp_path_factory.mktemp("golden")
    pem = place / "all.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=golden",
                    "-keyout", place / "key.pem", "-out", place / "cert.pem"], check=True, capture_output=True)
    pem.write_text((place / "cert.pem").read_text() + (place / "key.pem").read_text())
    return pem


def localized(text, directory, certificate):
    """The text with existing files and an existing group."""
    text = re.sub(r"/[\w./-]+\.pem", str(certificate), text)
    text = text.replace(RENDERED_DIR, str(directory))
    return text.replace(" group spoa-relay", f" group {grp.getgrgid(os.getgid()).gr_name}")


def complaints(output):
    """Alerts and warnings. No DNS has the example names, and 2.6 warns about that."""
    return [line for line in output.splitlines()
            if re.match(r"\[(ALERT|WARNING)\]", line) and "could not resolve address" not in line]


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("version", relay.VERSIONS)
def test_parses_the_golden_rendering(version, feature, certificate, tmp_path):
    for source in (GOLDEN / feature).iterdir():
        (tmp_path / source.name).write_text(localized(source.read_text(), tmp_path, certificate))
    run = subprocess.run([*relay.haproxy_command(version), "-c", "-f", pathlib.Path(tmp_path, "relay.cfg")],
                         capture_output=True, text=True, timeout=60,
                         env={**os.environ, "SPOA_RELAY_CA": str(certificate), "SPOA_RELAY_SECRET": "golden"})
    assert run.returncode == 0, run.stdout + run.stderr
    assert complaints(run.stdout + run.stderr) == []
