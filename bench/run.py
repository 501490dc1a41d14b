"""The benchmark: what gortc costs, beside the bare line. bench/README.md tells how to read it.

python bench/run.py COMPILED [--units N] [--rounds N] [--quick]
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
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import IO, Any

import orjson

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
LIBRARIES = ("gortc", "Twisted", "autobahn", "orjson", "attrs", "zope.interface")
BARE, GORTC, PLAIN = "bare", "gortc", "gortc, plain"
ROUND = (
    (BARE, "message"), (GORTC, "message"), (PLAIN, "message"),
    (BARE, "call"), (GORTC, "call"), (PLAIN, "call"),
    (GORTC, "bridged"), (PLAIN, "bridged"),
    (BARE, "message gathered"), (GORTC, "message gathered"),
    (BARE, "call gathered"), (GORTC, "call gathered"),
    (GORTC, "bridged gathered"),
)  # fmt: skip
AGAINST = {
    "message": "message", "call": "call", "bridged": "message",
    "message gathered": "message gathered", "call gathered": "call gathered", "bridged gathered": "message gathered",
}  # fmt: skip
"""What of the bare line's a scenario is held against, in the same round."""
WANTED = {"message": 1.4, "call": 1.5, "bridged": 8.5}
SHARE = {"message": 1.0, "call": 0.5, "bridged": 0.25}  # of --units: a unit of these has more messages
TITLES = {
    "message": "MESSAGE, 200",
    "call": "one-leg call",
    "bridged": "bridged call",
    "message gathered": "MESSAGE, gathered",
    "call gathered": "one-leg, gathered",
    "bridged gathered": "bridged, gathered",
    "held": "held call",
    "idle": "idle connections",
    "crowd": "MESSAGE among held calls",
}
IDLE = 1000
COMPLAINT = re.compile(r"^\S+ (warn|error|critical)|^Traceback", re.MULTILINE)

Figures = dict[str, Any]


class BenchFailed(Exception):
    """The benchmark can't go on; one line says why."""


class ServerProcess:
    """A server on loopback, on a core of its own. `log` has all that it wrote, `seconds` is how long it took to listen.

    The gortc of the folder `compiled` runs under the name of GORTC, this checkout under that of PLAIN.
    """

    def __init__(
        self, name: str, core: int, compiled: Path, options: Sequence[str] = (), folder: Path | None = None
    ) -> None:
        """`options` are further ones of `twistd gortc`, `folder` is where it runs, with the plugins that are there."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        rtc = f"tcp:{self.port}:interface=127.0.0.1"
        twistd = str(Path(sys.executable).parent / "twistd")
        command = [twistd, "-n", "--pidfile=", "gortc", "--rtc", rtc, "--api=", *options]
        if name == BARE:
            command = [sys.executable, str(HERE / "bare.py"), str(self.port)]
        self.name = name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        began = time.monotonic()
        where = compiled if name == GORTC else HERE.parent
        path = {"PYTHONPATH": str(where)}
        self._process = subprocess.Popen(
            command, cwd=folder or where, env={**os.environ, **path}, stdout=self._log, stderr=subprocess.STDOUT
        )
        self.pid = self._process.pid
        os.sched_setaffinity(self.pid, {core})
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                self.seconds = time.monotonic() - began
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > began + 15:
                    self._process.kill()
                    raise BenchFailed(f"{name} does not start:\n{self.log()}") from None
                time.sleep(0.01)

    def log(self) -> str:
        """What it has written so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self) -> list[str]:
        """End it. Returns what it complained of in its log, if anything."""
        self._process.send_signal(signal.SIGINT)  # at once
        try:
            status = self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return [f"{self.name} did not stop within 15 s of SIGINT"]
        complaints = [line for line in self.log().splitlines() if COMPLAINT.match(line)]
        if status not in (0, -signal.SIGINT):
            complaints.append(f"exit status {status}")
        return [f"{self.name}: {line}" for line in complaints]


