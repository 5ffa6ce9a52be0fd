#!/usr/bin/env python3
"""Each gate runs on a small tree that breaks its rule, and on one that does not."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

GATES = pathlib.Path(__file__).resolve().parent
REPOSITORY = GATES.parents[1]

HEADER = "/* A slice is a pointer and a length; it owns nothing. */\n#ifndef A_H\n#define A_H\n#endif\n"
SOURCE = '#include "common/slice.h"\n'


class GateTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="relay-gates-")
        self.addCleanup(scratch.cleanup)
        self.top = pathlib.Path(scratch.name)
        self.write("common/slice.h", HEADER)

    def write(self, path, content):
        target = self.top / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)

    def run_gate(self, name, *arguments):
        return subprocess.run(
            [sys.executable, GATES / f"gate_{name}.py", "--top", self.top, *arguments],
            text=True, capture_output=True, check=False,
        )

    def assert_passes(self, name, *arguments):
        done = self.run_gate(name, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def assert_finds(self, expected, name, *arguments):
        done = self.run_gate(name, *arguments)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(expected, done.stdout)


class Includes(GateTest):
    def test_accepts_the_folders_below(self):
        self.write("spoe/frame.h", HEADER)
        self.write("agent/peer.c", SOURCE + '#include "spoe/frame.h"\n#include <ev.h>\n')
        self.write("common/version.c", '#include "relay_version.h"\n')
        self.assert_passes("includes")

    def test_finds_each_forbidden_pair(self):
        forbidden = {
            "common": "spoe agent haproxy admin", "spoe": "agent haproxy admin",
            "agent": "haproxy admin", "haproxy": "spoe agent admin", "admin": "spoe agent",
        }
        for folder in forbidden:
            self.write(f"{folder}/noun.h", HEADER)
        for folder, others in forbidden.items():
            for other in others.split():
                with self.subTest(folder=folder, other=other):
                    self.write(f"{folder}/bad.c", f'\n  # include "{other}/noun.h"\n')
                    self.assert_finds(f"{folder}/bad.c:2: {folder}/ must not include {other}/noun.h",
                                      "includes")
                    (self.top / folder / "bad.c").unlink()

    def test_finds_each_forbidden_pair_inside_admin(self):
        above = {
            "command": "cli store publish upkeep api", "cli": "store publish upkeep api",
            "store": "cli publish upkeep api", "publish": "cli upkeep api", "upkeep": "cli api",
            "api": "cli",
        }
        for room in above:
            self.write(f"admin/{room}/noun.h", HEADER)
        self.write("admin/control_main.c", '#include "admin/api/noun.h"\n')
        self.assert_passes("includes")
        for room, others in above.items():
            for other in others.split():
                with self.subTest(room=room, other=other):
                    self.write(f"admin/{room}/bad.c", f'#include "admin/{other}/noun.h"\n')
                    self.assert_finds(
                        f"admin/{room}/bad.c:1: admin/{room}/ must not include admin/{other}/noun.h",
                        "includes")
                    (self.top / "admin" / room / "bad.c").unlink()

    def test_finds_a_shared_header_that_pulls_in_a_room(self):
        self.write("admin/store/noun.h", HEADER)
        self.write("admin/control.h", '#include "admin/store/noun.h"\n')
        self.assert_finds("admin/control.h:1:", "includes")

    def test_finds_the_top_from_below(self):
        self.write("admin/control.h", HEADER)
        self.write("admin/upkeep/probe.c", '#include "admin/control.h"\n')
        self.assert_passes("includes")
        self.write("admin/store/store.c", '#include "admin/control.h"\n')
        self.assert_finds("admin/store/store.c:1:", "includes")

    def test_finds_the_database_above_the_store(self):
        self.write("admin/store/statement.h", HEADER + "#include <sqlite3.h>\n")
        self.write("admin/store/store.c", '#include "admin/store/statement.h"\n')
        self.assert_passes("includes")
        self.write("admin/api/noun.c", '#include <sqlite3.h>\n#include "admin/store/statement.h"\n')
        self.assert_finds("admin/api/noun.c:1: only admin/store/ includes sqlite3.h", "includes")
        self.assert_finds("admin/api/noun.c:2:", "includes")

    def test_finds_a_name_that_is_not_from_the_root(self):
        self.write("common/num.c", '#include "slice.h"\n')
        self.assert_finds("common/num.c:1:", "includes")

    def test_finds_a_way_around_by_dots(self):
        self.write("agent/noun.h", HEADER)
        self.write("spoe/bad.c", '#include "common/../agent/noun.h"\n')
        self.assert_finds("spoe/bad.c:1:", "includes")

    def test_finds_input_and_output_in_pure_folders(self):
        self.write("spoe/frame.c", "#include <sys/socket.h>\n")
        self.write("agent/decide/key.c", '#include "common/log.h"\n')
        self.write("agent/peer.c", "#include <sys/socket.h>\n")
        self.assert_finds("spoe/frame.c:1:", "includes")
        self.assert_finds("agent/decide/key.c:1:", "includes")

    def test_finds_each_forbidden_pair_inside_agent(self):
        headers = {"keeper": "agent/keeper/keeper.h", "tables": "agent/lease.h",
                   "decide": "agent/decide/decide.h", "shell": "agent/peer.h"}
        allowed = {("tables", "tables"), ("decide", "tables"), ("decide", "decide"), ("keeper", "keeper"),
                   ("shell", "tables"), ("shell", "decide"), ("shell", "shell")}
        for header in headers.values():
            self.write(header, HEADER)
        for part, header in headers.items():
            source = header.removesuffix(".h") + ".c"
            for other, target in headers.items():
                with self.subTest(part=part, other=other):
                    self.write(source, f'#include "{target}"\n')
                    if (part, other) in allowed:
                        self.assert_passes("includes")
                    else:
                        self.assert_finds(f"{source}:1: agent's {part} must not include {target}", "includes")
                    (self.top / source).unlink()

    def test_finds_a_clock_in_the_tables_of_the_pure_core(self):
        self.write("agent/lease.c", '#include "common/clock.h"\n')
        self.assert_finds("agent/lease.c:1:", "includes")

    def test_finds_the_version_outside_common(self):
        self.write("agent/keeper/main.c", '#include "relay_version.h"\n')
        self.assert_finds("agent/keeper/main.c:1:", "includes")


class Lengths(GateTest):
    def function(self, lines):
        return "int f(void)\n{\n" + "\t;\n" * (lines - 4) + "\treturn 0;\n}\n"

    def baseline(self, text):
        self.write("tests/gates/lengths.baseline", "# why\n" + text + "\n")

    def test_accepts_the_limits(self):
        self.write("common/f.c", self.function(60))
        self.write("common/g.h", HEADER + "\n" * (700 - 4))
        self.assert_passes("lengths")

    def test_finds_a_long_function_and_a_long_file(self):
        self.write("common/f.c", self.function(61))
        self.write("common/g.h", HEADER + "\n" * (701 - 4))
        self.assert_finds("common/f.c:f: 61 lines, the limit is 60", "lengths")
        self.assert_finds("common/g.h: 701 lines, the limit is 700", "lengths")

    def test_ratchet_holds_both_ways(self):
        self.write("common/f.c", self.function(80))
        self.baseline("common/f.c:f 80")
        self.assert_passes("lengths")
        self.baseline("common/f.c:f 79")
        self.assert_finds("grew from 79 to 80", "lengths")
        self.baseline("common/f.c:f 81")
        self.assert_finds("lower its entry", "lengths")

    def test_finds_an_entry_that_is_not_needed(self):
        self.write("common/f.c", self.function(20))
        self.baseline("common/f.c:f 80")
        self.assert_finds("remove it", "lengths")
        self.baseline("common/gone.c:f 80")
        self.assert_finds("is gone", "lengths")

    def test_measures_python_too(self):
        self.write("tests/e2e/long.py", "def f():\n" + "    pass\n" * 61)
        self.assert_finds("tests/e2e/long.py:f: 62 lines", "lengths")


class Text(GateTest):
    options = ("--hosts", json.dumps(["packages.example"]), "--places", json.dumps(["/machine"]))

    def test_accepts_ordinary_text(self):
        self.write("common/a.c", "/* mkstemp wants XXXXXX; todo lists; /machinery; dir/machine */\n")
        self.assert_passes("text", *self.options)

    def test_finds_each_word(self):
        for word in ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"):
            with self.subTest(word=word):
                self.write("common/a.c", f"/* {word}: later */\n")
                self.assert_finds(f"common/a.c:1: {word}", "text", *self.options)

    def test_finds_places_hosts_and_keys(self):
        self.write("README.md", "cd /machine/main\n")
        self.assert_finds("README.md:1: a path of this machine", "text", *self.options)
        self.write("README.md", "https://packages.example/x\n")
        self.assert_finds("README.md:1: a package host", "text", *self.options)
        self.write("README.md", "-----BEGIN EC PRIVATE" + " KEY-----\n")
        self.assert_finds("README.md:1: a private key", "text", *self.options)

    def test_knows_where_it_is(self):
        self.write("README.md", f"cd {self.top.resolve()}\n")
        self.assert_finds("README.md:1: a path of this machine", "text")


class Headers(GateTest):
    def test_accepts_a_comment_and_a_guard(self):
        self.assert_passes("headers")

    def test_finds_a_missing_comment(self):
        self.write("spoe/a.h", "#ifndef A_H\n#define A_H\n#endif\n")
        self.assert_finds("spoe/a.h:1: does not start with a comment", "headers")

    def test_finds_a_comment_that_says_nothing(self):
        self.write("spoe/a.h", "/* a.h */\n#ifndef A_H\n#define A_H\n#endif\n")
        self.assert_finds("spoe/a.h:1:", "headers")

    def test_finds_a_missing_guard(self):
        self.write("spoe/a.h", "/* A frame is one message of SPOP. */\nint x;\n")
        self.assert_finds("spoe/a.h:1: has no include guard", "headers")


class Docs(GateTest):
    def setUp(self):
        super().setUp()
        self.program = self.top / "program"
        self.write("program", "#!/bin/sh\necho page of $2\n")
        self.program.chmod(0o755)
        for page, what in (("CONFIG", "config"), ("ERRORS", "errors"), ("METRICS", "metrics")):
            self.write(f"docs/{page}.md", f"page of {what}\n")

    def test_accepts_fresh_pages(self):
        self.assert_passes("docs", "--program", self.program)

    def test_finds_a_page_that_differs_or_is_missing(self):
        self.write("docs/ERRORS.md", "page of errors\nand more\n")
        self.assert_finds("docs/ERRORS.md:1: differs from the rows of the code at line 2", "docs",
                          "--program", self.program)
        (self.top / "docs/ERRORS.md").unlink()
        self.assert_finds("docs/ERRORS.md:1: is missing", "docs", "--program", self.program)

    def test_finds_a_program_that_fails(self):
        self.write("program", "#!/bin/sh\nexit 3\n")
        self.assert_finds("exited 3", "docs", "--program", self.program)


class References(GateTest):
    def setUp(self):
        super().setUp()
        self.write("docs/LIMITS.md", "See [limits](LIMITS.md#slots), [README](../README.md) and `common/slice.h`.\n")
        self.write("README.md", "[docs/LIMITS.md](docs/LIMITS.md), docs/*.md, slice.h; the folders common/ and docs/.\n")

    def test_accepts_what_exists(self):
        self.write("common/a.c", SOURCE + "/* docs/LIMITS.md; slice.h; /etc/haproxy/relay.cfg; <ev.h>; X.mdx */\n")
        self.assert_passes("references")

    def test_finds_each_kind_of_name(self):
        for name in ("PLAN.md", "docs/PLAN.md", "common/gone.h", "common/gone/", "tests/e2e/gone.py", "gone.c", "docs/X*.md"):
            with self.subTest(name=name):
                self.write("common/a.c", f"\n/* as {name} says */\n")
                self.assert_finds(f"common/a.c:2: there is no {name}", "references")

    def test_a_document_is_named_with_its_folder(self):
        self.write("common/a.c", "/* LIMITS.md has the rules. */\n")
        self.assert_finds("common/a.c:1: there is no LIMITS.md", "references")

    def test_looks_at_texts_of_all_kinds(self):
        for path in ("quickstart", "tests/e2e/a.py", "tests/golden/relay.cfg", "cmake/A.cmake"):
            with self.subTest(path=path):
                self.write(path, "# PLAN.md\n")
                self.assert_finds(f"{path}:1: there is no PLAN.md", "references")
                (self.top / path).unlink()


class Words(GateTest):
    def test_accepts_ordinary_text(self):
        self.write("common/a.c", "/* a way to the outside; its own; the word of the agent; always outer */\n")
        self.assert_passes("words")

    def test_finds_each_phrase(self):
        for phrase in ("way" + " out", "Ways" + " out", "ways" + "_out", "of its" + " own", "agent's" + " word",
                       "who" + " waits", "came" + " about"):
            with self.subTest(phrase=phrase):
                self.write("README.md", f"first\nthe {phrase}.\n")
                self.assert_finds(f"README.md:2: {phrase!r}: write", "words")

    def test_finds_a_phrase_over_two_lines(self):
        self.write("common/a.c", "/*\n * a file of its\n *" + " own noun\n */\n")
        self.assert_finds("common/a.c:2:", "words")

    def test_finds_a_name_of_a_file(self):
        self.write("tests/ways" + "_out.c", "int x;\n")
        self.assert_finds("the name has", "words")


class Format(GateTest):
    def setUp(self):
        super().setUp()
        self.write(".clang-format", (REPOSITORY / ".clang-format").read_text())

    def test_accepts_the_layout(self):
        self.write("common/a.c", "int f(void)\n{\n\treturn 0;\n}\n")
        self.assert_passes("format")

    def test_finds_another_layout(self):
        self.write("common/a.c", "int f(void) {\n    return 0;\n}\n")
        done = self.run_gate("format")
        self.assertIn("common/a.c: not as clang-format lays it out", done.stdout)


class Tidy(GateTest):
    def setUp(self):
        super().setUp()
        self.write(".clang-tidy", (REPOSITORY / ".clang-tidy").read_text())
        self.build = self.top / "build"
        self.build.mkdir()
        entry = {"directory": str(self.top), "file": "common/a.c", "command": f"cc -I{self.top} -c common/a.c"}
        (self.build / "compile_commands.json").write_text(json.dumps([entry]))

    def test_finds_a_null_dereference(self):
        self.write("common/a.c", "int f(void);\nint f(void)\n{\n\tint *p = 0;\n\treturn *p;\n}\n")
        self.assert_finds("NullDereference", "tidy", "--build", self.build)
        self.assert_finds("NullDereference", "tidy", "--build", self.build)

    def test_looks_again_only_when_something_changed(self):
        self.write("common/a.c", SOURCE + "int f(void);\nint f(void)\n{\n\treturn 0;\n}\n")
        self.assertIn("1 of 1 files were due", self.run_gate("tidy", "--build", self.build).stdout)
        self.assertIn("0 of 1 files were due", self.run_gate("tidy", "--build", self.build).stdout)
        self.write("common/slice.h", HEADER + "\n")
        self.assertIn("1 of 1 files were due", self.run_gate("tidy", "--build", self.build).stdout)


if __name__ == "__main__":
    unittest.main()
