#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds the specification (docs/spec) to the code, and the code to the specification.

usage: spec.py TABLES ROOT MANUAL... | spec.py --self-test TABLES ROOT
TABLES: the program spec_tables; MANUAL: the manual pages that were built
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
# Where rules are named: in what people read, and in what errors say.
NAMED = ["src", "include", "docs", "man", "examples", "tests"]
NAMING = {".c", ".h", ".md", ".py", ".1", ".7"}
UNNUMBERED = re.compile(r'"(?:MIG|STR)-[A-Z0-9]*[A-Z][A-Z0-9]*"')
ARC = re.compile(r"^### ([A-Z_0-9]+) to ([A-Z_0-9]+)$", re.M)


def load(root):
    """The scripts that make the pages, of this tree."""
    sys.path.insert(0, str(root / "scripts"))
    import spec_man
    import spec_pages
    return spec_pages, spec_man


def page(root, name):
    return (root / "docs/spec" / f"{name}.md").read_text(encoding="utf-8")


def check_pages(pages, root, blocks):
    """What is generated is as the code says now."""
    wrong, tests = [], pages.tests_of(root)
    for path in pages.pages(root):
        old = path.read_text(encoding="utf-8")
        try:
            if pages.fill(old, blocks, tests) != old:
                wrong.append(f"{path.name} is out of date: scripts/spec-update renews it")
        except pages.Wrong as e:
            wrong.append(f"{path.name}: {e}")
    return wrong


def check_rules(pages, root, blocks):
    """A rule that is enforced is tried by something; what tries names a rule."""
    wrong, tests = [], pages.tests_of(root)
    rules, checks = pages.rules_of(blocks), pages.checks_of(blocks)
    known = {r["id"] for r in rules}
    tried = {c["rule"] for c in checks}
    for rule in rules:
        name = rule["id"]
        if rule["enforced"] == "1" and name not in tried and name not in tests:
            wrong.append(f"{name} is enforced, but no check and no test names it")
        if rule["enforced"] == "0" and name in tried:
            wrong.append(f"{name} has a check: mark it enforced")
    wrong += [f"the check {c['id']} names {c['rule']}, which is no rule"
              for c in checks if c["rule"] not in known]
    return wrong


def check_names(pages, root, blocks):
    """Whoever names a rule names one that exists."""
    known = {r["id"] for r in pages.rules_of(blocks)}
    wrong = []
    for folder in NAMED:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.suffix not in NAMING or name in pages.NO_TESTS:
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            wrong += [f"{name} names {r}, which is no rule"
                      for r in sorted(set(pages.RULE.findall(text)) - known)]
            if folder == "src":
                wrong += [f"{name} names {r}, which is no rule"
                          for r in sorted(set(UNNUMBERED.findall(text)))]
    return wrong


def check_told(pages, root, blocks):
    """Each state, arc, operation and chapter is written about."""
    del pages
    wrong = []
    states, access = page(root, "states"), page(root, "access")
    arcs = {tuple(c.strip() for c in line.split("|")[1:3]) for line in blocks["arcs"][2:]}
    told = set(ARC.findall(states))
    wrong += [f"states.md tells nothing of {a} to {b}" for a, b in sorted(arcs - told)]
    wrong += [f"states.md tells of {a} to {b}, which is no arc" for a, b in sorted(told - arcs)]
    names = {line.split("|")[2].strip() for line in blocks["states"][2:]}
    wrong += [f"states.md tells nothing of {n}" for n in sorted(names)
              if f"\n### {n}\n" not in states]
    told = set()
    for found in re.findall(r"^\*\*([A-Z_, ]+)\.\*\*", access, re.M):
        told |= set(found.split(", "))
    operations = {line.split(" ")[0] for line in blocks["access"][2:-1]}
    wrong += [f"access.md tells nothing of {o}" for o in sorted(operations - told)]
    wrong += [f"access.md tells of {o}, which is no operation" for o in sorted(told - operations)]
    return wrong


