#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The shells complete each command and each option that --help lists.

usage: completion.py FERRY BASH_FILE ZSH_FILE FISH_FILE
bash completes for real; zsh and fish read their files, when they are there.
"""
import re
import shutil
import subprocess
import sys


def bash_words(script, line):
    """What bash offers for a line whose last word is being typed."""
    words = line.split(" ")
    code = (f'source "{script}"\nCOMP_WORDS=({" ".join(repr(w) for w in words)})\n'
            f"COMP_CWORD={len(words) - 1}\n_ferry\n"
            'printf "%s\\n" "${COMPREPLY[@]}"')
    out = subprocess.run(["bash", "--norc", "-uc", code], capture_output=True, text=True,
                         check=True)
    assert not out.stderr, out.stderr
    return set(out.stdout.split())


def help_words(ferry, command):
    """Options of --help, read in another way than the generator does."""
    text = subprocess.run([ferry, command, "--help"], capture_output=True, text=True,
                          check=True).stdout
    heads = [re.split(r" {2,}", line.strip())[0] for line in text.splitlines()
             if re.match(r" {2,6}-", line)]
    return {w for h in heads for w in re.findall(r"(?<![\w-])--?[a-z?][a-z0-9-]*", h)}


def main():
    ferry, bash, zsh, fish = sys.argv[1:5]
    listed = subprocess.run([ferry, "--help"], capture_output=True, text=True,
                            check=True).stdout
    commands = set(re.findall(r"^  ([a-z]+) ", listed, re.M))
    assert len(commands) >= 8, commands
    assert bash_words(bash, "ferry ") == commands | {"--help", "--version"}
    assert bash_words(bash, "ferry mig") == {"migrate"}
    zsh_text, fish_text = open(zsh, encoding="utf-8").read(), open(fish, encoding="utf-8").read()
    for command in sorted(commands):
        want = help_words(ferry, command)
        assert len(want) >= 4, (command, want)
        got = bash_words(bash, f"ferry {command} -")
        assert got == want, (command, got ^ want)
        own = re.search(rf"^  {command}\)\n(.*?);;", zsh_text, re.M | re.S)[1]
        for option in (w for w in want if w.startswith("--")):
            assert re.search(rf"{option}\b", own), f"zsh: {command} {option}"
            assert re.search(rf"from {command}'.* -l {option[2:]} ", fish_text), \
                f"fish: {command} {option}"
    assert bash_words(bash, "ferry migrate /tmp/x") == set()
    for shell, file in (("zsh", zsh), ("fish", fish)):
        if shutil.which(shell):
            subprocess.run([shell, "-n", file], check=True)
    print(f"{len(commands)} commands")
    return 0


if __name__ == "__main__":
    sys.exit(main())