def load(
    server: ServerProcess, core: int, scenario: str, units: int, errors: list[str], rate: float = 0.0, held: int = 0
) -> Figures:
    """Run the load client once; what failed is added to `errors`."""
    warm = max(200, units // 10)
    kind, _, gathered = scenario.partition(" ")
    command = [sys.executable, str(HERE / "load.py"), str(server.port), str(server.pid), kind]
    command += ["--units", str(units), "--warm", str(warm), "--rate", str(rate), "--held", str(held)]
    command += ["--plain"] if server.name == BARE else []
    command += ["--gathered"] if gathered else []
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


def ratios(rounds: list[dict[tuple[str, str], Figures]]) -> dict[str, dict[str, float]]:
    """CPU a unit beside the bare line's, of the same round; the median. A bridged call is held against a MESSAGE."""
    return {
        name: {
            scenario: median(one[name, scenario]["us"] / one[BARE, bare]["us"] for one in rounds)
            for scenario, bare in AGAINST.items()
            if (name, scenario) in ROUND
        }
        for name in (GORTC, PLAIN)
    }


def table(results: dict[tuple[str, str], Figures], over: dict[str, dict[str, float]]) -> str:
    """What a reader wants to see."""
    head = f"{'':27}{'rate /s':>10}{'CPU us':>10}{'to bare':>9}{'p50 ms':>9}{'p99 ms':>9}{'RSS MB':>9}"
    lines = [head, "-" * len(head)]
    for (server, scenario), one in results.items():
        ratio = f"{over[server][scenario]:8.2f}x" if server in over else f"{'':9}"
        lines.append(
            f"{server + ': ' + TITLES[scenario]:27}{one['rate']:10,.0f}{one['us']:10.1f}{ratio}"
            f"{one['p50']:9.2f}{one['p99']:9.2f}{one['rss_kb'] / 1024:9.1f}"
        )
    return "\n".join(lines)


def verdicts(over: dict[str, float], half: dict[str, Figures], fresh: Figures) -> str:
    """Each figure that is promised, beside its limit."""
    rows: list[tuple[str, float, float, str]] = [
        *((f"{TITLES[name]}, to the bare line", over[name], most, "x") for name, most in WANTED.items()),
        *((f"{TITLES[name]} at half load, p99", one["p99"], 5.0, "ms") for name, one in half.items()),
        ("held call", fresh["held"]["kb_a_call"], 5.0, "kB"),
        ("idle connection", fresh["idle"]["kb_a_connection"], 25.0, "kB"),
        (f"MESSAGE, {fresh['crowd']['held']:,} calls held to 100", fresh["crowd"]["grows"], 1.25, "x"),
        ("start to listening", fresh["start"], 1.0, "s"),
    ]
    return "\n".join(
        f"{name:40}{value:9.2f} {unit:3} {'at most' if value <= most else 'NOT at most'} {most:g}"
        for name, value, most, unit in rows
    )


class Bench:
    """One run: the servers that are up, the cores, and what went wrong."""

    def __init__(self, compiled: Path) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self._server_core, self._client_core = cores[0], cores[-1]
        self._compiled = compiled
        self._up: list[ServerProcess] = []
        self.errors: list[str] = []

    def start(self, name: str, options: Sequence[str] = ()) -> ServerProcess:
        """A fresh server."""
        self._up.append(ServerProcess(name, self._server_core, self._compiled, options))
        return self._up[-1]

    def stop(self, server: ServerProcess) -> None:
        """End it."""
        self._up.remove(server)
        self.errors += server.stop()

    def stop_all(self) -> None:
        """End what is left."""
        for server in list(self._up):
            self.stop(server)

    def load(self, server: ServerProcess, scenario: str, units: int, rate: float = 0.0, held: int = 0) -> Figures:
        """One scenario on one server."""
        return load(server, self._client_core, scenario, units, self.errors, rate, held)

    def rounds(self, units: int, count: int) -> list[dict[tuple[str, str], Figures]]:
        """All servers side by side, one loaded after the other, `count` times."""
        servers = {name: self.start(name) for name in (BARE, GORTC, PLAIN)}
        rounds: list[dict[tuple[str, str], Figures]] = []
        for number in range(count):
            if sys.stderr.isatty():
                print(f"round {number + 1} of {count}", file=sys.stderr)
            rounds.append({})
            for name, scenario in ROUND:
                wanted = round(units * SHARE[scenario.split()[0]] * (3 if name == BARE else 1))
                rounds[-1][name, scenario] = self.load(servers[name], scenario, wanted)
        for server in servers.values():
            self.stop(server)
        return rounds

    def half(self, units: int, results: dict[tuple[str, str], Figures]) -> dict[str, Figures]:
        """Each scenario at half the rate that it reached."""
        server = self.start(GORTC)
        half = {
            scenario: self.load(server, scenario, round(units * SHARE[scenario]), results[GORTC, scenario]["rate"] / 2)
            for scenario in WANTED
        }
        self.stop(server)
        return half

    def fresh(self, units: int, held: int, crowd: int) -> Figures:
        """What needs a server whose memory is not used yet."""
        figures: Figures = {}
        for scenario, number in (("held", held), ("idle", IDLE), ("crowd", units)):
            # The tape takes what it takes once, and not with each call.
            server = self.start(GORTC, ("--config", str(HERE / "no_tape.tac")) if scenario == "held" else ())
            figures[scenario] = self.load(server, scenario, number, held=crowd)
            self.stop(server)
        one = figures["crowd"]
        one.update(held=crowd, grows=one["us_many"] / one["us_few"])
        starts = []
        for _ in range(3):
            server = self.start(GORTC)
            starts.append(server.seconds)
            time.sleep(0.5)  # it listens before it is ready to be stopped
            self.stop(server)
        figures["start"] = median(starts)
        return figures


def bench(compiled: Path, units: int, count: int, held: int, crowd: int) -> tuple[Figures, list[str]]:
    """All rounds, then the rest. Returns what is saved, and what went wrong."""
    about = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), **machine()}
    run = Bench(compiled)
    try:
        rounds = run.rounds(units, count)
        results = {key: summary([one[key] for one in rounds]) for key in ROUND}
        half = run.half(units, results)
        fresh = run.fresh(units, held, crowd)
    finally:
        run.stop_all()
    over = ratios(rounds)
    results[GORTC, "held"] = fresh["held"]
    print(table({key: one for key, one in results.items() if key[1] != "held"}, over), end="\n\n")
    print(verdicts(over[GORTC], half, fresh), end="\n\n")
    print(f"{about['cpu']}, {about['cores']} cores, Python {about['python']}; median of {count} rounds")
    saved = {
        **about,
        "units": units,
        "rounds": count,
        "held": held,
        "ratios": over,
        "half_load": half,
        "fresh": fresh,
        "results": {f"{server}: {scenario}": one for (server, scenario), one in results.items()},
        "each_round": [{f"{server}: {scenario}": fig for (server, scenario), fig in one.items()} for one in rounds],
        "errors": run.errors,
    }
    return saved, run.errors


def main() -> int:
    """Read the options, run, save; 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("compiled", type=Path, help="the folder that `make compiled` has made")
    parser.add_argument(
        "--units", type=int, default=20000, help="MESSAGEs a round; half as many calls, a quarter bridged"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--held", type=int, default=10000, help="calls held at once")
    parser.add_argument("--crowd", type=int, default=200_000, help="calls held while MESSAGEs are measured")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        options.units, options.rounds, options.held, options.crowd = 3000, 1, 2000, 5000
    if min(options.units, options.rounds, options.held) < 1 or options.crowd <= 100:
        parser.error("the options are counts, of 1 or more; --crowd of more than 100")
    try:
        saved, errors = bench(options.compiled.resolve(), options.units, options.rounds, options.held, options.crowd)
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
