#!/usr/bin/python3
"""Packages from npm, as users install them, in the cache: once for each lock file, whichever worker comes first. As a
program it installs all that the tests need."""
import fcntl
import hashlib
import pathlib
import shutil
import subprocess

from relay import ROOT
from workers import with_network


def installed(source):
    """The directory with a copy of `source` and its node_modules."""
    files = sorted(f for f in source.iterdir() if f.is_file())
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:16]
    place = ROOT / ".cache" / source.name / digest
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "installed").exists():
            install(files, place)
    return place


def install(files, place):
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for f in files:
        shutil.copy(f, place)
    run = subprocess.run(with_network("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"), cwd=place,
                         capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    (place / "installed").touch()


if __name__ == "__main__":
    for each in ("sdk", "agents"):
        installed(pathlib.Path(__file__).resolve().parent / each)
