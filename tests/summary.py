#!/usr/bin/env python3
"""Sums up a folder of GoogleTest's JSON reports.

Lists what failed and what was skipped, with the reason; the last line is `N passed, N failed, N skipped`. A program
that ended badly (`<program>.failed`) although its reports (`<program>.<shard>.json`) name no failure crashed, and counts as
one. The exit code is 1 when anything failed or nothing ran.
"""

import json
import pathlib
import sys


def main(folder: pathlib.Path) -> int:
    passed, failed, skipped, explained = [], [], [], set()
    for path in sorted(folder.glob("*.json")):
        for suite in json.loads(path.read_text())["testsuites"]:
            for case in suite["testsuite"]:
                name = f"{suite['name']}.{case['name']}"
                if case.get("failures"):
                    failed.append(name)
                    explained.add(path.name.split(".")[0])
                elif case.get("result") == "SKIPPED":
                    reasons = [s.get("message", "").strip() for s in case.get("skipped", [])]
                    skipped.append(f"{name}: {' '.join(reasons)}" if reasons else name)
                elif case.get("status") == "RUN":
                    passed.append(name)
    for path in sorted(folder.glob("*.failed")):
        if path.stem not in explained:
            failed.append(path.read_text().strip())
    print()
    for name in skipped:
        print(f"SKIPPED {name}")
    for name in failed:
        print(f"FAILED  {name}")
    if not passed and not failed:
        print("FAILED  no test ran")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
