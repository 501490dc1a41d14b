"""default: a call becomes two bridged legs, another request goes to its user."""

from __future__ import annotations

import pytest

from gortc import Call, canonical, service
from gortc.client.dialogue import opening
from gortc.testing import Lab, Talk, User
from slp_plugins.default import default, taker
from slp_plugins.echo import echo
from slp_plugins.hunt400 import hunt400


def pair() -> tuple[Lab, User, User]:
    """A lab with alice and bob."""
    lab = Lab(default, hunt400)
    alice, bob = lab.users("alice", "bob")
    return lab, alice, bob


def early() -> tuple[Lab, Talk, Talk]:
    """Alice calls bob, whose phone rings."""
    lab, alice, bob = pair()
    call = alice.call("bob", "an offer")
    leg = bob.answering(Body="an offer")
    leg.reply(180)
    call.expect(180)
    return lab, call, leg


def running() -> tuple[Lab, Talk, Talk]:
    """Alice and bob talk."""
    lab, call, leg = early()
    leg.reply(200, "an answer")
    call.expect(200, Body="an answer")
    call.ack()
    leg.expect("ACK")
    return lab, call, leg


def finish(lab: Lab, one: Talk, other: Talk) -> None:
    """One hangs up, the other is hung up, nothing is left."""
    one.expect_nothing()
    other.expect_nothing()
    one.bye()
    one.expect(200)
    other.reply(200, to=other.expect("BYE"))
    lab.check_empty()


# the call


def test_call_with_its_headers() -> None:
    lab, alice, bob = pair()
    call = alice.call("bob", "an offer", Content_Type="sdp", X_Note=[1, 2], Expire=90)
    leg = bob.answering(Body="an offer", Content_Type="sdp", X_Note=[1, 2], Expire=90, CSeq=1)
    assert (leg.request["From"], leg.request["To"]) == ("alice@gortc.local", "bob@gortc.local")
    assert leg.id != call.id
    leg.reply(183, "early media", X_Ring="a")
    call.expect(183, Body="early media", X_Ring="a")
    leg.reply(200, {"sdp": "an answer"}, X_Answer="b", Expire=1)
    answer = call.expect(200, Body={"sdp": "an answer"}, X_Answer="b")
    assert "Expire" not in answer
    call.ack("in the ACK", X_Ack="c")
    leg.expect("ACK", Body="in the ACK", X_Ack="c")
    finish(lab, call, leg)


def test_callee_hangs_up() -> None:
    lab, call, leg = running()
    finish(lab, leg, call)


def test_both_hang_up() -> None:
    lab, call, leg = running()
    call.bye()
    call.expect(200)
    bye = leg.expect("BYE")
    leg.bye()
    leg.expect(200)
    leg.reply(200, to=bye)
    lab.check_empty()


@pytest.mark.parametrize("code", [302, 404, 486, 503, 603])
def test_refusal_of_the_callee_is_the_callers(code: int) -> None:
    lab, alice, bob = pair()
    call = alice.call("bob")
    leg = bob.answering()
    leg.reply(code)
    leg.expect("ACK")
    call.expect(code)
    call.ack()
    lab.check_empty()


def test_refusal_of_the_callee_carries_its_headers() -> None:
    lab, alice, bob = pair()
    call = alice.call("bob")
    leg = bob.answering()
    leg.reply(302, {"try": "carol"}, Contact="carol@gortc.local")
    leg.expect("ACK")
    call.expect(302, Body={"try": "carol"}, Contact="carol@gortc.local")
    call.ack()
    lab.check_empty()


@pytest.mark.proves("C-31")
def test_offline() -> None:
    lab, alice, _ = pair()
    call = alice.call("carol")
    call.expect(480)
    call.ack()
    lab.check_empty()


@pytest.mark.proves("C-32")
def test_unknown_domain() -> None:
    lab, alice, _ = pair()
    call = alice.call("carol@example.com")
    call.expect(404)
    call.ack()
    lab.check_empty()


def test_no_answer() -> None:
    lab, call, leg = early()
    lab.advance(60)
    leg.reply(200, to=leg.expect("CANCEL", Reason='SIP;cause=408;text="no answer in time"'))
    leg.reply(487)
    leg.expect("ACK")
    assert call.user.inbox[0]["Code"] == 408
    call.expect(408)
    call.ack()
    lab.check_empty()