def check_chapters(pages, man, root, blocks):
    """Each chapter has a page with its rules, each page a place in the index and a manual."""
    wrong = []
    names = {p.stem for p in pages.pages(root)} - {"README"}
    for chapter in sorted({r["chapter"] for r in pages.rules_of(blocks)}):
        if chapter not in names:
            wrong.append(f"the chapter {chapter} has no page")
        elif f"rules chapter={chapter}" not in pages.blocks_in(page(root, chapter)):
            wrong.append(f"{chapter}.md does not show its rules")
    listed = re.findall(r"\]\(([a-z0-9-]+)\.md\)", page(root, "README"))
    printed = [c for _, chapters in man.MANUALS.values() for c in chapters]
    for name in sorted(names):
        if listed.count(name) != 1:
            wrong.append(f"README.md lists {name}.md {listed.count(name)} times")
        if printed.count(name) != 1:
            wrong.append(f"{name}.md is on {printed.count(name)} manual pages")
    return wrong


def anchors(text):
    """Anchors that headings make."""
    found = set()
    for title in re.findall(r"^#{1,4} (.+)$", text, re.M):
        found.add(re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-"))
    return found


def check_links(pages, root, blocks):
    """Links from and to the specification lead somewhere."""
    del pages, blocks
    wrong = []
    for path in sorted([*(root / "docs").rglob("*.md"), root / "README.md"]):
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            name, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            to = (path.parent / name).resolve() if name else path
            place = path.relative_to(root).as_posix()
            if not to.exists():
                wrong.append(f"{place}: {target} does not exist")
            elif anchor and to.suffix == ".md" and \
                    anchor not in anchors(to.read_text(encoding="utf-8")):
                wrong.append(f"{place}: {target} has no such place")
    return wrong


def check_manuals(pages, blocks, manuals):
    """The manual pages have all rules, and pass mandoc's lint. Return: wrong, was linted."""
    text = "".join(pathlib.Path(m).read_text(encoding="ascii") for m in manuals)
    wrong = [f"{r['id']} is on no manual page" for r in pages.rules_of(blocks)
             if f".It Sy {r['id']}\n" not in text]
    if shutil.which("mandoc") is None:
        return wrong, False
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *manuals], capture_output=True,
                          text=True, check=False)
    return wrong + (lint.stdout + lint.stderr).splitlines(), True


def check_tree(root, blocks):
    """Everything but the manual pages. Return: what is wrong."""
    pages, man = load(root)
    wrong = check_chapters(pages, man, root, blocks)
    for check in (check_pages, check_rules, check_names, check_told, check_links):
        wrong += check(pages, root, blocks)
    return wrong


def spoilt(blocks, name, line, new):
    """Return: the blocks with one line changed."""
    copy = {n: list(b) for n, b in blocks.items()}
    i = next(i for i, old in enumerate(copy[name]) if old.startswith(line))
    copy[name][i:i + 1] = new
    return copy


