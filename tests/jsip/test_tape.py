"""The tape: the last messages, within so many bytes, and which legs belong together."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from gortc import Call, service
from gortc.jsip.tape import Entry, Tape
from gortc.testing import Lab
from slp_plugins.default import default
from slp_plugins.echo import echo
from slp_plugins.hunt400 import hunt400


@given(st.lists(st.integers(1, 120), max_size=200), st.integers(0, 50))
def test_it_keeps_the_last_messages_as_they_were(sizes: list[int], after: int) -> None:
    """Whatever their sizes: those that fit, in order, and nothing of what was overwritten."""
    clock = Clock()
    tape = Tape(clock.seconds, 100)
    noted: list[Entry] = []
    for size in sizes:
        clock.advance(0.5)
        before, number = clock.seconds(), tape.number
        data = bytes([65 + number % 26]) * size
        tape.note(f"peer{number}", data, number % 3 == 0)
        if size <= 100:
            noted.append(Entry(number, before, number % 3 == 0, f"peer{number}", data))
    fits: list[Entry] = []
    left = 100
    for entry in reversed(noted[-tape._rows :]):
        left -= len(entry.data)
        if left < 0:
            break
        fits.insert(0, entry)
    assert list(tape.entries()) == fits
    assert list(tape.entries(after)) == [entry for entry in fits if entry.number >= after]
    assert tape.number == len(noted)


def test_the_first_moment_counts() -> None:
    """At 0.0 on a clock, too, what is sent is sent."""
    tape = Tape(lambda: 0.0, 1000)
    tape.note("a", b"{}", True)
    tape.note("a", b"{}", False)
    assert [entry.sent for entry in tape.entries()] == [True, False]


def test_legs_of_an_instance() -> None:
    tape = Tape(lambda: 1.0, 10000)
    for agent in ("1", "2"):
        tape.relate(agent, f"leg{agent}", ("alice", "a"))
    tape.relate("other", "x", ("carol", "a"))
    all_legs = {("alice", "a"), ("1", "leg1"), ("2", "leg2")}
    for leg in all_legs:
        assert tape.legs(leg) == all_legs
    assert tape.legs(("carol", "a")) == {("carol", "a"), ("other", "x")}
    assert tape.legs(("nobody", "n")) == {("nobody", "n")}


def test_long_ids_take_no_more_than_the_tape() -> None:
    """Peers choose them, and there are as many legs as messages."""
    tape = Tape(lambda: 1.0, 100_000)
    for at in range(1000):
        tape.relate("bob", f"{at:0>1000}", ("alice", "a"))
    legs = tape.legs(("alice", "a"))
    assert 70 < len(legs) < 90
    assert ("bob", f"{999:0>1000}") in legs
    for at in range(1000):
        tape.relate("bob", str(at), ("alice", "a"))
    assert len(tape.legs(("alice", "a"))) == 100_000 // 512 + 3


def test_a_hunt_s_legs_after_it_is_over() -> None:
    """Four legs, one after the other: an agent that is busy, one that does not answer, one that does."""
    agents = {"400@gortc.local": [f"agent{number}@gortc.local" for number in (1, 2, 3)]}
    lab = Lab(default, hunt400, config={"hunt400": {"agents": agents, "within": 10}})
    alice, one, two, three = lab.users("alice", "agent1", "agent2", "agent3")
    call = alice.call("400")
    one.answering().reply(486)
    second = two.answering()
    second.reply(180)
    call.expect(180)
    lab.advance(10)
    second.expect("CANCEL")
    second.reply(487)
    third = three.answering()
    third.reply(200)
    call.expect(200)
    call.ack()
    third.expect("ACK")
    call.bye()
    lab.advance(60)
    lab.check_empty()
    tape = lab.node.tape
    assert tape is not None
    messages = [(entry.channel, json.loads(entry.data)) for entry in tape.entries()]
    legs = tape.legs((alice.name, messages[0][1]["DialogueID"]))
    assert {channel for channel, _ in legs} == {user.name for user in (alice, one, two, three)}
    kinds = [message["Type"] for channel, message in messages if (channel, message["DialogueID"]) in legs]
    assert kinds.count("INVITE") == 4
    assert kinds.count("BYE") == 2


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_bad_is_on_it_too_and_it_can_be_off(kept: bool) -> None:
    lab = Lab(default, trace_bytes=1000000 if kept else 0)
    alice = lab.user("alice")
    bad = {"Type": "NOTHING", "Request-URI": "x", "From": "a", "To": "b", "DialogueID": "d", "CSeq": 1}
    alice.send(bad)
    if not kept:
        assert lab.node.tape is None
        return
    assert lab.node.tape is not None
    kept_of_it = [(entry.sent, json.loads(entry.data).get("Code")) for entry in lab.node.tape.entries()]
    assert kept_of_it == [(False, None), (True, 405)]


@pytest.mark.parametrize("kept", [True, False])
def test_what_has_waited_is_on_it_as_it_goes_out(kept: bool) -> None:
    """A BYE for a peer that was away."""
    lab = Lab(echo, default, trace_bytes=100000 if kept else 0)
    alice = lab.user("alice")
    call = alice.call("x", Router="gortc.local;type=echo")
    call.expect(180)
    call.expect(200)
    call.ack()
    alice.leave()
    lab.node.services.unload_all()
    before = lab.node.syntax.sent.requests["BYE"]
    lab.advance(1)
    lab.user("alice").expect("BYE")
    assert lab.node.syntax.sent.requests["BYE"] == before + 1
    tape = lab.node.tape
    types = [json.loads(entry.data)["Type"] for entry in tape.entries()] if tape is not None else []
    assert types.count("BYE") == int(kept)


def test_methods_that_services_invent_are_counted() -> None:
    @service("inventor")
    async def inventor(call: Call) -> None:
        await call.caller.answer()
        await call.caller.send("INVENTED")

    lab = Lab(inventor)
    alice = lab.user("alice")
    call = alice.call("x")
    call.expect(200)
    call.ack()
    call.reply(200, to=call.expect("INVENTED"))
    assert lab.node.syntax.sent.requests["INVENTED"] == 1
