#!/usr/bin/python3
"""An upstream that keeps resources for each credential: a POST makes one (its answer has the id), a GET without an id
lists those of the credential, and a path with an id reaches the resource below any family, for the credential that made
it alone. It reads a path in every spelling. Fails as configured (failing.py)."""
import asyncio
import itertools
import json
import re
import urllib.parse

import failing

ID = re.compile(r"^res-\d+$")
serial = itertools.count(1)
kept = {}  # id: credential


def segments(path):
    for _ in range(4):
        path = urllib.parse.unquote(path)
    return [s.split(";")[0].split("\0")[0].lower() for s in re.split(r"[/\\]", path)]


class Keeping(failing.Connection):
    def do_ok(self):
        method, token = self.row["method"], self.row["token"]
        named = [s for s in segments(self.row["path"]) if ID.match(s)]
        if any(kept.get(i) != token for i in named):
            return self.write(404, (), b'{"error":{"message":"no such resource","code":"not_found"}}')
        if named and method == "DELETE":
            kept.pop(named[0])
        if not named and method == "POST":
            named = [f"res-{next(serial)}"]
            kept[named[0]] = token
        found = named or [i for i, of in kept.items() if of == token]
        self.write(200, (), json.dumps({"token": token, "ids": found}).encode())


if __name__ == "__main__":
    asyncio.run(failing.main(Keeping))
