"""hunt400: agents ring one by one until somebody answers."""

from __future__ import annotations

from contextlib import suppress

import pytest

from gortc import Call, LegFailed, service
from gortc.testing import Lab, Talk, User
from slp_plugins.hunt400 import hunt400

NUMBER = "400@gortc.local"


def hunt(*agents: str) -> tuple[Lab, User, list[User]]:
    """A lab with the caller and those of the three agents that are connected."""
    lab = Lab(hunt400)
    return lab, lab.user("alice"), lab.users(*agents)


def talk(call: Talk, leg: Talk, answer: str = "an answer") -> None:
    """The leg answers, the caller gets it and acknowledges."""
    leg.reply(200, answer)
    call.expect(200, Body=answer)
    leg.expect_nothing()
    call.ack("in the ACK")
    leg.expect("ACK", Body="in the ACK")


def finish(lab: Lab, call: Talk, leg: Talk) -> None:
    """The caller hangs up; the agent is hung up; nothing is left."""
    call.bye()
    call.expect(200)
    leg.reply(200, to=leg.expect("BYE"))
    lab.check_empty()


def test_first_agent_answers() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER, "an offer", P_Asserted_Identity="alice", Expire=300)
    leg = one.answering(Body="an offer", From="alice@gortc.local", To=NUMBER, P_Asserted_Identity="alice")
    assert leg.request["Request-URI"] == "agent1@gortc.local"
    assert leg.request["Expire"] == 300  # what the caller wants
    talk(call, leg)
    two.expect_nothing()
    finish(lab, call, leg)


@pytest.mark.parametrize("code", [486, 603, 480, 500, 302])
def test_busy_or_refused_goes_on(code: int) -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER, "an offer")
    refused = one.answering()
    refused.reply(code)
    refused.expect("ACK")
    leg = two.answering(Body="an offer")
    alice.expect_nothing()
    talk(call, leg)
    finish(lab, call, leg)


def test_offline_goes_on() -> None:
    lab, alice, (three,) = hunt("agent3")
    call = alice.call(NUMBER, "an offer")
    leg = three.answering()
    talk(call, leg)
    finish(lab, call, leg)


def test_connection_lost_while_ringing_goes_on_after_its_time() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER, "an offer")
    one.answering().reply(180)
    call.expect(180)
    one.leave()
    two.expect_nothing()
    lab.advance(15)
    leg = two.answering()
    talk(call, leg)
    lab.advance(105)  # the CANCEL waits for the agent, as long as its grace is
    finish(lab, call, leg)


def test_no_answer_goes_on_after_15_s() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER, "an offer")
    slow = one.answering()
    slow.reply(180)
    lab.advance(14.9)
    slow.expect_nothing()
    two.expect_nothing()
    lab.advance(0.1)
    slow.reply(200, to=slow.expect("CANCEL"))
    slow.reply(487)
    slow.expect("ACK")
    leg = two.answering()
    call.expect(180)
    talk(call, leg)
    finish(lab, call, leg)


def test_answer_that_crosses_the_cancel_is_hung_up() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER, "an offer")
    slow = one.answering()
    lab.advance(15)
    slow.reply(200, "too late")
    slow.reply(200, to=slow.expect("CANCEL"))
    slow.expect("ACK")
    slow.reply(200, to=slow.expect("BYE"))
    leg = two.answering()
    call.expect_nothing()
    talk(call, leg)
    finish(lab, call, leg)


@pytest.mark.proves("S-64")
def test_caller_hears_one_180_of_each_agent() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER, "an offer")
    first = one.answering()
    first.reply(180)
    first.reply(180)
    call.expect(180)
    first.reply(486)
    leg = two.answering()
    leg.reply(180)
    call.expect(180)
    leg.reply(180)
    call.expect_nothing()
    talk(call, leg)
    finish(lab, call, leg)


def test_early_media_of_each_agent_is_heard() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER, "an offer")
    first = one.answering()
    first.reply(183, "music 1")
    call.expect(183, Body="music 1")
    first.reply(486)
    leg = two.answering()
    leg.reply(183, "music 2")
    call.expect(183, Body="music 2")
    talk(call, leg)
    finish(lab, call, leg)


def test_nobody_answers() -> None:
    lab, alice, agents = hunt("agent1", "agent2", "agent3")
    call = alice.call(NUMBER, "an offer")
    for agent in agents:
        agent.answering().reply(486)
    call.expect(480)
    call.ack()
    lab.check_empty()


def test_nobody_is_there() -> None:
    lab, alice, _ = hunt()
    call = alice.call(NUMBER, "an offer")
    call.expect(480)
    call.ack()
    lab.check_empty()


def test_number_without_agents() -> None:
    lab, alice, (one,) = hunt("agent1")
    call = alice.call("401@gortc.local", "an offer")
    call.expect(480)
    call.ack()
    one.expect_nothing()
    lab.check_empty()


