"""A soak: users and calls come and go on two nodes, while everything between them fails.

    python -m tests.soak.run [--minutes 60] [--users 200] [--rate 15] [--seed N] [--path build/compiled]

At the end no row is left in a table of either node, memory is where it was, no final response was lost, and none came
twice; else it says what was wrong, and exits with 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from tests.soak.user import Book, User
from tests.wire.kit import twistd
from tests.wire.proxy import Proxy, free_port

ROOT = Path(__file__).resolve().parents[2]
AGENTS = 6
GRACE = 10.0
WARM = 0.25
"""The share of the time after which memory is looked at."""
GROWTH_MAX = 1.05
SHORT = 60
"""So few looks at the memory say nothing of it."""

TAC = """
import sys
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.logger import ILogObserver
from gortc import Route, Times
from gortc.oam.log import observer
from gortc.tap import configure, make_service
from tests.soak.census import serve
settings = configure(
    api="",
    realm="{name}.test", rtc=("tcp:{port}:interface=127.0.0.1",),
    routes={{"{other}.test": Route("ws://127.0.0.1:{proxy}/rtc", trusted=True)}},
    services={{"hunt400": {{"agents": {{"400@{name}.test": {agents!r}}}, "within": 3}},
              "default": {{"numbers": {{"400@{name}.test": "hunt400"}}}}}},
    times=Times(ping=1.0, dead=3.0, grace={grace}, connect=1.0, back_off_min=0.1, back_off_max=0.5, idle=5.0,
                transaction=25.0, write=3.0),
)
application = Application("soak")
application.setComponent(ILogObserver, observer("warn", "text", "-"))
server = make_service(settings)
server.setServiceParent(application)
serve(server, {census}, reactor).setServiceParent(application)
"""


class Node:
    """One node: its process, and the proxies in front of it."""

    def __init__(self, name: str, other: str) -> None:
        self.name, self.other = name, other
        self.port, self.census_port = free_port(), free_port()
        self.users = Proxy(self.port)
        """Between its users and it."""
        self.link = Proxy(self.port)
        """Between the other node and it."""

    def start(self, folder: Path, path: str, to_other: int) -> None:
        """Run it, with the gortc of `path`."""
        agents = [f"agent{number}@{self.name}.test" for number in range(AGENTS)]
        tac = folder / f"{self.name}.tac"
        where = {
            "name": self.name,
            "other": self.other,
            "port": self.port,
            "proxy": to_other,
            "census": self.census_port,
        }
        tac.write_text(TAC.format(agents=agents, grace=GRACE, **where))
        self.log = (folder / f"{self.name}.log").open("wb+")
        environment = {**os.environ, "PYTHONPATH": f"{path}:{ROOT}"}
        self.process = subprocess.Popen(
            twistd("-n", "--pidfile=", "-y", str(tac)), cwd=path, env=environment, stdout=self.log, stderr=self.log
        )
        end = time.monotonic() + 15
        while time.monotonic() < end:
            try:
                self.census()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"node {self.name} does not start:\n{self.said()}")

    def census(self) -> dict[str, Any]:
        """What is alive in it."""
        with socket.create_connection(("127.0.0.1", self.census_port), timeout=10) as asked:
            text = b""
            while part := asked.recv(65536):
                text += part
        answer: dict[str, Any] = json.loads(text)
        return answer

    def said(self) -> str:
        """Its log, what is expected apart."""
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self) -> int:
        """SIGTERM."""
        self.process.terminate()
        return self.process.wait(30)


class Soak:
    """The users, the calls, the faults and the book of all."""

    def __init__(self, options: argparse.Namespace, nodes: dict[str, Node]) -> None:
        self.options = options
        self.nodes = nodes
        self.random = Random(options.seed)
        self.book = Book()
        self.ends: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.memory: dict[str, list[int]] = {name: [] for name in nodes}
        self.objects: dict[str, list[int]] = {name: [] for name in nodes}
        self._number = 0
        self._calls: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """From the first user to the last."""
        begin = time.monotonic()
        end = begin + self.options.minutes * 60
        for name in self.nodes:
            for number in range(AGENTS):
                self._join(name, f"agent{number}")
        while len(User.everybody) < self.options.users:
            self._join(self.random.choice(list(self.nodes)))
        await asyncio.sleep(2)
        chores = [
            asyncio.create_task(self._often(end, 1 / self.options.rate, self._call)),
            asyncio.create_task(self._often(end, 0.5, self._churn)),
            asyncio.create_task(self._often(end, 1.5, self._fault)),
            asyncio.create_task(self._often(end, 5, self._look)),
        ]
        for chore in chores:
            await chore
        for node in self.nodes.values():
            for proxy in (node.users, node.link):
                proxy.split, proxy.delay, proxy.refuse, proxy.black_hole = 0, 0.0, False, False
        while self._calls:
            await asyncio.wait(self._calls)
        await asyncio.gather(*(user.leave() for user in list(User.everybody.values())))

    async def _often(self, end: float, every: float, what: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < end:
            await what()
            await asyncio.sleep(self.random.expovariate(1 / every))

    def _join(self, node: str, name: str = "") -> None:
        self._number += 1
        name = name or f"user{self._number}"
        User(f"{name}@{node}.test", f"ws://127.0.0.1:{self.nodes[node].users.port}/rtc", self.book, self.random)

    async def _call(self) -> None:
        task = asyncio.create_task(self._one_call())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _one_call(self) -> None:
        random = self.random
        caller, callee = random.sample(list(User.everybody.values()), 2)
        to = callee.name
        if random.random() < 0.15:
            to = f"400@{caller.name.partition('@')[2]}"
        if random.random() < 0.2:
            end = await caller.open("MESSAGE", callee.name, text="hi").deliver()
        else:
            words, callee_hangs_up = random.randint(0, 8), random.random() < 0.5
            call = caller.open("INVITE", to, **{"words": words, "callee hangs up": callee_hangs_up})
            end = await call.make(words, callee_hangs_up, random.uniform(0.5, 8))
        self.ends[end] += 1

    async def _churn(self) -> None:
        """Somebody leaves, in peace or not; somebody else comes."""
        user = self.random.choice(list(User.everybody.values()))
        if user.name.startswith("agent"):
            return
        if self.random.random() < 0.3:
            await user.vanish()
        elif not user.calls:
            await user.leave()
        else:
            return
        self._join(self.random.choice(list(self.nodes)))

    async def _fault(self) -> None:
        """Something breaks; what lasts is over after a moment."""
        random = self.random
        node = random.choice(list(self.nodes.values()))
        users = random.random() < 0.7
        proxy, share = (node.users, random.choice((0.05, 0.2, 1.0))) if users else (node.link, 1.0)
        name = random.choice(("cut", "reset", "forget", "stall", "split", "delay", "refuse", "black_hole"))
        self.faults[f"{'users' if users else 'link'}: {name}"] += 1
        if name in ("cut", "reset", "forget"):
            await asyncio.to_thread(getattr(proxy, name), share)
        elif name == "stall":
            proxy.stall()
            await asyncio.sleep(random.uniform(0.1, 1.5))
            proxy.stall(False)
        else:
            usual = getattr(proxy, name)
            setattr(proxy, name, {"split": random.choice((1, 7, 100)), "delay": 0.05}.get(name, True))
            await asyncio.sleep(random.uniform(0.1, 2.0))
            setattr(proxy, name, usual)

    async def _look(self) -> None:
        for name, node in self.nodes.items():
            census = await asyncio.to_thread(node.census)
            self.memory[name].append(census["rss_kb"])
            self.objects[name].append(census["objects"])


def growth(memory: list[int]) -> float:
    """The last quarter of the time after the warm-up beside its first."""
    warm = memory[int(len(memory) * WARM) :]
    quarter = max(1, len(warm) // 4)
    return median(warm[-quarter:]) / median(warm[:quarter])


def steps(values: list[int]) -> str:
    """Ten of them, and the last."""
    return " ".join(str(value) for value in [*values[:: max(1, len(values) // 10)], values[-1]])


def empty(nodes: dict[str, Node], seconds: float) -> dict[str, Any]:
    """What is left in the tables of the nodes, once all that may wait has had its time."""
    end = time.monotonic() + seconds
    while True:
        left = {}
        for name, node in nodes.items():
            census = node.census()
            rows = ("sessions", "transactions", "tasks", "timers", "channels", "hops", "waiting")
            left.update({f"{name}: {row}": census[row] for row in rows if census[row]})
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.5)


def report(soak: Soak, left: dict[str, Any], minutes: float) -> list[str]:
    """Print what has happened; what must not have."""
    counts, wrong = soak.book.counts, list(soak.book.wrong)
    print(f"{minutes:.1f} minutes, seed {soak.options.seed}; {sum(soak.ends.values())} calls and messages:")
    for end, number in soak.ends.most_common():
        print(f"  {number:8} {end}")
    print("  " + ", ".join(f"{name} {number}" for name, number in sorted(counts.items())))
    print(f"{sum(soak.faults.values())} faults: " + ", ".join(f"{n} {k}" for k, n in sorted(soak.faults.items())))
    for name, node in soak.nodes.items():
        memory, objects, census = soak.memory[name], soak.objects[name], node.census()
        grown = growth(memory)
        print(f"node {name}: RSS in kB, in ten steps: {steps(memory)}; growth {grown:.3f}")
        print(f"  Python objects: {steps(objects)}; {census['objects']} at the end")
        print("  " + ", ".join(f"{what} {number}" for what, number in sorted(census["counts"].items())))
        if grown > GROWTH_MAX and len(memory) > SHORT:
            wrong.append(f"node {name}: memory grows, {grown:.3f}")
        if "Traceback" in node.said():
            wrong.append(f"node {name} has logged a traceback:\n{node.said()[-3000:]}")
    print(f"left in the tables: {left or 'nothing'}")
    if left:
        wrong.append(f"left in the tables: {left}")
    lost = counts["wrong"]
    print(f"{lost} responses or words lost, doubled or out of order")
    return wrong


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--rate", type=float, default=15, help="calls and messages a second")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--path", default=str(ROOT), help="the folder of the gortc that runs")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    nodes = {"a": Node("a", "b"), "b": Node("b", "a")}
    with tempfile.TemporaryDirectory() as folder:
        started = []
        try:
            for node in nodes.values():
                started.append(node)
                node.start(Path(folder), str(Path(options.path).resolve()), nodes[node.other].link.port)
            begin = time.monotonic()
            soak = Soak(options, nodes)
            asyncio.run(soak.run())
            wrong = report(soak, empty(nodes, GRACE + 30), (time.monotonic() - begin) / 60)
            for node in nodes.values():
                node.stop()
        finally:
            for node in started:
                node.process.kill()
                node.process.wait()
                node.log.close()
    for text in wrong:
        print(f"wrong: {text}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
