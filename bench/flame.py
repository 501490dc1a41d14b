"""A flame graph of the server under load, as SVG, by py-spy.

python -m bench.flame [message|call|bridged] [--compiled FOLDER] [--seconds N]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.run import GORTC, HERE, PLAIN, RESULTS, BenchFailed, ServerProcess


def record(scenario: str, compiled: Path | None, seconds: int) -> Path:
    """Load a server with `scenario`, look at it for so many seconds, and draw. Raises BenchFailed."""
    cores = sorted(os.sched_getaffinity(0))
    server = ServerProcess(GORTC if compiled else PLAIN, cores[0], compiled or HERE.parent)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"profile-{scenario}{'-compiled' if compiled else ''}.svg"
    load = [sys.executable, str(HERE / "load.py"), str(server.port), str(server.pid), scenario, "--units", "100000000"]
    client = subprocess.Popen(load, stdout=subprocess.DEVNULL)
    try:
        os.sched_setaffinity(client.pid, {cores[-1]})
        time.sleep(2)  # it has warmed up
        look = [str(Path(sys.executable).parent / "py-spy"), "record", "--pid", str(server.pid), "--output", str(file)]
        look += ["--duration", str(seconds), "--rate", "500", *(["--native"] if compiled else [])]
        if subprocess.run(look, check=False).returncode:
            raise BenchFailed("py-spy failed; it needs the right to look into processes (root, or ptrace_scope 0)")
    finally:
        client.kill()
        client.wait()
        server.stop()
    return file


def main() -> int:
    """Read the options, record; 1 where it failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="?", default="bridged", choices=("message", "call", "bridged"))
    parser.add_argument("--compiled", type=Path, help="the folder that `make compiled` has made; default: plain Python")
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    try:
        print(f"saved as {record(options.scenario, options.compiled and options.compiled.resolve(), options.seconds)}")
    except BenchFailed as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
