# SPDX-License-Identifier: BSD-3-Clause
"""Manual pages: clean mdoc, and every option of --help is in the page and the other way.

Usage: test_cli_man.py FERRY MAN_FOLDER
"""
import glob
import os
import re
import shutil
import subprocess
import sys

SKIP = 77


def commands_of_help(ferry):
    """Names of the commands that `ferry --help` lists."""
    text = subprocess.run([ferry, "--help"], check=True, capture_output=True,
                          text=True).stdout
    return re.findall(r"^  ([a-z]+) ", text, re.M)


def options_of_help(ferry, command):
    """Long and short options that `ferry COMMAND --help` lists."""
    text = subprocess.run([ferry, command, "--help"], check=True, capture_output=True,
                          text=True).stdout
    found = set()
    for line in text.splitlines():
        if re.match(r"^ {2,6}-", line):
            head = re.split(r" {2,}", line.strip())[0]
            found |= set(re.findall(r"(--[a-z0-9-]+|-[a-z?])(?=[,= \[]|$)", head))
    return found


def options_of_page(path):
    """Options that the page describes with .It Fl."""
    found = set()
    with open(path, encoding="utf-8") as page:
        for line in page:
            if line.startswith(".It Fl"):
                for name in re.findall(r"(?:Fl) (\\&\?|-?[a-z0-9-]+)", line):
                    found.add("-" + name.replace("\\&", ""))
    return found


def check_page(ferry, folder, command):
    """Return: what is wrong with a command's page."""
    path = os.path.join(folder, "ferry-%s.1" % command)
    have, told = options_of_help(ferry, command), options_of_page(path)
    wrong = ["%s: %s is not in the page" % (command, o) for o in sorted(have - told)]
    wrong += ["%s: %s is not in --help" % (command, o) for o in sorted(told - have)]
    if len(have) < 4:
        wrong.append("%s: --help shows %s only" % (command, sorted(have)))
    return wrong


def main():
    ferry, folder = sys.argv[1:3]
    wrong = []
    commands = commands_of_help(ferry)
    pages = [os.path.join(folder, "ferry%s.1" % p)
             for p in [""] + ["-" + c for c in commands]]
    for command in commands:
        wrong += check_page(ferry, folder, command)
    with open(pages[0], encoding="utf-8") as page:
        told = re.findall(r"^\.It Cm (\S+)$", page.read(), re.M)
    wrong += ["ferry(1) does not list %s" % c for c in sorted(set(commands) - set(told))]
    wrong += ["ferry --help does not list %s" % c for c in sorted(set(told) - set(commands))]
    if len(commands) < 8:
        wrong.append("ferry --help lists %s only" % commands)
    print("\n".join(wrong))
    if shutil.which("mandoc") is None:
        print("mandoc is missing: the pages were not linted")
        return 1 if wrong else SKIP
    pages += sorted(glob.glob(os.path.join(folder, "*.7")))
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning"] + pages, capture_output=True,
                          text=True, check=False)
    print(lint.stdout + lint.stderr)
    return 1 if wrong or lint.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