def test_cancel() -> None:
    lab, call, leg = early()
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    lab.check_empty()


def test_early_bye_of_the_caller() -> None:
    lab, call, leg = early()
    call.bye()
    call.expect(200)
    call.expect(487)
    call.ack()
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    lab.check_empty()


def test_early_bye_of_the_callee() -> None:
    lab, call, leg = early()
    leg.bye()
    leg.expect(200)
    call.expect(487)
    call.ack()
    lab.check_empty()


@pytest.mark.proves("C-27", "D-12")
def test_router_beyond_this_node_is_followed() -> None:
    lab, alice, bob = pair()
    call = alice.call("carol", "an offer", Router="gortc.local;type=default, bob@gortc.local, x.example.com")
    leg = bob.answering(Body="an offer", Router="bob@gortc.local, x.example.com")
    assert leg.request["Request-URI"] == "carol@gortc.local"
    leg.reply(486)
    leg.expect("ACK")
    call.expect(486)
    call.ack()
    lab.check_empty()


def test_bad_router_beyond_this_node_is_the_callers_fault() -> None:
    lab, alice, _ = pair()
    call = alice.call("bob", Router="gortc.local;type=default, not a URI")
    call.expect(400)
    call.ack()
    lab.check_empty()


@pytest.mark.proves("M-11")
def test_max_forwards_counts_down() -> None:
    lab, alice, bob = pair()
    call = alice.call("bob", Max_Forwards=7)
    leg = bob.answering(Max_Forwards=6)
    leg.reply(486)
    leg.expect("ACK")
    call.expect(486)
    call.ack()
    lab.check_empty()


# before the answer


@pytest.mark.parametrize("method", ["INFO", "UPDATE"])
def test_early_request_of_the_caller(method: str) -> None:
    lab, call, leg = early()
    call.send(method, "news", X_Kind="n")
    asked = leg.expect(method, Body="news", X_Kind="n")
    call.expect_nothing()
    leg.reply(200, "good", to=asked, X_Reply="r")
    call.expect(200, Body="good", X_Reply="r")
    leg.reply(486)
    leg.expect("ACK")
    call.expect(486)
    call.ack()
    lab.check_empty()


@pytest.mark.parametrize("method", ["INFO", "UPDATE"])
def test_early_request_of_the_callee(method: str) -> None:
    lab, call, leg = early()
    leg.send(method, "news")
    call.reply(488, to=call.expect(method, Body="news"))
    leg.expect(488)
    leg.reply(486)
    leg.expect("ACK")
    call.expect(486)
    call.ack()
    lab.check_empty()


def test_prack() -> None:
    lab, call, leg = early()
    call.send("PRACK", "p", RAck="1")
    leg.reply(200, "q", to=leg.expect("PRACK", Body="p", RAck="1"))
    call.expect(200, Body="q")
    leg.reply(486)
    leg.expect("ACK")
    call.expect(486)
    call.ack()
    lab.check_empty()


def test_update_open_as_the_callee_answers() -> None:
    lab, call, leg = early()
    call.send("UPDATE", "new offer")
    update = leg.expect("UPDATE")
    leg.reply(200, "an answer")
    call.expect(200, Body="an answer", CSeq=1)
    leg.reply(200, "new answer", to=update)
    call.expect(200, Body="new answer", CSeq=2)
    call.ack()
    leg.expect("ACK")
    finish(lab, call, leg)


def test_open_info_is_answered_as_the_callee_refuses() -> None:
    lab, call, leg = early()
    call.send("INFO", "news")
    leg.expect("INFO")
    leg.reply(486)
    leg.expect("ACK")
    codes = sorted((call.user.inbox.pop(0)["CSeq"], 0) for _ in range(2))
    assert codes == [(1, 0), (2, 0)]  # the INVITE and the INFO have both got a final response
    call.ack()
    lab.check_empty()


# in the call


@pytest.mark.parametrize("side", [0, 1])
def test_reinvite_with_the_body_of_its_ack(side: int) -> None:
    lab, *legs = running()
    one, other = legs[side], legs[1 - side]
    one.send("INVITE", "new offer", X_Why="hold")
    asked = other.expect("INVITE", Body="new offer", X_Why="hold")
    other.reply(180, to=asked)
    one.expect(180)
    other.reply(200, "new answer", to=asked, X_Ok="yes")
    one.expect(200, Body="new answer", X_Ok="yes")
    other.expect_nothing()
    one.ack("in the ACK", X_Ack="a")
    other.expect("ACK", Body="in the ACK", X_Ack="a", RelatedID=asked["CSeq"])
    finish(lab, one, other)


