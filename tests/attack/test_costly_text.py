"""Attacks by texts that take long to read: names of hosts beyond ASCII, names of headers that fold into many
characters, halves of surrogate pairs behind thousands of escapes."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from bench.load import frame
from gortc.admission.limits import METHOD_RATES
from tests.attack.crowd import Crowd, Member
from tests.attack.kit import REALM, Honest, Victim
from tests.page import Page
from tests.wire.kit import Json, request, response

NOBODY = 'auth="none", proxies=()'
KANA = [chr(code) for code in range(0x3041, 0x3090)]
SECRET = "s" * 40
TICKS = os.sysconf("SC_CLK_TCK")
Make = Callable[..., Victim]


def text(message: Json) -> bytes:
    """A frame, in as few octets as may be."""
    return frame(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())


def shows(userid: str) -> dict[str, str]:
    """Who it is: a header of its handshake."""
    token = jwt.encode({"sub": userid, "aud": "gortc", "exp": int(time.time()) + 600}, SECRET, "HS256")
    return {"Authorization": f"Bearer {token}"}


def asked(folder: Path) -> str:
    """The settings of a server to which that is shown."""
    secret = folder / "secret"
    secret.write_text(SECRET)
    return f'auth={{"jwt": {{"secret": {str(secret)!r}, "audience": "gortc"}}}}, proxies=()'


class Watch:
    """How much of a core the server takes."""

    def __init__(self, server: Victim) -> None:
        self._stat = Path(f"/proc/{server.process.pid}/stat")
        self._begin, self._before = time.monotonic(), self._worked()

    def _worked(self) -> float:
        fields = self._stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def seconds(self) -> float:
        """Of work, so far."""
        return self._worked() - self._before

    def told(self) -> str:
        """Its part of the time."""
        return f"{100 * self.seconds / (time.monotonic() - self._begin):.0f} % of a core"


def far_host() -> str:
    """Of eight labels, each of thirty kana."""
    chosen = random.Random(time.monotonic_ns())
    return ".".join("".join(chosen.choices(KANA, k=30)) for _ in range(8))


def told(codes: Counter[int]) -> str:
    """What they were answered."""
    return ", ".join(f"{number} x {code}" for code, number in sorted(codes.items()) if code >= 200) or "no answer"


@pytest.mark.proves("C-70", "D-19", "D-22")
@pytest.mark.parametrize(
    ("users", "kind", "before"),
    [
        (1, "hosts of 8 labels of 30 kana", "INFO p99 104 ms"),
        (4, "hosts of 8 labels of 30 kana", "INFO p50 264 ms, p99 486 ms"),
        (4, "users of 1,015 escapes", ""),
    ],
)
def test_a_from_that_takes_long_to_read(
    victim: Make, page: Page, measured: bool, tmp_path: Path, users: int, kind: str, before: str
) -> None:
    """It is refused as any other, and counts: beyond the rate it is not read."""
    server = victim(asked(tmp_path))
    seconds = 10 if measured else 3
    rate = METHOD_RATES["OPTIONS"]
    assert rate is not None
    crowd = Crowd(server)
    members = [crowd.join(name, shown=shows(name)) for name in (f"mallory{at}@{REALM}" for at in range(users))]
    for at in range(1500):
        caller = f"a@{far_host()}" if "kana" in kind else "#" * 1015 + f"@x{at % 10}"
        for member in members:
            member.out += text(request("OPTIONS", caller, "x", DialogueID=f"d{at}"))
    with Honest(server, stays=True, **shows(f"honest@{REALM}")) as honest:
        watch, begin = Watch(server), time.monotonic()
        crowd.go_on(seconds)
        took, core = time.monotonic() - begin, watch.told()
    crowd.close()
    for member in members:
        assert member.codes.keys() == {403, 503}
        assert member.codes[403] <= rate.burst + took * rate.per_second + 1
    codes = sum((member.codes for member in members), Counter[int]())
    page.add(
        f"{users} users with a From at {kind}" if users > 1 else f"one user with a From at {kind}",
        f"{told(codes)}; {core}",
        honest.told(),
        before,
    )


def folding() -> Json:
    """Names of headers each of which would become a thousand characters, 60 kB in all."""
    return {"\ufdfa" * 61 + f"{at:03x}": 0 for at in range(320)}


@pytest.mark.proves("C-69")
def test_one_message_that_becomes_many_copies(victim: Make, page: Page, measured: bool, tmp_path: Path) -> None:
    """What it has is folded once, and little at that; each member gets its copy."""
    server = victim(f'{asked(tmp_path)}, nodes=("b.example",)')
    copies = 60 if measured else 20

    def answer(member: Member, message: Json) -> list[Json]:
        return [response(message, 200)] if message["Type"] == "INFO" else []

    crowd = Crowd(server, answer)
    node, mallory = (crowd.join(name, shown=shows(name)) for name in ("b.example", f"mallory@{REALM}"))

    def invite(userid: str, at: int) -> Json:
        return request(
            "INVITE", userid, f"conference@{REALM}", Router=f"{REALM};type=conference;relid=r", DialogueID=f"c{at}"
        )

    def ack(call: Json) -> Json:
        return {**call, "Type": "ACK", "CSeq": 2, "RelatedID": 1}

    calls = [invite(f"u{at}@b.example", at) for at in range(copies)]
    node.send(*calls)
    crowd.go_on(30, lambda: node.codes[200] >= copies)
    node.send(*map(ack, calls))
    own = invite(mallory.userid, 0)
    mallory.send(own)
    crowd.go_on(30, lambda: mallory.codes[200] >= 1)
    mallory.send(ack(own))
    crowd.go_on(1)
    got: list[Json] = []
    crowd._answer = lambda member, message: got.append(message) or answer(member, message)  # type: ignore[func-returns-value]
    with Honest(server, stays=True, **shows(f"honest@{REALM}")) as honest:
        crowd.go_on(1)
        honest.took.clear()
        watch = Watch(server)
        mallory.out += text({**ack(own), "Type": "INFO", "CSeq": 10, **folding()})
        crowd.go_on(5, lambda: len(got) >= copies and mallory.codes[200] >= 2)
        crowd.go_on(1)
        worked, worst = watch.seconds, max(honest.took)
    crowd.close()
    assert len(got) == copies
    assert all(folding().keys() <= message.keys() for message in got if message["Type"] == "INFO")
    page.add(
        f"one INFO with 60 kB of header names that fold into 18 times as much, to {copies} members at a node",
        f"{len(got)} copies, {worked * 1e3:.0f} ms of work, INFO {worst * 1e3:.0f} ms at the most",
        honest.told(),
        "nobody is served for 1,593 ms",
    )


FOLDS = "responses with 60 kB of header names that fold into 18 times as much"
HALVES = "INFO with half a surrogate pair behind 30,000 escaped backslashes"
COSTLY: dict[str, tuple[Json, str]] = {
    FOLDS: ({"Type": "RESPONSE", "Code": 200, **folding()}, ""),
    HALVES: ({"Type": "INFO", "Body": "HERE"}, "70 % of a core"),
}


@pytest.mark.proves("C-73", "M-34")
@pytest.mark.parametrize("name", COSTLY)
def test_messages_that_take_long_to_read(victim: Make, page: Page, measured: bool, name: str) -> None:
    """They are read, as fast as their size lets them, and answered as any others."""
    headers, before = COSTLY[name]
    server = victim(NOBODY)
    crowd = Crowd(server)
    members = [crowd.join(f"mallory{at}@{REALM}") for at in range(3)]
    for member in members:
        made = request("INFO", member.userid, "x", DialogueID="d")
        data = json.dumps({**made, **headers}, ensure_ascii=False, separators=(",", ":"))
        member.out += frame(data.replace("HERE", "\\\\" * 30_000 + "\\ud83d").encode()) * (300 if measured else 20)
    with Honest(server, stays=True) as honest:
        watch = Watch(server)
        crowd.go_on(8 if measured else 2)
        core = watch.told()
    codes = sum((member.codes for member in members), Counter[int]())
    crowd.close()
    if headers["Type"] == "INFO":
        assert codes.keys() == {400}
    else:
        assert server.count("stray response") > 0
    page.add(f"three users, {name}, at full speed", f"{told(codes)}; {core}", honest.told(), before)