def test_configured_agents_and_time() -> None:
    config = {"agents": {"sales@gortc.local": ["bob@gortc.local", "carol@gortc.local"]}, "within": 3}
    lab = Lab(hunt400, config={"hunt400": config})
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("sales")
    bobs = bob.answering()
    lab.advance(3)
    bobs.expect("CANCEL")
    bobs.reply(487)
    carol.answering().reply(486)
    call.expect(480)
    call.ack()
    lab.advance(5)  # bob never answers the CANCEL itself
    lab.check_empty()


@pytest.mark.proves("C-93")
@pytest.mark.parametrize("number", ["sip:400@GORTC.local", "%34%30%30@gortc.local"])
def test_the_number_in_any_spelling(number: str) -> None:
    lab = Lab(hunt400, config={"hunt400": {"agents": {number: ["SIP:bob@GORTC.local"]}}})
    alice, bob = lab.users("alice", "bob")
    call = alice.call("400", "an offer")
    leg = bob.answering(Body="an offer")
    talk(call, leg)
    finish(lab, call, leg)


def gone(call: Talk) -> None:
    """The caller cancels, and is told so."""
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()


def test_cancel_before_anything_rings() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER)
    gone(call)
    leg = one.answering()
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    two.expect_nothing()
    lab.check_empty()


def test_cancel_while_ringing() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER)
    leg = one.answering()
    leg.reply(180)
    call.expect(180)
    gone(call)
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    two.expect_nothing()
    lab.check_empty()


def test_cancel_while_the_second_rings_and_the_first_is_being_cancelled() -> None:
    lab, alice, (one, two, three) = hunt("agent1", "agent2", "agent3")
    call = alice.call(NUMBER)
    slow = one.answering()
    lab.advance(15)
    leg = two.answering()
    leg.reply(180)
    call.expect(180)
    gone(call)
    for ringing in (slow, leg):
        ringing.reply(200, to=ringing.expect("CANCEL"))
        ringing.reply(487)
        ringing.expect("ACK")
    three.expect_nothing()
    lab.check_empty()


def test_cancel_that_the_agent_never_answers() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER)
    leg = one.answering()
    gone(call)
    leg.expect("CANCEL")
    lab.advance(32)
    two.expect_nothing()
    lab.check_empty()


def test_cancel_that_crosses_the_answer_has_no_effect() -> None:
    lab, alice, (one,) = hunt("agent1")
    call = alice.call(NUMBER)
    leg = one.answering()
    leg.reply(200, "an answer")
    call.cancel()
    call.expect(200, Body="an answer")
    call.expect(200)
    call.ack()
    leg.expect("ACK")
    finish(lab, call, leg)


def test_answer_that_crosses_the_callers_cancel() -> None:
    lab, alice, (one,) = hunt("agent1")
    call = alice.call(NUMBER)
    leg = one.answering()
    gone(call)
    leg.reply(200, "an answer")
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.expect("ACK")
    leg.reply(200, to=leg.expect("BYE"))
    lab.check_empty()


def test_early_bye_of_the_caller() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER)
    leg = one.answering()
    leg.reply(180)
    call.expect(180)
    call.bye()
    call.expect(200)
    call.expect(487)
    call.ack()
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    two.expect_nothing()
    lab.check_empty()


def test_bye_instead_of_the_ack_hangs_up_the_agent() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER)
    leg = one.answering()
    leg.reply(200, "an answer")
    call.expect(200)
    call.bye()
    call.expect(200)
    leg.expect("ACK")
    leg.reply(200, to=leg.expect("BYE"))
    two.expect_nothing()
    lab.check_empty()


def test_early_bye_of_an_agent_goes_on_to_the_next() -> None:
    lab, alice, (one, two) = hunt("agent1", "agent2")
    call = alice.call(NUMBER)
    first = one.answering()
    first.reply(180)
    call.expect(180)
    first.bye()
    first.expect(200)
    leg = two.answering()
    talk(call, leg)
    finish(lab, call, leg)


def test_agent_hangs_up() -> None:
    lab, alice, (one,) = hunt("agent1")
    call = alice.call(NUMBER)
    leg = one.answering()
    talk(call, leg)
    leg.bye()
    leg.expect(200)
    call.reply(200, to=call.expect("BYE"))
    lab.check_empty()


@pytest.mark.proves("S-65")
def test_agents_who_say_nothing_do_not_use_up_the_callers_time() -> None:
    """The fifth one is rung after a minute, and answers in time."""
    names = [f"agent{number}" for number in range(1, 6)]
    lab = Lab(hunt400, config={"hunt400": {"agents": {NUMBER: [f"{name}@gortc.local" for name in names]}}})
    alice, *agents = lab.users("alice", *names)
    call = alice.call(NUMBER, "an offer")
    for agent in agents[:-1]:
        leg = agent.answering()
        lab.advance(15)
        leg.reply(200, to=leg.expect("CANCEL"))
        leg.reply(487)
        leg.expect("ACK")
    leg = agents[-1].answering()
    lab.advance(14.9)
    for _ in range(2):
        call.expect(183)
    talk(call, leg)
    finish(lab, call, leg)


