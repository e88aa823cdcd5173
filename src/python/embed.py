"""Writes a Python source file as a C array, after checking its syntax: embed.py SOURCE OUTPUT NAME."""

import sys

source, output, name = sys.argv[1:]
with open(source, "rb") as file:
    data = file.read()
compile(data, source, "exec")
rows = [", ".join(str(byte) for byte in data[start:start + 24]) for start in range(0, len(data), 24)]
with open(output, "w", encoding="ascii") as file:
    file.write("static const char %s[] = {\n\t%s, 0\n};\n" % (name, ",\n\t".join(rows)))
