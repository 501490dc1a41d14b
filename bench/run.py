"""The benchmark: what gortc costs, beside the bare line. bench/README.md tells how to read it.

python bench/run.py [--units N] [--rounds N] [--quick]
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import IO, Any

import orjson

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
LIBRARIES = ("gortc", "Twisted", "autobahn", "orjson", "attrs", "zope.interface")
ROUND = (("bare", "message"), ("gortc", "message"), ("bare", "call"), ("gortc", "call"), ("gortc", "bridged"))
SHARE = {"message": 1.0, "call": 0.5, "bridged": 0.25}  # of --units: a unit of these has more messages
TITLES = {
    "message": "MESSAGE, 200",
    "call": "one-leg call",
    "bridged": "bridged call",
    "held": "held call",
    "idle": "idle connections",
}
IDLE = 1000
COMPLAINT = re.compile(r"^\S+ (warn|error|critical)|^Traceback", re.MULTILINE)

Figures = dict[str, Any]


class BenchFailed(Exception):
    """The benchmark can't go on; one line says why."""


class ServerProcess:
    """A server on loopback, on a core of its own. `log` has all that it wrote."""

    def __init__(self, name: str, core: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        rtc = f"tcp:{self.port}:interface=127.0.0.1"
        twistd = str(Path(sys.executable).parent / "twistd")
        commands = {
            "bare": [sys.executable, str(HERE / "bare.py"), str(self.port)],
            "gortc": [twistd, "-n", "--pidfile=", "gortc", "--rtc", rtc],
        }
        self.name = name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(commands[name], cwd=HERE.parent, stdout=self._log, stderr=subprocess.STDOUT)
        self.pid = self._process.pid
        os.sched_setaffinity(self.pid, {core})
        until = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    self._process.kill()
                    raise BenchFailed(f"{name} does not start:\n{self.log()}") from None
                time.sleep(0.05)

    def log(self) -> str:
        """What it has written so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self) -> list[str]:
        """End it. Returns what it complained of in its log, if anything."""
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return [f"{self.name} did not stop within 15 s of SIGTERM"]
        complaints = [line for line in self.log().splitlines() if COMPLAINT.match(line)]
        if status not in (0, -signal.SIGTERM):
            complaints.append(f"exit status {status}")
        return [f"{self.name}: {line}" for line in complaints]


def load(server: ServerProcess, core: int, scenario: str, units: int, errors: list[str]) -> Figures:
    """Run the load client once; what failed is added to `errors`."""
    warm = max(200, units // 10)
    command = [sys.executable, str(HERE / "load.py"), str(server.port), str(server.pid), scenario]
    command += ["--units", str(units), "--warm", str(warm)] + (["--plain"] if server.name == "bare" else [])
    client = subprocess.Popen(command, stdout=subprocess.PIPE)
    os.sched_setaffinity(client.pid, {core})
    out, _ = client.communicate()
    figures: Figures = orjson.loads(out) if out else {"failures": 1, "errors": ["the load client failed"]}
    where = f"{server.name}, {TITLES[scenario]}"
    if figures["failures"]:
        errors.append(f"{where}: {figures['failures']} failures")
        errors += [f"{where}: {text[:600]}" for text in figures["errors"]]
    if "rss_kb" not in figures:
        raise BenchFailed("\n".join([*errors, server.log()[-3000:]]))
    if figures.get("client_busy", 0) > 0.95 and figures["server_busy"] < 0.95:
        print(f"note: {where}: the client was the limit of the rate (server CPU a unit holds)", file=sys.stderr)
    return figures


def summary(rounds: list[Figures]) -> Figures:
    """The median round of each figure, and how far apart the rounds' CPU times lay."""
    figures = {name: median(one[name] for one in rounds) for name in rounds[0] if name not in ("errors", "failures")}
    return {**figures, "us_least": min(one["us"] for one in rounds), "us_most": max(one["us"] for one in rounds)}


def machine() -> Figures:
    """What this ran on."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "load_before": os.getloadavg()[0],
    }


def ratios(rounds: list[dict[tuple[str, str], Figures]]) -> dict[str, float]:
    """CPU a unit beside the bare line's, of the same round; the median. A bridged call is held against a MESSAGE."""
    against = {"message": "message", "call": "call", "bridged": "message"}
    return {
        scenario: median(one["gortc", scenario]["us"] / one["bare", bare]["us"] for one in rounds)
        for scenario, bare in against.items()
    }


def table(results: dict[tuple[str, str], Figures], over: dict[str, float]) -> str:
    """What a reader wants to see."""
    head = f"{'':22}{'rate /s':>10}{'CPU us':>10}{'to bare':>9}{'p50 ms':>9}{'p99 ms':>9}{'RSS MB':>9}"
    lines = [head, "-" * len(head)]
    for (server, scenario), one in results.items():
        ratio = f"{over[scenario]:8.2f}x" if server == "gortc" and scenario in over else f"{'':9}"
        lines.append(
            f"{server + ' ' + TITLES[scenario]:22}{one['rate']:10,.0f}{one['us']:10.1f}{ratio}"
            f"{one['p50']:9.2f}{one['p99']:9.2f}{one['rss_kb'] / 1024:9.1f}"
        )
    return "\n".join(lines)


def bench(units: int, count: int, held: int) -> tuple[Figures, list[str]]:
    """All rounds, then the held calls. Returns what is saved, and what went wrong."""
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = cores[0], cores[-1]
    errors: list[str] = []
    rounds: list[dict[tuple[str, str], Figures]] = []
    servers: dict[str, ServerProcess] = {}
    about = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), **machine()}
    try:
        for name in ("bare", "gortc"):
            servers[name] = ServerProcess(name, server_core)
        for number in range(count):
            if sys.stderr.isatty():
                print(f"round {number + 1} of {count}", file=sys.stderr)
            rounds.append({})
            for name, scenario in ROUND:
                wanted = round(units * SHARE[scenario] * (3 if name == "bare" else 1))
                rounds[-1][name, scenario] = load(servers[name], client_core, scenario, wanted, errors)
        errors += servers.pop("gortc").stop()
        memory: dict[str, Figures] = {}
        for scenario, number in (("held", held), ("idle", IDLE)):
            servers["gortc"] = ServerProcess("gortc", server_core)  # a fresh one, its memory not yet used
            memory[scenario] = load(servers["gortc"], client_core, scenario, number, errors)
            errors += servers.pop("gortc").stop()
    finally:
        for server in servers.values():
            errors += server.stop()
    results = {key: summary([one[key] for one in rounds]) for key in ROUND}
    held_figures, idle_figures = memory["held"], memory["idle"]
    results["gortc", "held"] = held_figures
    over = ratios(rounds)
    print(table(results, over))
    print(
        f"\na held call: {held_figures['kb_a_call']:.2f} kB ({held:,} held; RSS {held_figures['rss_kb_before']:,} kB "
        f"before, {held_figures['rss_kb']:,} during, {held_figures['rss_kb_after']:,} after they hung up); "
        f"an idle connection: {idle_figures['kb_a_connection']:.2f} kB ({IDLE:,} open)"
    )
    print(f"{about['cpu']}, {about['cores']} cores, Python {about['python']}; median of {count} rounds")
    saved = {
        **about,
        "units": units,
        "rounds": count,
        "held": held,
        "idle": idle_figures,
        "ratios": over,
        "results": {f"{server} {scenario}": one for (server, scenario), one in results.items()},
        "each_round": [{f"{server} {scenario}": fig for (server, scenario), fig in one.items()} for one in rounds],
        "errors": errors,
    }
    return saved, errors


def main() -> int:
    """Read the options, run, save; 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--units", type=int, default=20000, help="MESSAGEs a round; half as many calls, a quarter bridged"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--held", type=int, default=10000, help="calls held at once")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        options.units, options.rounds, options.held = 3000, 1, 2000
    if min(options.units, options.rounds, options.held) < 1:
        parser.error("the options are counts, of 1 or more")
    try:
        saved, errors = bench(options.units, options.rounds, options.held)
    except BenchFailed as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return 1
    RESULTS.mkdir(exist_ok=True)
    stamp = saved["date"].replace(":", "").replace("+0000", "Z")
    file = RESULTS / f"{stamp}.json"
    file.write_bytes(orjson.dumps(saved, option=orjson.OPT_INDENT_2) + b"\n")
    print(f"saved as {file.relative_to(HERE.parent)}")
    for error in errors:
        print(f"bench: {error}", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
