#!/usr/bin/env python3
"""Every file of the repository that a comment or a text names exists.

Three kinds of names are looked at, in all text files: documents (*.md), which lie at the root, beside
the file that names them, or at the given path from one of these; paths that begin with a folder of the
repository; and in C, Python and CMake sources the bare names of C sources, which may lie in any folder.
"""

import fnmatch
import re

import tree

TOPS = ("common", "spoe", "agent", "haproxy", "admin", "tests", "docs", "cmake", "scripts", "docker")
WORD = r"[A-Za-z0-9_][A-Za-z0-9_.*-]*"
DOCUMENT = re.compile(rf"(?<![\w./*-])((?:\.\./|{WORD}/)*{WORD}\.md)(?![\w/])")
PATH = re.compile(rf"(?<![\w./*$}}-])((?:{'|'.join(TOPS)})/(?:{WORD}/)*(?:{WORD}\.[a-z]{{1,10}}|{WORD}/)?)(?![\w/*<{{%])")
SOURCE = re.compile(rf"(?<![\w./*<-])([a-z][a-z0-9_]*\.[ch])(?![\w/])")
SOURCES_IN = {".c", ".h", ".py", ".txt", ".cmake", ".md"}
# Made by the build or by `haproxy render`; headers of the system; a source of HAProxy.
NOT_HERE = {"relay_version.h", "relay.cfg", "relay-spoe.conf", "ev.h", "time.h", "poll.h", "syslog.h", "sqlite3.h",
            "http_ana.c"}
IGNORED = ("tests/gates/selftest.py",)


class Tree:
    def __init__(self, top, paths):
        self.top = top
        self.paths = {path.as_posix() for path in paths}
        self.folders = {parent.as_posix() for path in paths for parent in path.parents}
        self.names = {path.name for path in paths}

    def has(self, name):
        name = name.rstrip("/")
        if "*" in name:
            return any(fnmatch.fnmatch(path, name) for path in self.paths)
        return name in self.paths or name in self.folders

    def has_document(self, name, beside):
        """From the root, or from the folder of the file that names it."""
        places = (self.top, (self.top / beside).parent)
        return any(self.has((place / name).resolve().relative_to(self.top).as_posix())
                   for place in places if (place / name).resolve().is_relative_to(self.top))


def findings_in(known, path, line):
    for name in DOCUMENT.findall(line):
        if not known.has_document(name, path):
            yield f"there is no {name}"
    for name in PATH.findall(line):
        if not name.endswith(".md") and name.split("/")[-1] not in NOT_HERE and not known.has(name):
            yield f"there is no {name}"
    if path.suffix in SOURCES_IN:
        for name in SOURCE.findall(line):
            if name not in known.names | NOT_HERE:
                yield f"there is no {name}"


def main():
    top = tree.parser(__doc__).parse_args().top.resolve()
    paths = [path for path in tree.files(top) if path.as_posix() not in IGNORED]
    known, findings = Tree(top, tree.files(top)), []
    for path in paths:
        for number, line in enumerate((tree.text(top, path) or "").splitlines(), 1):
            findings += [f"{path}:{number}: {what}" for what in findings_in(known, path, line)]
    tree.report("references", findings, len(paths))


if __name__ == "__main__":
    main()
