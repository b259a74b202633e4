"""coverage.py FILE ROOT: llvm-cov's summary as a table of what is not reached, the worst file first, and the totals."""

import json
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)["data"][0]
    print(f"{'file':44} {'lines':>8} {'missed':>7} {'branches':>9} {'missed':>7}")
    for file in sorted(data["files"], key=lambda file: -file["summary"]["branches"]["notcovered"]):
        lines, branches = file["summary"]["lines"], file["summary"]["branches"]
        missed = lines["count"] - lines["covered"]
        if missed or branches["notcovered"]:
            name = file["filename"].removeprefix(sys.argv[2] + "/")
            percent = f"{branches['percent']:.1f}%" if branches["count"] else ""
            print(f"{name:44} {lines['percent']:7.1f}% {missed:7} {percent:>9} {branches['notcovered']:7}")
    lines, branches = data["totals"]["lines"], data["totals"]["branches"]
    print(
        f"{lines['percent']:.1f}% of {lines['count']} lines (goal: 95%), "
        f"{branches['percent']:.1f}% of {branches['count']} branches (goal: 90%)"
    )


if __name__ == "__main__":
    main()
