#!/usr/bin/env python3
"""A folder includes only the folders below it, by their full name from the root.

common <- spoe <- agent, common <- haproxy <- admin. Inside agent/: tables <- decide/ <- shell, and keeper/
by itself. Inside admin/: command <- cli, and command <- store <- publish <- upkeep <- api; control_main.c
and its neighbours are on top, and control.h, which includes no folder of admin/, may be included from
publish/ upwards. Only admin/store/ includes the headers of the database. spoe/, agent/decide/ and its
tables must stay free of I/O, clock and log, so the headers of those are refused there.
"""

import re

import tree

ALLOWED = {
    "common": {"common"},
    "spoe": {"common", "spoe"},
    "agent": {"common", "spoe", "agent"},
    "haproxy": {"common", "haproxy"},
    "admin": {"common", "haproxy", "admin"},
}
# Rooms of a folder, and what each includes of the same folder. Files beside the rooms include all.
ROOMS = {
    "admin/command": {"admin/command"},
    "admin/cli": {"admin/command", "admin/cli"},
    "admin/store": {"admin/command", "admin/store"},
    "admin/publish": {"admin/command", "admin/store", "admin/publish", "admin/control.h"},
    "admin/upkeep": {"admin/command", "admin/store", "admin/publish", "admin/upkeep", "admin/control.h"},
    "admin/api": {"admin/command", "admin/store", "admin/publish", "admin/upkeep", "admin/api",
                  "admin/control.h"},
}
# Headers that every room may include, so that they must include no room themselves.
SHARED = {"admin/control.h": "admin"}
# Headers of the database, which only the store names.
STORE_ONLY = {
    "sqlite3.h", "libpq-fe.h", "admin/store/statement.h", "admin/store/store_file.h",
}
GENERATED = {"relay_version.h": "common"}
# What the pure core decides over; every other file beside the folders of agent/ is the shell.
TABLES = tuple(f"agent/{noun}." for noun in (
    "badkeys", "binding", "bodyname", "budget", "evidence", "health", "idindex", "lease", "pooled", "request", "room", "sharing",
    "slots", "undo", "usage",
))
AGENT_ALLOWED = {
    "keeper": {"keeper"},
    "tables": {"tables"},
    "decide": {"tables", "decide"},
    "shell": {"tables", "decide", "shell"},
}
PURE = ("spoe/", "agent/decide/", *TABLES)
IMPURE = {
    "common/clock.h", "common/log.h", "ev.h", "netinet/in.h", "poll.h", "sys/epoll.h",
    "sys/socket.h", "sys/time.h", "sys/uio.h", "syslog.h", "time.h",
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def agent_part(path):
    """The row of AGENT_ALLOWED for a file of agent/."""
    parts = path.split("/")
    if len(parts) > 2:
        return parts[1]
    return "tables" if path.startswith(TABLES) else "shell"


def refuse_room(path, target):
    """Why a room of a folder must not include this file of the same folder, or None."""
    if target.split("/")[0] != path.parts[0]:
        return None
    if path.as_posix() in SHARED:
        return f"{path} includes no file of {SHARED[path.as_posix()]}/, but {target}"
    room = path.parent.as_posix()
    if room not in ROOMS or target in ROOMS[room] or target.rsplit("/", 1)[0] in ROOMS[room]:
        return None
    return f"{room}/ must not include {target}"


def refuse(path, kind, target, top):
    """Why this include is forbidden, or None."""
    folder = path.parts[0]
    if path.as_posix().startswith(PURE) and target in IMPURE:
        return f"{path} does no I/O and has no clock and no log, but includes {target}"
    if target in STORE_ONLY and path.parent.as_posix() != "admin/store":
        return f"only admin/store/ includes {target}: queries are in admin/store/sql.h"
    if kind == "<":
        return None
    if target in GENERATED:
        if folder == GENERATED[target]:
            return None
        return f"only {GENERATED[target]}/ includes {target}"
    if ".." in target.split("/") or not (top / target).is_file():
        return f'"{target}" is no path from the root of the tree'
    if target.split("/")[0] not in ALLOWED[folder]:
        return f"{folder}/ must not include {target}"
    if folder == "agent" and target.startswith("agent/"):
        part = agent_part(path.as_posix())
        if agent_part(target) not in AGENT_ALLOWED.get(part, ()):
            return f"agent's {part} must not include {target}"
    return refuse_room(path, target)


def main():
    top = tree.parser(__doc__).parse_args().top.resolve()
    findings = []
    paths = [path for path in tree.sources(top, ".c", ".h") if path.parts[0] in ALLOWED]
    for path in paths:
        for number, line in enumerate((tree.text(top, path) or "").splitlines(), 1):
            found = INCLUDE.match(line)
            reason = refuse(path, *found.groups(), top) if found else None
            if reason:
                findings.append(f"{path}:{number}: {reason}")
    tree.report("includes", findings, len(paths))


if __name__ == "__main__":
    main()
