#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes a C array of a file, for meson. usage: embed.py NAME INPUT OUTPUT"""
import sys

name, source, target = sys.argv[1:]
with open(source, "rb") as file:
    data = file.read()
rows = (", ".join(str(byte) for byte in data[at:at + 20]) for at in range(0, len(data), 20))
with open(target, "w", encoding="ascii") as file:
    file.write(f"/* SPDX-License-Identifier: BSD-3-Clause */\n/* Made of {source.split('/')[-1]}"
               f" by embed.py; ends with a 0. */\n"
               f"static const unsigned char {name}[] = {{\n    ")
    file.write(",\n    ".join(rows))
    file.write(", 0\n};\n")