@pytest.mark.parametrize("side", [0, 1])
def test_failed_reinvite_leaves_the_call(side: int) -> None:
    lab, *legs = running()
    one, other = legs[side], legs[1 - side]
    one.send("INVITE", "new offer")
    other.reply(488, to=other.expect("INVITE"), Warning="no such codec")
    other.expect("ACK")
    one.expect(488, Warning="no such codec")
    one.ack()
    other.send("INFO", "still there?")
    one.reply(200, to=one.expect("INFO", Body="still there?"))
    other.expect(200)
    finish(lab, one, other)


@pytest.mark.parametrize("side", [0, 1])
def test_cancelled_reinvite_leaves_the_call(side: int) -> None:
    lab, *legs = running()
    one, other = legs[side], legs[1 - side]
    one.send("INVITE", "new offer")
    asked = other.expect("INVITE", Body="new offer")
    one.cancel()
    one.expect(200)
    one.expect(487)
    one.ack()
    other.reply(200, to=other.expect("CANCEL", RelatedID=asked["CSeq"]))
    other.reply(487, to=asked)
    other.expect("ACK")
    finish(lab, one, other)


@pytest.mark.parametrize("acked", ["before", "after"])
def test_cancelled_reinvite_whose_200_still_comes(acked: str) -> None:
    lab, call, leg = running()
    call.send("INVITE", "new offer")
    asked = leg.expect("INVITE")
    call.cancel()
    call.expect(200)
    call.expect(487)
    if acked == "before":
        call.ack()
    leg.reply(200, "new answer", to=asked)
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.expect("ACK", RelatedID=asked["CSeq"])
    if acked == "after":
        call.ack()
    finish(lab, call, leg)


def test_reinvite_of_both_at_once() -> None:
    lab, call, leg = running()
    call.send("INVITE", "alice's offer")
    asked = leg.expect("INVITE")
    leg.send("INVITE", "bob's offer")
    leg.expect(491)
    leg.ack()
    leg.reply(200, "bob's answer", to=asked)
    call.expect(200, Body="bob's answer")
    call.ack()
    leg.expect("ACK")
    finish(lab, call, leg)


def test_reinvite_whose_ack_never_comes_ends_the_call() -> None:
    lab, call, leg = running()
    call.send("INVITE", "new offer")
    leg.reply(200, "new answer", to=leg.expect("INVITE"))
    call.expect(200)
    lab.advance(32)
    call.reply(200, to=call.expect("BYE"))
    leg.expect("ACK")
    leg.reply(200, to=leg.expect("BYE"))
    lab.check_empty()


def test_bye_with_a_reinvite_open() -> None:
    lab, call, leg = running()
    call.send("INVITE", "new offer")
    asked = leg.expect("INVITE")
    leg.bye()
    leg.expect(200)
    call.expect(487)
    call.ack()
    call.reply(200, to=call.expect("BYE"))
    leg.reply(487, to=asked)
    lab.check_empty()


@pytest.mark.parametrize("method", ["INFO", "MESSAGE", "UPDATE", "OPTIONS", "NOTIFY", "SUBSCRIBE"])
@pytest.mark.parametrize("code", [200, 488])
def test_request_in_the_call(method: str, code: int) -> None:
    lab, call, leg = running()
    for one, other in ((call, leg), (leg, call)):
        one.send(method, "a", X_B="b")
        other.reply(code, "c", to=other.expect(method, Body="a", X_B="b"), X_D="d")
        one.expect(code, Body="c", X_D="d")
    finish(lab, call, leg)


def test_request_that_is_not_answered() -> None:
    lab, call, leg = running()
    call.send("INFO", "news")
    leg.expect("INFO")
    lab.advance(5)
    call.expect(504)  # it ends nothing
    finish(lab, call, leg)


