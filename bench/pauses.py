"""How long Python's cyclic collector stops everything, as calls are held and others come and go.

python -m bench.pauses [HELD]
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time

from bench.exchange import Exchange
from gortc.server import spare_the_collector

PASSING = 50_000


class Watch:
    """Times each collection: the number, the sum and the longest, in seconds."""

    def __init__(self) -> None:
        self.number = 0
        self.sum = self.longest = self._began = 0.0
        gc.callbacks.append(self._tell)

    def _tell(self, phase: str, _: object) -> None:
        if phase == "start":
            self._began = time.perf_counter()
            return
        pause = time.perf_counter() - self._began
        self.number += 1
        self.sum += pause
        self.longest = max(self.longest, pause)

    def line(self, what: str, seconds: float) -> str:
        """What has been seen, and forget it."""
        text = f"{what:30}{self.number:8}{self.sum / seconds:9.1%}{self.longest * 1e3:11.1f}"
        self.number, self.sum, self.longest = 0, 0.0, 0.0
        return text


def play(held: int) -> None:
    """Hold so many calls, then let others pass by."""
    exchange = Exchange()
    watch = Watch()
    for what, scenario, count in (("while they begin", "held", held), ("while others come and go", "call", PASSING)):
        began = time.perf_counter()
        exchange.play(scenario, count)
        print(watch.line(what, time.perf_counter() - began))


def main() -> int:
    """As Python comes, and as the server sets it, each in a process of its own."""
    held = sys.argv[1] if len(sys.argv) > 1 else "100000"
    if len(sys.argv) > 2:
        if sys.argv[2] == "spared":
            spare_the_collector()
        play(int(held))
        return 0
    for how, title in (("plain", "as Python comes"), ("spared", "as the server sets it")):
        print(f"{held} calls held, {title}\n{'':30}{'number':>8}{'share':>9}{'longest ms':>11}", flush=True)
        subprocess.run([sys.executable, "-m", "bench.pauses", held, how], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