@pytest.mark.proves("S-65")
def test_a_caller_that_takes_reliable_responses_only_waits_as_long() -> None:
    """RFC 3262 section 3: it gets no 183 that is none."""
    lab = Lab(hunt400, config={"hunt400": {"within": 50}})
    alice, *agents = lab.users("alice", "agent1", "agent2", "agent3")
    call = alice.call(NUMBER, "an offer", Require="100rel")
    for agent in agents[:-1]:
        leg = agent.answering()
        lab.advance(50)
        leg.reply(200, to=leg.expect("CANCEL"))
        leg.reply(487)
        leg.expect("ACK")
    leg = agents[-1].answering()
    lab.advance(40)
    call.expect_nothing()
    talk(call, leg)
    finish(lab, call, leg)


@pytest.mark.proves("S-65")
def test_nor_does_one_that_may_ring_for_long() -> None:
    lab = Lab(
        hunt400, config={"hunt400": {"agents": {NUMBER: ["agent1@gortc.local", "agent2@gortc.local"]}, "within": 59}}
    )
    alice, one, two = lab.users("alice", "agent1", "agent2")
    call = alice.call(NUMBER, "an offer")
    leg = one.answering()
    lab.advance(59)
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    leg = two.answering()
    lab.advance(50)
    for _ in range(3):
        call.expect(183)
    talk(call, leg)
    finish(lab, call, leg)


@pytest.mark.proves("S-25", "S-65")
@pytest.mark.parametrize("apart", [0, 0.5])
def test_nor_do_agents_whom_the_service_gives_no_time(apart: float) -> None:
    """Each one's time is up as the caller's is: the service has the first word."""

    @service("patient")
    async def patient(call: Call) -> None:
        await call.sleep(apart)
        for name in ("agent1", "agent2", "agent3"):
            leg = call.leg(f"{name}@gortc.local")
            with suppress(LegFailed):
                await call.caller.answer(await leg.invite(call.caller.offer, ringing=call.caller.ring))
                await call.bridge(call.caller, leg)
                return
        call.caller.reject(480)

    lab = Lab(patient)
    alice, *agents = lab.users("alice", "agent1", "agent2", "agent3")
    call = alice.call("100", "an offer")
    lab.advance(apart)
    for agent in agents[:-1]:
        leg = agent.answering()
        lab.advance(60)
        leg.reply(200, to=leg.expect("CANCEL"))
        leg.reply(487)
        leg.expect("ACK")
    leg = agents[-1].answering()
    lab.advance(50)
    for _ in range(2):
        call.expect(183)
    talk(call, leg)
    finish(lab, call, leg)


@pytest.mark.parametrize("name", ["alice@gortc.local", "alice@GORTC.local", "sip:alice@gortc.local"])
def test_a_caller_is_not_rung_by_its_own_call(name: str) -> None:
    lab = Lab(hunt400, config={"hunt400": {"agents": {NUMBER: [name, "agent1@gortc.local"]}}})
    alice, agent = lab.users("alice", "agent1")
    call = alice.call(NUMBER, "an offer")
    leg = agent.answering()
    alice.expect_nothing()
    talk(call, leg)
    finish(lab, call, leg)


def test_an_agent_that_calls_the_number_alone_is_told_that_nobody_is_there() -> None:
    lab = Lab(hunt400)
    agent = lab.user("agent1")
    call = agent.call(NUMBER, "an offer")
    call.expect(480)
    call.ack()
    lab.check_empty()


@pytest.mark.proves("D-24")
@pytest.mark.parametrize(("number", "code"), [(NUMBER, 200), ("401@gortc.local", 480)])
def test_options_says_what_an_invite_would_get(number: str, code: int) -> None:
    lab, alice, (one,) = hunt("agent1")
    alice.open("OPTIONS", number).expect(code, Allow="INVITE, OPTIONS")
    one.expect_nothing()
    lab.check_empty()


@pytest.mark.proves("M-50")
@pytest.mark.parametrize("method", ["MESSAGE", "REGISTER", "SUBSCRIBE"])
def test_what_a_number_does_not_take(method: str) -> None:
    lab, alice, _ = hunt()
    alice.open(method, NUMBER).expect(405, Allow="INVITE, OPTIONS")
    lab.check_empty()


@pytest.mark.parametrize(
    "name", ["alice@gortc.local:5060", "sip:alice@gortc.local;transport=ws", "%61lice@gortc.local"]
)
def test_whatever_leads_to_the_caller_is_not_rung(name: str) -> None:
    lab = Lab(hunt400, config={"hunt400": {"agents": {NUMBER: [name, "not a uri"]}}})
    alice = lab.user("alice")
    alice.open("OPTIONS", NUMBER).expect(200)
    call = alice.call(NUMBER, "an offer")
    call.expect(480)
    call.ack()
    lab.check_empty()


@pytest.mark.proves("D-24")
def test_options_of_a_number_that_would_ring_nobody() -> None:
    lab = Lab(hunt400, config={"hunt400": {"agents": {NUMBER: ["alice@gortc.local"], "500@gortc.local": []}}})
    alice = lab.user("alice")
    for number in (NUMBER, "500@gortc.local"):
        alice.open("OPTIONS", number).expect(480)
    lab.check_empty()