def test_refreshes_stay_on_their_leg() -> None:
    lab, call, leg = running()
    lab.advance(200)  # bob's leg is ours to refresh; alice's too, for her INVITE had no Expire
    leg.reply(200, to=leg.expect("UPDATE", Expire=600))
    call.reply(200, to=call.expect("UPDATE", Expire=600))
    call.send("UPDATE", Expire=60)  # she may as well
    call.expect(200)
    finish(lab, call, leg)


def test_leg_that_expires_ends_the_call() -> None:
    lab, call, leg = running()
    lab.advance(600)  # three refreshes that nobody answers
    for _ in range(3):
        leg.expect("UPDATE")
        call.expect("UPDATE")
    lab.advance(10)
    call.expect("BYE")
    leg.expect("BYE")
    lab.advance(5)
    lab.check_empty()


# other requests


def test_message() -> None:
    lab, alice, bob = pair()
    note = alice.open("MESSAGE", "bob", "hello", Content_Type="text")
    leg = bob.answering("MESSAGE", Body="hello", Content_Type="text")
    note.expect_nothing()
    leg.reply(200, "thanks", X_Read="yes")
    note.expect(200, Body="thanks", X_Read="yes")
    lab.check_empty()


def test_message_that_is_refused() -> None:
    lab, alice, bob = pair()
    note = alice.open("MESSAGE", "bob", "hello")
    bob.answering("MESSAGE").reply(603, X_Why="no")
    note.expect(603, X_Why="no")
    lab.check_empty()


def test_message_to_nobody() -> None:
    lab, alice, _ = pair()
    alice.open("MESSAGE", "carol", "hello").expect(480)
    lab.check_empty()


def test_message_that_is_not_answered() -> None:
    lab, alice, bob = pair()
    note = alice.open("MESSAGE", "bob", "hello")
    bob.answering("MESSAGE")
    lab.advance(5)
    note.expect(408)
    note.expect_nothing()
    lab.check_empty()


@pytest.mark.proves("D-24")
@pytest.mark.parametrize("code", [200, 486, 603])
def test_options_says_what_a_user_would_say(code: int) -> None:
    lab, alice, bob = pair()
    options = alice.open("OPTIONS", "bob", X_Note="n")
    bob.answering("OPTIONS", X_Note="n").reply(code, {"media": "audio"}, Accept="sdp")
    options.expect(code, Body={"media": "audio"}, Accept="sdp")
    lab.check_empty()


@pytest.mark.proves("D-24")
@pytest.mark.parametrize("code", [405, 501, None])
def test_options_to_a_user_who_does_not_know_it(code: int | None) -> None:
    lab, alice, bob = pair()
    options = alice.open("OPTIONS", "bob")
    asked = bob.answering("OPTIONS")
    if code is not None:
        asked.reply(code)
    else:
        lab.advance(3.9)
        options.expect_nothing()
        lab.advance(0.1)
    options.expect(200, Allow="INVITE, MESSAGE, OPTIONS, REGISTER")
    lab.advance(5)
    lab.check_empty()


@pytest.mark.proves("D-24")
@pytest.mark.parametrize(("called", "code"), [("carol", 480), ("carol@elsewhere.example", 404)])
def test_options_to_nobody(called: str, code: int) -> None:
    lab, alice, _ = pair()
    alice.open("OPTIONS", called).expect(code)
    lab.check_empty()


@pytest.mark.proves("D-24")
def test_options_to_the_node_is_its_own_to_answer() -> None:
    lab, alice, _ = pair()
    request = opening("OPTIONS", alice.name, "gortc.local")
    alice.send(request)
    alice.expect(200, Allow="INVITE, MESSAGE, OPTIONS, REGISTER")
    lab.check_empty()


def test_others_are_refused() -> None:
    lab, alice, bob = pair()
    alice.open("SUBSCRIBE", "bob").expect(405, Allow="INVITE, MESSAGE, OPTIONS, REGISTER")
    bob.expect_nothing()
    lab.check_empty()


@pytest.mark.parametrize(("asked", "granted"), [({}, 3600), ({"Expire": 60}, 60), ({"Expire": 0}, 0)])
def test_ones_own_name_is_registered(asked: dict[str, int], granted: int) -> None:
    lab, alice, _ = pair()
    alice.open("REGISTER", alice.name, **asked).expect(200, Expire=granted)
    lab.check_empty()


