"""Attacks on one user by others, and on the processor by what takes long to read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.crowd import Crowd, Member, text
from tests.attack.kit import REALM, Honest, Victim
from tests.page import Page
from tests.wire.kit import Json, request, response

NOBODY = 'auth="none", proxies=()'
Make = Callable[..., Victim]
CALLS = 100


@pytest.mark.proves("D-21", "D-25")
def test_one_user_is_called_without_an_end(victim: Make, page: Page) -> None:
    """His phone rings for all who call; he calls, sends and registers all the same, and others reach him."""
    server = victim(NOBODY)

    def answer(member: Member, message: Json) -> list[Json]:
        return [response(message, 180)] if message["Type"] == "INVITE" else []

    crowd = Crowd(server, answer)
    bob, alice = crowd.join(f"bob@{REALM}"), crowd.join(f"alice@{REALM}")
    callers = [crowd.join(f"mallory{at}@{REALM}") for at in range(3)]
    with Honest(server, stays=True) as honest:
        for number, mallory in enumerate([callers[at % 3] for at in range(CALLS)]):
            mallory.send(request("INVITE", mallory.userid, bob.userid, DialogueID=f"c{number}"))
            crowd.go_on(0.03)
        crowd.go_on(1)
        bob.codes.clear()
        bob.send(
            request("INVITE", bob.userid, f"talk@{REALM}", Router=f"{REALM};type=talk", DialogueID="own"),
            request("MESSAGE", bob.userid, f"talk@{REALM}", Router=f"{REALM};type=talk"),
            request("REGISTER", bob.userid, bob.userid),
        )
        alice.send(request("INVITE", alice.userid, bob.userid))
        crowd.go_on(2)
    rang, refused = sum(one.codes[180] for one in callers), sum(one.codes[480] for one in callers)
    crowd.close()
    page.add(
        f"{CALLS} calls of three users to one, who lets them ring",
        f"{rang} rang, {refused} got 480; he was told {dict(bob.codes)}, and another caller {dict(alice.codes)}",
        honest.told(),
        "100 rang; he got 503 for whatever he asked",
    )
    assert not bob.codes[503]
    assert bob.codes[200] == 3
    assert alice.codes == {180: 1}
    assert rang == 15


def cpu(pid: int) -> float:
    """The seconds that a process has worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.proves("C-73")
@pytest.mark.parametrize("kind", ["ACK", "RESPONSE"])
def test_what_takes_long_to_read(victim: Make, page: Page, kind: str) -> None:
    """No method limits these, and they are as few as calls need; but nothing except brackets is in them."""
    server = victim(NOBODY)
    crowd = Crowd(server)
    members = [crowd.join(f"mallory{at}@{REALM}") for at in range(3)]
    for member in members:
        one = {"From": member.userid, "To": member.userid, "DialogueID": "x", "CSeq": 1, "Body": [[]] * 20_800}
        what = {"Type": "RESPONSE", "Code": 200} if kind == "RESPONSE" else {"Type": "ACK", "Request-URI": "x"}
        member.out += text({**one, **what}) * 400
    with Honest(server, stays=True) as honest:
        begin, worked = time.monotonic(), cpu(server.process.pid)
        crowd.go_on(6)
        share = (cpu(server.process.pid) - worked) / (time.monotonic() - begin)
    left = sum(len(member.out) for member in members) // 3
    crowd.close()
    page.add(
        f"{kind} of 63 kB of `[[],[],...]`, three users, at full speed",
        f"{100 * share:.0f} % of a core in 6 s; {25.2 - left / 1e6:.1f} MB of each were taken",
        honest.told(),
        {"ACK": "81 % of a core, all was taken", "RESPONSE": "78 % of a core, all was taken"}[kind],
    )
    assert left > 0.4 * 25e6
