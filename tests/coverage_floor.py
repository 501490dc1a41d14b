"""Run after `pytest --cov`: whether coverage is what we ask of it.

The stack (gortc/jsip) and dispatch have every branch covered; all the rest together has over 90 %.
"""

from __future__ import annotations

import json
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from coverage import Coverage
from coverage.exceptions import CoverageException

FULL = ("gortc/jsip/*", "gortc/dispatch.py")
FLOOR = 90.0


def report() -> dict[str, Any]:
    """Coverage's own report of the last run, as data. Raises CoverageException where there was none."""
    coverage = Coverage()
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "coverage.json")
        coverage.json_report(outfile=str(path))
        data: dict[str, Any] = json.loads(path.read_text())
    return data


def complaints(files: dict[str, Any]) -> list[str]:
    """One line for each file of the stack with a gap, and one where the rest has too many."""
    found = []
    done = todo = 0
    for name, file in sorted(files.items()):
        summary = file["summary"]
        if any(fnmatch(name.replace("\\", "/"), pattern) for pattern in FULL):
            if file["missing_lines"] or file["missing_branches"]:
                lines = ", ".join(map(str, file["missing_lines"])) or "none"
                arcs = (f"{begin}->{end if end > 0 else 'exit'}" for begin, end in file["missing_branches"])
                branches = ", ".join(arcs) or "none"
                found.append(f"{name}: lines not covered: {lines}; branches not taken: {branches}")
        else:
            done += summary["covered_lines"] + summary["covered_branches"]
            todo += summary["num_statements"] + summary["num_branches"]
    if not any(fnmatch(name.replace("\\", "/"), FULL[0]) for name in files):
        found.append(f"{FULL[0]}: nothing was measured")
    share = 100.0 * done / todo if todo else 0.0
    if share <= FLOOR:
        found.append(f"the rest: {share:.1f} % covered, {FLOOR:.0f} % is the floor")
    return found


def main() -> int:
    """The exit status."""
    try:
        found = complaints(report()["files"])
    except CoverageException as error:
        found = [str(error)]
    sys.stdout.write("".join(f"coverage: {line}\n" for line in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