@pytest.mark.proves("C-93")
@pytest.mark.parametrize(
    "spelled",
    [
        "sip:alice@gortc.local", "SIPS:alice@gortc.local", "alice@GORTC.local", "alice@gortc.LOCAL",
        "%61lice@gortc.local", "sip:%61lic%65@Gortc.Local",
    ],
)  # fmt: skip
def test_ones_own_name_is_registered_in_any_spelling(spelled: str) -> None:
    lab, alice, _ = pair()
    alice.open("REGISTER", "gortc.local", From=spelled, To=spelled).expect(200, Expire=3600, To=spelled)
    lab.check_empty()


@pytest.mark.proves("C-93")
@pytest.mark.parametrize(
    "other",
    [
        "Alice@gortc.local", "pbx:alice@gortc.local", "tel:alice@gortc.local", "alice@gortc.local:5060",
        "alice@gortc.local;x=1", "alice%40gortc.local", "alice%00@gortc.local", "alice@gortc\u3002local",
        "alice@gortc.local.", "Alice <alice@gortc.local>", "<sip:alice@gortc.local>", "gortc.local", "alice",
    ],
)  # fmt: skip
def test_what_does_not_spell_ones_own_name(other: str) -> None:
    lab, alice, _ = pair()
    alice.open("REGISTER", "gortc.local", To=other).expect(403, Reason="you are alice@gortc.local")
    lab.check_empty()


@pytest.mark.proves("C-93")
def test_whoever_connects_under_another_spelling_registers_the_same_name() -> None:
    lab = Lab(default)
    alice = lab.user("SIP:%2561lice@GORTC.local")
    assert alice.name == "alice@gortc.local"
    alice.open("REGISTER", "gortc.local", To="alice@gortc.local").expect(200)
    lab.check_empty()


def test_nobody_registers_for_another() -> None:
    lab, alice, bob = pair()
    alice.open("REGISTER", bob.name, From=bob.name).expect(403, Reason=f"you are {alice.name}")
    bob.expect_nothing()
    lab.check_empty()


# numbers


def test_400_is_hunt400s() -> None:
    lab, alice, bob = pair()
    agent = lab.user("agent2")
    call = alice.call("400", "an offer")
    leg = agent.answering(Body="an offer")
    leg.reply(200, "an answer")
    call.expect(200, Body="an answer")
    call.ack()
    leg.expect("ACK")
    bob.expect_nothing()
    finish(lab, call, leg)


@pytest.mark.parametrize(("number", "answered"), [("601", True), ("699", True), ("6", False), ("7601", False)])
def test_patterns(number: str, answered: bool) -> None:
    lab = Lab(default, echo, config={"default": {"numbers": {"6??@gortc.local": "echo"}}})
    alice = lab.user("alice")
    call = alice.call(number, "an offer")
    if answered:
        call.expect(180)
        call.expect(200, Body="an offer")
        call.ack()
        call.bye()
        call.expect(200)
    else:
        call.expect(480)
        call.ack()
    lab.check_empty()


@pytest.mark.proves("C-93")
@pytest.mark.parametrize(
    "pattern",
    [
        "sip:+4930?@GORTC.local",
        "%2B4930?@gortc.local",
        "+493[01]5@gortc.LOCAL",
        "[+]*@GORTC.local",
        "+4930*",
        "+49305@*",
    ],
)
@pytest.mark.parametrize(
    "dialled", ["+49305@gortc.local", "sip:%2B49305@GORTC.local", "%2b4930%35@gortc.local:5060;user=phone"]
)
def test_patterns_know_each_spelling_of_a_number(pattern: str, dialled: str) -> None:
    lab = Lab(default, echo, config={"default": {"numbers": {pattern: "echo"}}})
    alice = lab.user("alice")
    alice.open("MESSAGE", dialled, Body="hello").expect(200, Body="hello")
    lab.check_empty()


@pytest.mark.proves("C-93")
@pytest.mark.parametrize("dialled", ["49305@gortc.local", "%252B49305@gortc.local", "+49305@gortc\u3002local"])
def test_patterns_know_no_other_number(dialled: str) -> None:
    lab = Lab(default, echo, config={"default": {"numbers": {"+4930?@gortc.local": "echo"}}})
    alice = lab.user("alice")
    answer = alice.open("MESSAGE", dialled, Body="hello").expect(480 if "\u3002" not in dialled else 404)
    assert "Body" not in answer
    lab.check_empty()


