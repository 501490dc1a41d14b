"""Several legs at once, and a caller who hangs up while they ring."""

from __future__ import annotations

import pytest

from gortc import Call, LegFailed, service
from gortc.testing import Lab

AGENTS = ("bob@gortc.local", "carol@gortc.local")


@service("fork")
async def fork(call: Call) -> None:
    """Rings all; the first one talks."""
    legs = [call.leg(agent) for agent in call.config.get("agents", AGENTS)]
    leg, answer = await call.ring_all(legs, call.caller.offer, within=20, ringing=call.caller.ring)
    await call.caller.answer(answer)
    await call.bridge(call.caller, leg)


@service("queue")
async def queue(call: Call) -> None:
    """Answers with music, and rings one after the other as long as the caller listens."""
    await call.caller.answer("music")
    for agent in AGENTS:
        try:
            answer = await call.leg(agent).invite("an offer", within=20, until=call.caller)
        except LegFailed as failure:
            call.context.shared.setdefault("failures", []).append(failure.code)
            continue
        raise AssertionError(answer)


def test_the_first_that_answers_wins() -> None:
    lab = Lab(fork)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("100", "an offer")
    one, other = bob.answering(Body="an offer"), carol.answering(Body="an offer")
    one.reply(180)
    other.reply(180)
    call.expect(180)
    other.reply(200, "an answer")
    call.expect(200, Body="an answer")
    one.reply(200, to=one.expect("CANCEL"))
    one.reply(487)
    one.expect("ACK")
    call.ack()
    other.expect("ACK")
    call.bye()
    call.expect(200)
    other.reply(200, to=other.expect("BYE"))
    lab.check_empty()


def test_two_pick_up_at_the_same_time() -> None:
    """The CANCEL crosses the 200: that leg is hung up, nobody hears it."""
    lab = Lab(fork)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("100", "an offer")
    one, other = bob.answering(), carol.answering()
    other.reply(200, "an answer")
    call.expect(200, Body="an answer")
    cancel = one.expect("CANCEL")
    one.reply(200, "too late")
    one.expect("ACK")
    one.reply(200, to=cancel)
    one.reply(200, to=one.expect("BYE"))
    call.ack()
    other.expect("ACK")
    other.bye()
    other.expect(200)
    call.reply(200, to=call.expect("BYE"))
    lab.check_empty()


def test_nobody_answers() -> None:
    """The caller gets the last one's code."""
    lab = Lab(fork)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("100", "an offer")
    one, other = bob.answering(), carol.answering()
    one.reply(486)
    one.expect("ACK")
    other.reply(603)
    other.expect("ACK")
    call.expect(603)
    call.ack()
    lab.check_empty()


def test_nobody_to_ring() -> None:
    lab = Lab(fork, config={"fork": {"agents": ()}})
    call = lab.user("alice").call("100", "an offer")
    call.expect(480)
    call.ack()
    lab.check_empty()


def test_the_callers_cancel_stops_all() -> None:
    lab = Lab(fork)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("100", "an offer")
    legs = [bob.answering(), carol.answering()]
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    for leg in legs:
        leg.reply(200, to=leg.expect("CANCEL"))
        leg.reply(487)
        leg.expect("ACK")
    lab.check_empty()


def test_until_the_caller_hangs_up() -> None:
    """What rings is cancelled, and the next one is not even tried."""
    lab = Lab(queue)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("100", "an offer")
    call.expect(200, Body="music")
    call.ack()
    leg = bob.answering()
    call.bye()
    call.expect(200)
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    carol.expect_nothing()
    context = lab.node.services.get("default")
    assert context is not None
    assert context.shared["failures"] == [487, 487]
    lab.check_empty()


def test_joined_ends_with_the_last_leg() -> None:
    """A service that waits for joiners does not outlive its call."""

    @service("meeting")
    async def meeting(call: Call) -> None:
        await call.caller.answer()
        async for leg in call.joined:
            await leg.answer()

    lab = Lab(meeting)
    alice, bob = lab.users("alice", "bob")
    talks = []
    for user in (alice, bob):
        talk = user.call("100", Router="x;type=meeting;relid=1")
        talk.expect(200)
        talk.ack()
        talks.append(talk)
    for talk in talks:
        talk.bye()
        talk.expect(200)
    lab.check_empty()


@pytest.mark.parametrize("dialled", ["400@GORTC.local", "sip:400@gortc.local", "400@gortc.local:5060;user=phone"])
def test_a_number_is_known_however_it_is_written(dialled: str) -> None:
    from slp_plugins.default import default
    from slp_plugins.hunt400 import hunt400

    lab = Lab(default, hunt400)
    alice, agent = lab.users("alice", "agent1")
    call = alice.call(dialled, "an offer")
    agent.answering().reply(200)
    call.expect(200)
    call.bye()
    call.expect(200)
    agent.expect("ACK")
    agent.send({**agent.expect("BYE"), "Type": "RESPONSE", "Code": 200})
    lab.check_empty()
