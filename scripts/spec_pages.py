# SPDX-License-Identifier: BSD-3-Clause
"""The pages of the specification, and what is generated in them.

A page (docs/spec/*.md) is written by hand, but for blocks between two marks:

    <!-- generated: arcs -->
    ...
    <!-- end -->

What stands in a block is printed by the program spec_tables, which is linked with the library;
the rules of a chapter get their checks from it too, and their tests from the sources that name
them.
"""
import pathlib
import re
import subprocess

MARK = re.compile(r"^<!-- generated: ([^>]+?) -->$")
END = "<!-- end -->"
RULE = re.compile(r"\b(?:MIG|STR)-[A-Z0-9]+-[0-9]+\b")
TEST_SOURCES = {".c", ".h", ".py"}
# This one names rules to test the test.
NO_TESTS = {"tests/project/spec.py"}


class Wrong(Exception):
    """A page, or what it is made of, is not as it must be."""


def run_tables(program):
    """Return: the blocks that spec_tables prints, by name."""
    text = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    blocks, lines = {}, None
    for line in text.splitlines():
        if line.startswith("@@ "):
            lines = blocks.setdefault(line[3:], [])
        else:
            lines.append(line)
    return blocks


def rules_of(blocks):
    """Return: the rules as dicts, in the order of the code."""
    names = ("id", "chapter", "enforced", "source", "text", "why")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in blocks["rules"]]


def checks_of(blocks):
    """Return: the checks as dicts."""
    names = ("id", "rule", "profile", "title")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in blocks["checks"]]


def tests_of(root):
    """Return: for each rule the files below tests/ that name it, sorted."""
    found = {}
    for path in sorted((root / "tests").rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.suffix in TEST_SOURCES and name not in NO_TESTS and path.is_file():
            for rule in set(RULE.findall(path.read_text(encoding="utf-8", errors="replace"))):
                found.setdefault(rule, []).append(name)
    return found


def rule_text(rule, checks, tests):
    """Return: the lines of one rule."""
    lines = [f"### {rule['id']}", "", rule["text"], "", f"- Why: {rule['why']}"]
    lines.append(f"- Source: {rule['source']}")
    if rule["enforced"] == "0":
        lines.append("- **Specified, not yet enforced**")
    mine = [f"`{c['id']}` ({c['profile']})" for c in checks if c["rule"] == rule["id"]]
    if mine:
        lines.append("- Checks: " + ", ".join(mine))
    if rule["id"] in tests:
        lines.append("- Proved by: " + ", ".join(f"`{t}`" for t in tests[rule["id"]]))
    return lines


def rules_block(chapter, blocks, tests):
    """Return: the lines of a chapter's rules."""
    lines = []
    checks = checks_of(blocks)
    for rule in rules_of(blocks):
        if rule["chapter"] == chapter:
            lines += [""] * bool(lines) + rule_text(rule, checks, tests)
    if not lines:
        raise Wrong(f"there is no rule of the chapter {chapter}")
    return lines


def checks_block(blocks):
    """Return: all checks as a table."""
    chapters = {r["id"]: r["chapter"] for r in rules_of(blocks)}
    lines = ["| check | profile | what is tried | rule |", "|---|---|---|---|"]
    for check in checks_of(blocks):
        rule = check["rule"]
        page = chapters.get(rule, "README")
        lines.append(f"| `{check['id']}` | {check['profile']} | {check['title']} "
                     f"| [{rule}]({page}.md#{rule.lower()}) |")
    return lines


def block(name, blocks, tests):
    """Return: the lines of a generated block."""
    chapter = re.fullmatch(r"rules chapter=([a-z0-9-]+)", name)
    if chapter:
        return rules_block(chapter[1], blocks, tests)
    if name == "list of checks":
        return checks_block(blocks)
    if name not in blocks or name in ("rules", "checks"):
        raise Wrong(f"nothing is called '{name}'")
    return blocks[name]


def fill(text, blocks, tests):
    """Return: a page's text with its blocks as they should be."""
    out, lines = [], iter(text.splitlines())
    for line in lines:
        out.append(line)
        mark = MARK.match(line)
        if not mark:
            continue
        for old in lines:
            if MARK.match(old):
                raise Wrong(f"the block '{mark[1]}' has no end")
            if old == END:
                break
        else:
            raise Wrong(f"the block '{mark[1]}' has no end")
        out += ["", *block(mark[1], blocks, tests), "", END]
    return "\n".join(out) + "\n"


def blocks_in(text):
    """Return: the names of the blocks of a page."""
    return [m[1] for m in map(MARK.match, text.splitlines()) if m]


def pages(root):
    """Return: the specification's pages, as paths."""
    return sorted((pathlib.Path(root) / "docs/spec").glob("*.md"))


def refresh(root, blocks):
    """Rewrites the pages. Return: the names of those that changed."""
    changed, tests = [], tests_of(pathlib.Path(root))
    for page in pages(root):
        old = page.read_text(encoding="utf-8")
        new = fill(old, blocks, tests)
        if new != old:
            page.write_text(new, encoding="utf-8")
            changed.append(page.name)
    return changed