def test_number_of_a_service_that_is_not_loaded() -> None:
    lab = Lab(default, echo)
    alice = lab.user("alice")
    call = alice.call("400")  # hunt400's by default, but there is no hunt400
    call.expect(404)
    call.ack()
    lab.check_empty()


@pytest.mark.parametrize("realm", ["[::1]", "[2001:DB8::1]", "127.0.0.1", "gortc.local"])
def test_400_at_any_realm(realm: str) -> None:
    """An IPv6 host has brackets, which are none of a pattern."""
    lab = Lab(default, hunt400, realm=realm)
    alice, agent, one = lab.users("alice", "agent2", "1")
    call = alice.call(f"400@{realm}", "an offer")
    leg = agent.answering(Body="an offer")
    leg.reply(200, "an answer")
    call.expect(200, Body="an answer")
    call.ack()
    leg.expect("ACK")
    leg.bye()
    leg.expect(200)
    call.reply(200, to=call.expect("BYE"))
    talk = alice.call("1")  # and a user is found beside it
    leg = one.answering()
    assert leg.id.startswith(f"dlg_{realm}_")
    leg.reply(486)
    leg.expect("ACK")
    talk.expect(486)
    talk.ack()
    lab.check_empty()


@pytest.mark.parametrize(
    ("pattern", "called", "taken"),
    [
        ("5??@[::1]", "500@[::1]", True),
        ("5??@[::1]", "500@:", False),
        ("5[01]?@[::1]", "510@[::1]", True),
        ("5[01]?@[::1]", "520@[::1]", False),
        ("*@[2001:db8::1.2.3.4]", "x@[2001:db8::1.2.3.4]", True),
        ("5[!:]0@gortc.local", "510@gortc.local", True),
        ("[5]*@gortc.local", "500@gortc.local", True),
    ],
)
def test_patterns_with_ipv6_hosts(pattern: str, called: str, taken: bool) -> None:
    lab = Lab(default, echo, config={"default": {"numbers": {pattern: "echo"}}})
    context = lab.node.services.get("default")
    assert context is not None
    assert taker(context, canonical(called)) == ("echo" if taken else None)


def test_relids_of_an_ipv6_realm() -> None:
    """Those that are minted there join, and the node's own name in a Router is taken off."""
    minted: list[str] = []

    @service("meet")
    async def meet(call: Call) -> None:
        minted.append(call.task.relid())
        joined = call.joined
        await call.caller.answer(call.caller.request.get("Router"))
        async for leg in joined:
            await leg.answer("joined")
            break
        await call.caller.closed()

    lab = Lab(meet, realm="[::1]")
    alice, bob = lab.users("alice", "bob")
    call = alice.call("meet", Router="[::1], bob@[::1]")
    call.expect(200, Body="bob@[::1]")
    call.ack()
    other = bob.call("meet", Router=f"[::1];relid={minted[0]}")
    other.expect(200, Body="joined")
    other.ack()
    for talk in (other, call):
        talk.bye()
        talk.expect(200)
    lab.check_empty()


@pytest.mark.proves("C-93")
@pytest.mark.parametrize(
    ("pattern", "called"),
    [
        ("400@[2001:DB8::1]", "400@[2001:db8::1]"),
        ("400@[0:0:0:0:0:0:0:1]", "400@[::1]"),
        ("4?@[0::1]", "41@[::1]"),
        ("%2B49[0-9]@gortc.local", "+491@gortc.local"),
        ("sip:4[0-9]@GORTC.local", "41@gortc.local"),
        ("sips:400@GORTC.local", "sip:400@gortc.local"),
        ("4*@gortc.local", "4%30%30@gortc.local"),
    ],
)
def test_a_pattern_is_spelled_as_names_are(pattern: str, called: str) -> None:
    realm = called.rpartition("@")[2]
    lab = Lab(default, echo, realm=realm, config={"default": {"numbers": {pattern: "echo"}}})
    call = lab.user("alice").call(called, "an offer")
    call.expect(180)
    call.expect(200, Body="an offer")


@pytest.mark.proves("C-90", "C-93")
def test_another_prefix_is_another_number() -> None:
    lab = Lab(default, echo, config={"default": {"numbers": {"400@gortc.local": "echo"}}})
    lab.user("alice").call("pbx:400@gortc.local", "an offer").expect(480)
