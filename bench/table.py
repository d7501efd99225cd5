#!/usr/bin/env python3
"""table.py RESULTS.jsonl: server CPU of every cell, and what each mode costs over none, as Markdown."""
import json
import sys

SIZES = {4096: "4 KiB", 1 << 20: "1 MiB", 64 << 20: "64 MiB"}


def cells(paths):
    """The last measurement of each cell."""
    found = {}
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                cell = json.loads(line)
                op = "range 64 KiB of" if cell["op"] == "range" else cell["op"].upper()
                found[cell["name"], cell["mode"], f"{op} {SIZES.get(cell['size'], cell['size'])}"] = cell
    return found


def cost(cell):
    """Milliseconds of server CPU per operation for small ones, seconds per GiB for the others."""
    small = cell["size"] <= 4096 or cell["range"]
    return (cell["server_cpu_ms_per_op"], "ms/op") if small else (cell["server_cpu_s_per_gib"], "s/GiB")


def main():
    found = cells(sys.argv[1:])
    columns = list(dict.fromkeys(what for _, _, what in found))
    rows = list(dict.fromkeys((name, mode) for name, mode, _ in found))
    print("Server CPU: milliseconds per operation (4 KiB, ranges), seconds per GiB (1 MiB, 64 MiB); in brackets the ratio to mode none.\n")
    print("| peer | mode | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 2) + "|")
    for name, mode in rows:
        shown = []
        for what in columns:
            cell, base = found.get((name, mode, what)), found.get((name, "none", what))
            if cell is None or cost(cell)[0] is None:
                shown.append("-")
                continue
            value, unit = cost(cell)
            text = f"{value:.3f} {unit}"
            if mode != "none" and base and cost(base)[0]:
                text += f" ({value / cost(base)[0]:.2f})"
            if cell["errors"]:
                text += f" **{cell['errors']} errors**"
            shown.append(text)
        print(f"| {name} | {mode} | " + " | ".join(shown) + " |")
    print("\nThroughput, MiB/s (ops/s for 4 KiB):\n")
    print("| peer | mode | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 2) + "|")
    for name, mode in rows:
        row = [found.get((name, mode, what)) for what in columns]
        print(f"| {name} | {mode} | " + " | ".join("-" if c is None else f"{c['ops_s']:.0f}" if cost(c)[1] == "ms/op" else f"{c['mib_s']:.0f}" for c in row) + " |")


main()
