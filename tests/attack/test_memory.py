"""Attacks on memory: whatever is sent, the server grows by so much at most over the same connections when they are
silent."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType

import pytest

from tests.attack.crowd import Crowd, Member, rss, text
from tests.attack.kit import REALM, Honest, Victim
from tests.page import Page
from tests.wire.kit import Json, request, response

MOST = 64.0
"""So many MB."""
LARGE = "x" * 60_000
SILENT = """
from gortc import Call, service


@service("slow")
async def slow(call: Call) -> None:
    caller = call.caller
    await caller.answer(caller.offer)
    async for request in caller.requests:
        caller.reply(request, 183)
"""
NOBODY = 'auth="none", proxies=()'
Make = Callable[..., Victim]


class Watch:
    """Looks how large a process is at the most."""

    def __init__(self, server: Victim) -> None:
        self._pid = server.process.pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        time.sleep(0.5)  # what its beginning has taken is given back
        self.idle = self.peak = rss(self._pid)

    @property
    def grown(self) -> float:
        """By so many MB."""
        return self.peak - self.idle

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, rss(self._pid))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()


def invite(member: Member, number: int, service: str, **headers: object) -> Json:
    """A call of its to a service."""
    uri = f"{service}@{REALM}"
    router = f"{REALM};type={service}"
    return request("INVITE", member.userid, uri, Router=router, DialogueID=f"c{number}", **headers)


def ack(call: Json) -> Json:
    """Its ACK."""
    return {**{name: value for name, value in call.items() if name != "Body"}, "Type": "ACK", "CSeq": 2, "RelatedID": 1}


def settle(crowd: Crowd, calls: dict[Member, list[Json]]) -> None:
    """Make these calls, within what may be asked for."""
    waiting = {member: list(of) for member, of in calls.items()}
    while any(waiting.values()):
        for member, left in waiting.items():
            had = member.codes[200] + member.codes[503]
            batch, waiting[member] = left[:40], left[40:]
            member.send(*batch)
            crowd.go_on(10, lambda: member.codes[200] + member.codes[503] >= had + len(batch))  # noqa: B023
            member.send(*map(ack, batch))
        crowd.go_on(0.1 if not any(waiting.values()) else 8.5)


def conference(crowd: Crowd) -> Callable[[], None]:
    """One user in one room 95 times, whose large words nobody answers: each becomes 94."""
    member = crowd.join(f"mallory@{REALM}")
    calls = [invite(member, at, "conference") for at in range(95)]
    for call in calls:
        call["Router"] += ";relid=r"
    settle(crowd, {member: calls})

    def attack() -> None:
        for at in range(200):
            call = calls[at % 95]
            member.send({**ack(call), "Type": "INFO", "CSeq": 10 + at, "Body": LARGE})
            crowd.go_on(0.02)
        crowd.go_on(3)

    return attack


def open_requests(crowd: Crowd) -> Callable[[], None]:
    """Large requests in calls, all of which are answered 183 and no more."""
    members = [crowd.join(f"mallory{at}@{REALM}") for at in range(25)]
    calls = {member: [invite(member, at, "slow") for at in range(40)] for member in members}
    settle(crowd, calls)

    def attack() -> None:
        for at in range(200):
            for member in members:
                call = calls[member][at % 40]
                member.send({**ack(call), "Type": "INFO", "CSeq": 10 + at, "Body": LARGE})
            crowd.go_on(0.03)
        crowd.go_on(8, lambda: not any(member.out for member in members))

    return attack


def nested(kind: str) -> Callable[[Crowd], Callable[[], None]]:
    """Calls whose offers are nothing but brackets, which take twenty times as much when they are read."""
    body = {
        "brackets": [[]] * 20_000,
        "objects": [{"": 0}] * 8_000,
        "chains": [eval("[" * 90 + "]" * 90)] * 300,
        "emoji": "\U0001f600" + "x" * 50_000,
        "small": [[]] * 150,
        "latin": "\xe9" * 30_000,
        "chinese": "\u4e2d" * 20_000,
        "names": {f"{at}": 1.5 for at in range(5_470)},
    }[kind]

    def prepare(crowd: Crowd) -> Callable[[], None]:
        members = [crowd.join(f"mallory{at}@{REALM}") for at in range(40)]

        def attack() -> None:
            for at in range(45):
                for member in members:
                    member.send(invite(member, at, "slow", Body=body))
                crowd.go_on(0.05)
            crowd.go_on(8, lambda: not any(member.out for member in members))

        return attack

    return prepare


def windows(crowd: Crowd) -> Callable[[], None]:
    """Users who may resume, and never confirm what they get; then they leave."""
    senders = [crowd.join(f"mallory{at}@{REALM}") for at in range(30)]
    others = [crowd.join(f"other{at}@{REALM}", resumes=True) for at in range(200)]

    def attack() -> None:
        for at in range(130):
            for number, sender in enumerate(senders):
                to = others[(at * 30 + number) % 200].userid
                sender.send(request("MESSAGE", sender.userid, to, DialogueID=f"m{at}", Body=LARGE))
            crowd.go_on(0.05)
        crowd.go_on(10, lambda: not any(sender.out for sender in senders))
        for other in others:
            crowd.leave(other)
        crowd.go_on(1)

    return attack


def deaf(crowd: Crowd) -> Callable[[], None]:
    """Users who read nothing of what they have asked for."""
    members = [crowd.join(f"mallory{at}@{REALM}", small=True) for at in range(100)]
    asked = {"Router": f"{REALM};type=echo", "Body": LARGE}

    def attack() -> None:
        for member in members:
            member.deaf = True
            echo = f"echo@{REALM}"
            member.send(*(request("MESSAGE", member.userid, echo, DialogueID=f"m{at}", **asked) for at in range(150)))
        crowd.go_on(20, lambda: not any(member.out for member in members if member.socket.fileno() >= 0))
        crowd.go_on(1)

    return attack


def halves(crowd: Crowd) -> Callable[[], None]:
    """Messages that never end."""
    members = [crowd.join(f"mallory{at}@{REALM}") for at in range(1800)]

    def attack() -> None:
        whole = text({"Body": LARGE})
        for member in members:
            member.out += whole[:-1]
        crowd.go_on(10, lambda: not any(member.out for member in members))
        crowd.go_on(1)

    return attack


def long_names(crowd: Crowd) -> Callable[[], None]:
    """Calls with names and ids as long as they may be, and longer ones."""
    members = [crowd.join(f"mallory{at}@{REALM}") for at in range(100)]

    def attack() -> None:
        for at in range(45):
            for member in members:
                for length in (1000, 30_000):
                    call = invite(member, at, "slow")
                    call["DialogueID"] = f"{at}-{length}".ljust(length, "d")
                    call["To"] = "t" * length
                    member.send(call)
            crowd.go_on(0.05)
        crowd.go_on(8, lambda: not any(member.out for member in members))

    return attack


def names(crowd: Crowd) -> Callable[[], None]:
    """URIs with so many parameters that each takes 60 kB when it has been read."""
    members = [crowd.join(f"mallory{at}@{REALM}") for at in range(100)]
    params = "".join(f";{chr(0x1F300 + at)}" for at in range(500))

    def attack() -> None:
        for at in range(45):
            for number, member in enumerate(members):
                uri = f"a{at}-{number}@x{params}"
                member.send(request("MESSAGE", member.userid, uri, Router=f"{REALM};type=no", DialogueID=f"m{at}"))
            crowd.go_on(0.05)
        crowd.go_on(20, lambda: not any(member.out for member in members))
        crowd.go_on(1)

    return attack


ATTACKS = {
    "one user in one conference 95 times, INFO of 60 kB, nothing answered": (conference, "2.2 GB in 5 s"),
    "5,000 INFO of 60 kB in 1,000 calls of 25 users, answered 183 only": (open_requests, "308 MB, 0.7 GB at worst"),
    "1,800 calls of 40 users, offers of `[[],[],...]`": (nested("brackets"), "1,364 MB"),
    '1,800 calls of 40 users, offers of `[{"":0},...]`': (nested("objects"), "1,426 MB"),
    "1,800 calls of 40 users, offers nested 90 deep": (nested("chains"), "1,071 MB"),
    "1,800 calls of 40 users, offers with one emoji": (nested("emoji"), "460 MB"),
    "1,800 calls of 40 users, small offers of `[[],[],...]`": (nested("small"), "30 MB"),
    "1,800 calls of 40 users, offers of `ééé...`": (nested("latin"), "124 MB"),
    "1,800 calls of 40 users, offers of `中中中...`": (nested("chinese"), "225 MB"),
    '1,800 calls of 40 users, offers of `{"0":1.5,"1":1.5,...}`': (nested("names"), "1,398 MB"),
    "200 users who may resume, confirm nothing of 3,900 MESSAGEs of 60 kB, and leave": (windows, "274 MB"),
    "100 users who do not read the answers to 15,000 MESSAGEs of 60 kB": (deaf, "27 MB"),
    "1,800 messages of 60 kB that never end": (halves, "99 MB"),
    "4,500 MESSAGEs of 100 users to URIs with 500 parameters": (names, "206 MB, for good"),
    "9,000 calls of 100 users with a To and a DialogueID of 1 kB and 30 kB": (long_names, "35 MB"),
}


QUICK = [
    name
    for name in ATTACKS
    if "brackets" in name or "[[],[],...]" in name or "never end" in name or "parameters" in name
]
"""What every run of the tests tries; `make attack` tries all."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All where there is a page to fill."""
    metafunc.parametrize("name", ATTACKS if metafunc.config.getoption("--page") else QUICK)


def test_it_grows_by_so_much(victim: Make, page: Page, name: str) -> None:
    prepare, before = ATTACKS[name]
    server = victim(NOBODY, slow=SILENT)

    def answer(member: Member, message: Json) -> list[Json]:
        if message["Type"] in ("MESSAGE",):
            return [response(message, 200)]
        return []

    crowd = Crowd(server, answer)
    attack = prepare(crowd)
    watch = Watch(server)
    with Honest(server, stays=True) as honest, watch:
        attack()
    codes = sum((member.codes for member in crowd.members), Counter[int]())
    crowd.close()
    told = ", ".join(f"{number} x {code}" for code, number in sorted(codes.items()) if code >= 200)
    page.add(name, f"it has grown by {watch.grown:.0f} MB ({told})", honest.told(), before)
    assert watch.grown <= MOST
