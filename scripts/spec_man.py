#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes a manual page (mdoc) from pages of the specification.

usage: spec_man.py NAME TABLES ROOT OUTPUT
TABLES: the program spec_tables, or "-": generated blocks as they stand in the pages

Knows the Markdown that the specification uses and refuses any other, so that nothing is
dropped without a word: headings, paragraphs, lists with one level, tables, code blocks;
code, strong and emphasized text, links. Why not a program of the distribution: lowdown takes
the underscores out of FERRY_E_STATE, and its pages do not pass mandoc's lint.
"""
import pathlib
import re
import sys

import spec_pages

DATE = "November 23, 2026"
WIDTH = 70  # of a table, in letters
COLUMN_MIN = 11
CODE_WIDTH = 75
# What each manual page is made of; the rest of docs/spec is on no page of its own.
MANUALS = {
    "ferry-states": (
        "states of a VFIO device that migrates, and what is legal in them",
        ["states", "access", "peers", "interrupts", "page-requests", "reset", "v1"]),
    "ferry-migration": (
        "how devices move: what is carried, in which order, and what failures leave",
        ["migration", "content", "examples", "questions"]),
    "ferry-stream": (
        "a device's data, and the stream between two hosts",
        ["data", "pre-copy", "stream"]),
    "ferry-dirty": (
        "tracking of what a device writes to memory",
        ["dirty"]),
}
ABOUT = """This page is part of Ferry's specification of device migration.
It is written for people who make hardware, firmware, drivers and virtual machine monitors.
Rules have identifiers
.Pq Sy MIG-STOP-2 ;
error messages name them, and
.Xr ferry-check 1
tests a device against them.
A rule's source is
.Dq uAPI v2
where the text of
.In linux/vfio.h
or the VFIO core of Linux says so, and
.Dq Ferry
where they are silent.
A check is
.Em required
by the uAPI,
.Em expected
by QEMU, or
.Em recommended
by Ferry."""


class Unknown(Exception):
    """Markdown that is not known here."""


def escape(text):
    """Text as roff takes it, inside a line."""
    if not text.isascii():
        raise Unknown(f"not ASCII: {text}")
    return text.replace("\\", "\\e")


def guard(line):
    """A line of text that roff must not take for a request."""
    return "\\&" + line if line.startswith((".", "'")) else line


def manual_of(page):
    """Return: the manual page that has a chapter, or None."""
    return next((name for name, (_, chapters) in MANUALS.items() if page in chapters), None)


def link(text, target, here):
    """A link, for paper: where it leads is said unless it is on the same page."""
    page, _, anchor = target.partition("#")
    if target.startswith("http"):
        return f"{text} ({escape(target)})"
    if not page or re.fullmatch(r"(mig|str)-[a-z0-9]+-[0-9]+", anchor):
        return text
    chapter = page.removesuffix(".md")
    manual = manual_of(chapter)
    if manual == here:
        return text
    if manual:
        return f"{text} (\\fB{manual}\\fR(7))"
    name = pathlib.PurePosixPath("docs/spec") / page
    path = "/".join(p for p in name.as_posix().replace("spec/../", "").split("/"))
    return f"{text} ({escape(path)})"


INLINE = re.compile(
    r"`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)|\*\*([^*]+)\*\*|(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])")


def inline(text, here):
    """Code, links, strong and emphasized text."""
    out, at = [], 0
    for found in INLINE.finditer(text):
        out.append(escape(text[at:found.start()]))
        code, label, target, strong, weak = found.groups()
        if code is not None:
            out.append("\\fB" + escape(code).replace("-", "\\-") + "\\fR")
        elif label is not None:
            out.append(link(inline(label, here), target, here))
        elif strong is not None:
            out.append("\\fB" + inline(strong, here).replace("\\fR", "\\fB") + "\\fR")
        else:
            out.append("\\fI" + inline(weak, here).replace("\\fR", "\\fI") + "\\fR")
        at = found.end()
    rest = text[at:]
    if "![" in re.sub(r"`[^`]*`", "", text) or \
            re.search(r"`|\*\*|\]\(|<[a-z]", INLINE.sub("", text)):
        raise Unknown(f"in a line: {text}")
    return "".join(out) + escape(rest)


def sentences(text):
    """Each sentence begins a line, as roff wants it."""
    out, at = [], 0
    for end in re.finditer(r"\S[.?!:][\"')]?( )(?=[A-Z\"'\\(])", text):
        out.append(text[at:end.start(1)])
        at = end.end(1)
    return [guard(p) for p in [*out, text[at:]]]


def heading_text(text):
    """In a heading words are looked at as macros: At, It, No."""
    return re.sub(r"\b([A-Z][a-z]{1,2})\b", r"\\&\1", text)


def cells(line):
    """Return: the cells of a row of a table."""
    return [c.strip() for c in line.strip().strip("|").split("|")]


def visible(text):
    """Letters that are seen of a cell."""
    return len(re.sub(r"\\f.|\\&", "", text))


def widths(rows):
    """Return: the letters of each column, and which columns have to break their lines.

    What fits stays as it is. The others share the rest by how much is in them.
    """
    count = len(rows[0])
    natural = [max(visible(r[i]) for r in rows) for i in range(count)]
    weight = [sum(visible(r[i]) for r in rows) for i in range(count)]
    # groff does not break words.
    least = [max([COLUMN_MIN, *(visible(word) for r in rows for word in r[i].split())])
             for i in range(count)]
    room = WIDTH - 3 * (count - 1)
    given, open_ = {}, list(range(count))
    while open_:
        rest, sum_of = room - sum(given.values()), sum(weight[i] for i in open_)
        share = {i: rest * weight[i] // max(sum_of, 1) for i in open_}
        closed = {i: min(natural[i], least[i]) for i in open_ if share[i] < least[i]} or \
            {i: natural[i] for i in open_ if natural[i] <= share[i]}
        if not closed:
            given.update(share)
            break
        given.update(closed)
        open_ = [i for i in open_ if i not in closed]
    return [given[i] for i in range(count)], [i for i in range(count) if given[i] < natural[i]]


def table(lines, here):
    """A table for tbl."""
    rows = [[inline(c, here) for c in cells(line)] for line in lines if not
            re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", line)]
    if any(len(r) != len(rows[0]) for r in rows):
        raise Unknown(f"a table with rows of different length: {lines[0]}")
    width, wide = widths(rows)
    layout = [f"lw({w}n)" if i in wide else "l" for i, w in enumerate(width)]
    out = [".TS", " ".join("lb" + c[1:] for c in layout), " ".join(layout) + "."]
    for number, row in enumerate(rows):
        line = []
        for i, cell in enumerate(row):
            line.append(f"T{{\n{guard(cell)}\nT}}" if i in wide and cell else guard(cell))
        out.append("\t".join(line))
        if number == 0:
            out.append("_")
    return [*out, ".TE"]


class Page:
    """Turns the lines of a chapter into mdoc."""

    def __init__(self, here):
        self.here = here
        self.out = []
        self.fresh = True  # right behind a heading: no paragraph macro
        self.rules = False  # in a list of rules

    def paragraph(self):
        if not self.fresh:
            self.out.append(".Pp")
        self.fresh = False

    def text(self, text):
        self.out += sentences(inline(text, self.here))

    def rule(self, name):
        if not self.rules:
            self.out.append(".Bl -tag -width 3n")
        self.out.append(f".It Sy {name}")
        self.rules = self.fresh = True

    def heading(self, level, text):
        if spec_pages.RULE.fullmatch(text):
            self.rule(text)
            return
        if self.rules:
            self.out.append(".El")
            self.rules = False
        if level == 1:
            self.out.append(".Sh " + escape(text.replace("`", "").upper()))
        elif level == 2:
            plain = re.sub(r"\\f[BRI]", "", inline(text, self.here))
            self.out.append(".Ss " + heading_text(plain))
        else:
            self.paragraph()
            self.out += ["\\fB" + inline(text, self.here).replace("\\fR", "\\fB") + "\\fR"]
            self.fresh = False
            return
        self.fresh = True

    def items(self, kind, texts):
        self.out.append(f".Bl -{kind} -compact")
        for text in texts:
            self.out.append(".It")
            self.text(text)
        self.out.append(".El")
        self.fresh = False

    def code(self, lines):
        if any(len(line) > CODE_WIDTH for line in lines):
            raise Unknown(f"code that is wider than a terminal: {max(lines, key=len)}")
        self.out.append(".Bd -literal")
        self.out += [guard(escape(line)) for line in lines]
        self.out.append(".Ed")
        self.fresh = False

    def table(self, lines):
        self.paragraph()
        self.out += table(lines, self.here)

    def lines(self, text):
        """Groups the lines of a chapter."""
        rest = text.splitlines()
        while rest:
            rest = self.group(rest)
        if self.rules:
            self.out.append(".El")
            self.rules = False

    def group(self, rest):
        line = rest[0]
        if not line.strip() or line.startswith("<!--"):
            return rest[1:]
        heading = re.match(r"(#{1,4}) (.+)$", line)
        if heading:
            self.heading(len(heading[1]), heading[2])
            return rest[1:]
        if line.startswith("```"):
            end = rest.index("```", 1)
            self.code(rest[1:end])
            return rest[end + 1:]
        if line.startswith("|"):
            count = next((i for i, s in enumerate(rest) if not s.startswith("|")), len(rest))
            self.table(rest[:count])
            return rest[count:]
        if re.match(r"(- |\d+\. )", line):
            return self.list(rest)
        return self.plain(rest)

    def plain(self, rest):
        stop = re.compile(r"$|[#|]|```|- |\d+\. |<!--")
        count = next((i for i, s in enumerate(rest) if i > 0 and stop.match(s)), len(rest))
        for line in rest[:count]:
            if re.match(r"[ >+]|\d+\)|={3}|-{3}|~~~|\* |#{5}", line):
                raise Unknown(line)
        self.paragraph()
        self.text(" ".join(s.strip() for s in rest[:count]))
        return rest[count:]

    def list(self, rest):
        bullet = rest[0].startswith("- ")
        begin = re.compile(r"- (.*)" if bullet else r"\d+\. (.*)")
        texts, at = [], 0
        while at < len(rest):
            item = begin.match(rest[at])
            if item:
                texts.append(item[1].strip())
            elif rest[at].startswith("  ") and rest[at].strip():
                if re.match(r"\s+(- |\d+\. |\|)", rest[at]):
                    raise Unknown(f"a list inside a list: {rest[at]}")
                texts[-1] += " " + rest[at].strip()
            else:
                break
            at += 1
        self.items("bullet" if bullet else "enum", texts)
        return rest[at:]


def without_licence(text):
    """A page without its first comment."""
    return re.sub(r"\A<!-- SPDX[^>]*-->\n", "", text)


def manual(name, chapters):
    """Return: a manual page. chapters: their texts, in order."""
    summary, _ = MANUALS[name]
    page = Page(name)
    page.out = ["'\\\" t", ".\\\" SPDX-License-Identifier: BSD-3-Clause",
                ".\\\" Made from docs/spec by scripts/spec_man.py.",
                f".Dd {DATE}", f".Dt {name.upper()} 7", ".Os", ".Sh NAME", f".Nm {name}",
                f".Nd {summary}", ".Sh DESCRIPTION", *ABOUT.splitlines()]
    for text in chapters:
        page.lines(without_licence(text))
    page.out.append(".Sh SEE ALSO")
    others = [("ferry", 1), ("ferry-check", 1), *((n, 7) for n in sorted(MANUALS) if n != name)]
    page.out += [f".Xr {n} {s}" + (" ," if i < len(others) - 1 else "")
                 for i, (n, s) in enumerate(others)]
    return "\n".join(page.out) + "\n"


def main():
    name, tables, root, output = sys.argv[1:5]
    root = pathlib.Path(root)
    texts = [(root / f"docs/spec/{c}.md").read_text(encoding="utf-8")
             for c in MANUALS[name][1]]
    if tables != "-":
        blocks, tests = spec_pages.run_tables(tables), spec_pages.tests_of(root)
        texts = [spec_pages.fill(t, blocks, tests) for t in texts]
    pathlib.Path(output).write_text(manual(name, texts), encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
