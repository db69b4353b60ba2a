#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes shell completion from what `ferry --help` and each command's --help list.

usage: generate.py FERRY bash|zsh|fish
"""
import re
import subprocess
import sys

ONE = r"(--[a-z0-9-]+)(?:\[?=([^\s\],]+)\]?)?"
OPTION = re.compile(rf"^ {{2}}(?:(-.), | {{4}}){ONE}((?:, --[a-z0-9=\[\]-]+)*)(?: {{2,}}(\S.*))?$", re.I)


def ask(ferry, *args):
    """The text of --help."""
    return subprocess.run([ferry, *args, "--help"], capture_output=True, text=True,
                          check=True).stdout


def read_commands(ferry):
    """[(name, summary)] of the commands."""
    return re.findall(r"^ {2}([a-z]+) +(\S.*)$", ask(ferry), re.M)


def read_options(ferry, command):
    """[(short or "", long, value or "", summary)] of a command."""
    lines = ask(ferry, command).splitlines()
    options = []
    for i, line in enumerate(lines):
        found = OPTION.match(line)
        if found:
            short, name, value, others, summary = found.groups(default="")
            if not summary and i + 1 < len(lines):
                summary = lines[i + 1].strip()
            options.append((short, name, value, summary))
            options += [("", other, more, summary) for other, more in re.findall(ONE, others)]
    return options


def plain(text):
    """A summary without what a shell's quotes or brackets would take for their own."""
    return re.sub(r"['\"`\[\]:\\$]", "", text)


def bash(commands):
    """Words of a command; a value is completed as a file's name."""
    cases = "".join(
        f"    {name}) words='{' '.join(w for o in options for w in o[:2] if w)}' ;;\n"
        for name, _, options in commands)
    return f"""# SPDX-License-Identifier: BSD-3-Clause
# bash completion of ferry(1); generated from its --help
_ferry()
{{
    local word=${{COMP_WORDS[COMP_CWORD]}} words
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        words='{' '.join(c[0] for c in commands)} --help --version'
    else
        case $word in -*) ;; *) return ;; esac
        case ${{COMP_WORDS[1]}} in
{cases}    *) words= ;;
        esac
    fi
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(compgen -W "$words" -- "$word")
}}
complete -o default -F _ferry ferry
"""


def zsh(commands):
    """_arguments of each command."""
    names = "".join(f"    '{name}:{plain(summary)}'\n" for name, summary, _ in commands)
    cases = ""
    for name, _, options in commands:
        specs = ""
        for short, long, value, summary in options:
            tail = f"[{plain(summary)}]" + (f":{plain(value)}:_files" if value else "")
            if short and short != "-?":
                specs += f" \\\n      '({short} {long})'{{{short},{long}{'=' if value else ''}}}" \
                         f"'{tail}'"
            else:
                specs += f" \\\n      '{long}{'=' if value else ''}{tail}'"
        cases += f"  {name})\n    _arguments{specs} '*:argument:_files'\n    ;;\n"
    return f"""#compdef ferry
# SPDX-License-Identifier: BSD-3-Clause
# zsh completion of ferry(1); generated from its --help
_ferry() {{
  local -a commands
  commands=(
{names}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{cases}  esac
}}
_ferry "$@"
"""


def fish(commands):
    """A complete line for each option."""
    out = "# SPDX-License-Identifier: BSD-3-Clause\n" \
          "# fish completion of ferry(1); generated from its --help\n"
    for name, summary, options in commands:
        out += f"complete -c ferry -n __fish_use_subcommand -f -a {name} -d '{plain(summary)}'\n"
        for short, long, value, text in options:
            flag = f" -s {short[1:]}" if short and short != "-?" else ""
            out += f"complete -c ferry -n '__fish_seen_subcommand_from {name}'{flag}" \
                   f" -l {long[2:]}{' -r' if value else ''} -d '{plain(text)}'\n"
    return out


def main():
    ferry, shell = sys.argv[1:3]
    commands = [(n, s, read_options(ferry, n)) for n, s in read_commands(ferry)]
    if not commands or not all(c[2] for c in commands):
        sys.exit("ferry --help has another form than this program knows")
    print({"bash": bash, "zsh": zsh, "fish": fish}[shell](commands), end="")


if __name__ == "__main__":
    main()
