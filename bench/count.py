"""Instructions a unit, in memory, by valgrind: the one figure that no noise of the machine touches.

python -m bench.count COMPILED
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from bench.exchange import SCENARIOS, Exchange

FEW, MANY = 200, 1200


def instructions(path: Path, scenario: str, units: int) -> int:
    """All that a process executes that plays so many units with the gortc of `path`. Raises RuntimeError."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-m", "bench.count"]
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(path), str(root))), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [*command, scenario, str(units)], env=environment, cwd=path, capture_output=True, text=True, check=False
    )
    found = re.search(r"refs: +([\d,]+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(done.stderr[-2000:])
    return int(found[1].replace(",", ""))


def main() -> int:
    """Count, or play what is counted."""
    if len(sys.argv) == 3:
        exchange = Exchange()
        exchange.play(sys.argv[1], int(sys.argv[2]))
        return 0
    compiled, root = Path(sys.argv[1]).resolve(), Path(__file__).resolve().parent.parent
    print(f"{'instructions a unit':20}{'plain':>12}{'compiled':>12}")
    for scenario in SCENARIOS:
        counts = [
            (instructions(path, scenario, MANY) - instructions(path, scenario, FEW)) // (MANY - FEW)
            for path in (root, compiled)
        ]
        print(f"{scenario:20}{counts[0]:12,}{counts[1]:12,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