def self_test(tables, root):
    """Each check finds what it is for, and nothing in a tree that is as it should be."""
    pages, man = load(root)
    with tempfile.TemporaryDirectory() as name:
        tree = pathlib.Path(name)
        for folder in ("docs", "scripts", "tests", "src/core", "include"):
            shutil.copytree(root / folder, tree / folder,
                            ignore=shutil.ignore_patterns("golden*", "corpus", "*.trc"))
        shutil.copy(root / "README.md", tree)
        blocks = pages.run_tables(tables)
        # The state of this tree is the other test's concern.
        blocks["rules"].append("MIG-SELF-1\tstates\t1\tFerry\tIt is so.\tIt has to be.")
        blocks["checks"].append("self.test\tMIG-SELF-1\trequired\ttries it")
        pages.refresh(tree, blocks)
        before = check_rules(pages, tree, blocks)
        arc = blocks["arcs"][2]

        def finds(check, text, changed, *more):
            found = check(pages, *more, tree, changed)
            assert any(text in w for w in found), (text, found)

        assert not check_pages(pages, tree, blocks)
        assert not check_told(pages, tree, blocks)
        assert not check_chapters(pages, man, tree, blocks)
        finds(check_pages, "states.md is out of date",
              spoilt(blocks, "arcs", arc, [arc.replace("yes", "no")]))
        finds(check_pages, "access.md is out of date",
              spoilt(blocks, "access", "RESET", ["RESET         R"]))
        finds(check_pages, "v1.md is out of date", spoilt(blocks, "v1 states", "| 000", []))
        # A check that goes: out of date, and its rule is tried by nothing.
        gone = spoilt(blocks, "checks", "self.test", [])
        finds(check_pages, "states.md is out of date", gone)
        finds(check_rules, "MIG-SELF-1 is enforced, but no check and no test", gone)
        finds(check_rules, "the check self.test names MIG-NONE-1",
              spoilt(blocks, "checks", "self.test", ["self.test\tMIG-NONE-1\trequired\tx"]))
        finds(check_rules, "MIG-SELF-1 has a check: mark it",
              spoilt(blocks, "rules", "MIG-SELF-1", ["MIG-SELF-1\tstates\t0\tFerry\ta.\tb."]))
        # A test that names the rule is enough; a page that lacks it is out of date.
        proof = tree / "tests/unit/test_self.c"
        proof.write_text("/* MIG-SELF-1 */\n")
        assert check_rules(pages, tree, gone) == before
        finds(check_pages, "states.md is out of date", blocks)
        finds(check_names, "tests/unit/test_self.c names MIG-SELF-1",
              spoilt(blocks, "rules", "MIG-SELF-1", []))
        proof.unlink()
        proof = tree / "src/core/self.c"
        proof.write_text('const char *rule = "MIG-SELF";\n')
        finds(check_names, 'src/core/self.c names "MIG-SELF"', blocks)
        proof.unlink()
        finds(check_told, "tells nothing of STOP to SELF",
              spoilt(blocks, "arcs", arc, [arc, "| STOP | SELF | yes | | | | |"]))
        finds(check_told, "which is no arc", spoilt(blocks, "arcs", arc, []))
        finds(check_told, "access.md tells nothing of SELF",
              spoilt(blocks, "access", "RESET", ["SELF          A"]))
        other = blocks["rules"] + ["MIG-SELF-2\tother\t0\tFerry\ta.\tb."]
        finds(lambda p, *a: check_chapters(p, man, *a), "the chapter other has no page",
              {**blocks, "rules": other})
        (tree / "docs/spec/orphan.md").write_text("# Orphan\n\n[a](states.md#nowhere)\n")
        finds(lambda p, *a: check_chapters(p, man, *a), "lists orphan.md 0 times", blocks)
        finds(check_links, "states.md#nowhere has no such place", blocks)
        (tree / "docs/spec/orphan.md").write_text("<!-- generated: nothing -->\n<!-- end -->\n")
        finds(check_pages, "nothing is called 'nothing'", blocks)
        (tree / "docs/spec/orphan.md").write_text("<!-- generated: arcs -->\n[a](b.md)\n")
        finds(check_pages, "has no end", blocks)
        finds(check_links, "b.md does not exist", blocks)
    for text in ("a\n* b\n", "> quoted\n", "![picture](a.png)\n", "<b>x</b>\n", "un`closed\n"):
        try:
            man.manual("ferry-dirty", [text])
        except man.Unknown:
            continue
        raise AssertionError(f"taken for known Markdown: {text}")


def main():
    if sys.argv[1] == "--self-test":
        self_test(sys.argv[2], pathlib.Path(sys.argv[3]).resolve())
        return 0
    root = pathlib.Path(sys.argv[2]).resolve()
    pages, _ = load(root)
    blocks = pages.run_tables(sys.argv[1])
    wrong = check_tree(root, blocks)
    more, linted = check_manuals(pages, blocks, sys.argv[3:])
    wrong += more
    print("\n".join(wrong) or f"{len(blocks['rules'])} rules, {len(blocks['checks'])} checks")
    if wrong:
        return 1
    if not linted:
        print("mandoc is missing: the manual pages were not linted")
        return SKIP
    return 0


if __name__ == "__main__":
    sys.exit(main())
