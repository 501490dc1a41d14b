"""A leg: what a coroutine can ask of it, and every way in which it fails."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from gortc import Call, Leg, LegFailed, Request, Response, service
from gortc.testing import Lab
from tests.services.kit import answered, connect, hang_up, outcome

# the caller's leg


def test_what_a_leg_says_of_itself() -> None:
    seen: list[Any] = []

    @service("look")
    async def look(call: Call) -> None:
        caller = call.caller
        seen.extend([caller.method, caller.caller, caller.called, caller.uri, caller.offer, caller.headers])
        seen.extend([caller.ringing, caller.answered, caller.talking, caller.over])
        await caller.answer()
        seen.extend([caller.ringing, caller.answered, caller.talking, caller.over])
        callee = call.leg("bob@gortc.local")
        with pytest.raises(RuntimeError):
            callee.request  # noqa: B018
        await caller.closed()
        seen.extend([caller.talking, caller.over, repr(caller)])

    lab = Lab(look)
    call = lab.user("alice").call("service", "an offer", X_Note="n", Expire=60)
    call.expect(200)
    call.ack()
    hang_up(lab, call)
    assert seen == [
        "INVITE", "alice@gortc.local", "service@gortc.local", "service@gortc.local", "an offer",
        {"X-Note": "n", "Body": "an offer"},
        True, False, False, False,
        False, True, True, False,
        False, True, "<leg service@gortc.local over>",
    ]  # fmt: skip


def test_ring_with_code_and_body() -> None:
    @service("ring")
    async def ring(call: Call) -> None:
        call.caller.ring()
        call.caller.ring(code=183, body="music")
        call.caller.ring(code=183, body="music")
        call.caller.ring(code=182)
        await call.sleep(1)
        call.caller.ring()  # something else again
        call.caller.ring()  # heard already
        await call.sleep(30)
        call.caller.ring()  # again, so that the caller keeps waiting
        call.caller.reject(486, "all are busy")

    lab = Lab(ring)
    call = lab.user("alice").call("service")
    call.expect(180)
    call.expect(183, Body="music")
    call.expect(182)
    call.expect_nothing()
    lab.advance(1)
    call.expect(180)
    call.expect_nothing()
    lab.advance(30)
    call.expect(180)
    call.expect(486, Reason="all are busy")
    call.ack()
    lab.check_empty()


def test_answer_fires_with_the_ack() -> None:
    acks: list[Request] = []

    @service("answer")
    async def answer(call: Call) -> None:
        acks.append(await call.caller.answer({"a": 1}, {"X-Note": "n"}))
        await call.caller.closed()

    lab = Lab(answer)
    call = lab.user("alice").call("service")
    call.expect(200, Body={"a": 1}, X_Note="n")
    assert acks == []
    call.ack("in the ACK")
    assert acks[0].body == "in the ACK"
    hang_up(lab, call)


@pytest.mark.parametrize("ending", ["BYE", "no ACK"])
def test_answer_fails(ending: str) -> None:
    failures: list[int] = []

    @service("answer")
    async def answer(call: Call) -> None:
        try:
            await call.caller.answer()
        except LegFailed as failure:
            failures.append(failure.code)

    lab = Lab(answer)
    call = lab.user("alice").call("service")
    call.expect(200)
    if ending == "BYE":
        call.bye()
        call.expect(200)
    else:
        lab.advance(31.9)
        assert failures == []
        lab.advance(0.1)
        call.reply(200, to=call.expect("BYE"))
    assert failures == [487]
    lab.check_empty()


def test_answer_to_a_caller_that_has_gone() -> None:
    failures: list[int] = []

    @service("answer")
    async def answer(call: Call) -> None:
        try:
            await call.sleep(1)
        except CancelledError:
            try:
                await call.caller.answer()
            except LegFailed as failure:
                failures.append(failure.code)

    lab = Lab(answer)
    call = lab.user("alice").call("service")
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    assert failures == [487]
    lab.check_empty()


def test_reject_with_what_another_leg_failed_with() -> None:
    @service("pass")
    async def on(call: Call) -> None:
        try:
            await call.leg("bob@gortc.local").invite()
        except LegFailed as failure:
            call.caller.reject(failure, "bob said so")

    lab = Lab(on)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("service")
    leg = bob.answering()
    leg.reply(302, {"try": "carol"}, Contact="carol")
    leg.expect("ACK")
    call.expect(302, Body={"try": "carol"}, Contact="carol", Reason="bob said so")
    call.ack()
    lab.check_empty()


# a called leg


@service("dial", load=lambda context: None)
async def dial(call: Call) -> None:
    """Call bob, and keep what came of it in `context.shared`."""
    shared = call.context.shared
    leg = shared["leg"] = call.leg("bob@gortc.local")
    within = call.config.get("within")
    shared["outcome"] = await outcome(leg.invite("an offer", within, shared.setdefault("heard", []).append))
    if not isinstance(shared["outcome"], LegFailed):
        leg.ack(shared["outcome"], "in the ACK", {"X-Ack": "a"})
        await leg.closed()


def dialling(**config: Any) -> tuple[Lab, dict[str, Any]]:
    """A lab in which bob, who is connected, is called without a caller; and what the service keeps."""
    lab = Lab(dial, config={"dial": config})
    context = lab.node.services.get("dial")
    assert context is not None
    return lab, context.shared


def test_invite() -> None:
    lab, kept = dialling()
    bob = lab.user("bob")
    lab.start("dial")
    leg = bob.answering(Body="an offer", From="gortc.local", To="bob@gortc.local")
    leg.reply(180)
    leg.reply(183, "music")
    assert [(ringing.code, ringing.body) for ringing in kept["heard"]] == [(180, None), (183, "music")]
    assert kept["leg"].ringing
    leg.reply(202, "an answer")
    leg.expect("ACK", Body="in the ACK", X_Ack="a")
    assert (kept["outcome"].code, kept["outcome"].body) == (202, "an answer")
    assert kept["leg"].talking
    hang_up(lab, leg)


@pytest.mark.parametrize("code", [300, 486, 503, 603])
def test_invite_is_refused(code: int) -> None:
    lab, kept = dialling()
    bob = lab.user("bob")
    lab.start("dial")
    leg = bob.answering()
    leg.reply(code, Warning="w")
    leg.expect("ACK")
    failure = kept["outcome"]
    assert (failure.code, failure.response.get("Warning")) == (code, "w")
    assert str(failure).startswith(str(code))
    lab.check_empty()


def test_invite_nobody() -> None:
    lab, kept = dialling()
    lab.start("dial")
    assert kept["outcome"].code == 480
    lab.check_empty()


def test_invite_somebody_who_hangs_up_before_the_answer() -> None:
    lab, kept = dialling()
    bob = lab.user("bob")
    lab.start("dial")
    leg = bob.answering()
    leg.reply(180)
    leg.bye()
    leg.expect(200)
    assert kept["outcome"].code == 487
    lab.check_empty()


def test_invite_as_long_as_the_stack_does() -> None:
    lab, kept = dialling()
    bob = lab.user("bob")
    lab.start("dial")
    leg = bob.answering()
    lab.advance(59.9)
    leg.expect_nothing()
    lab.advance(0.1)
    leg.expect("CANCEL")
    assert kept["outcome"].code == 408
    leg.reply(487)
    leg.expect("ACK")
    lab.advance(5)
    lab.check_empty()


def test_invite_within() -> None:
    lab, kept = dialling(within=7)
    bob = lab.user("bob")
    lab.start("dial")
    leg = bob.answering()
    lab.advance(5)
    leg.reply(180)  # ringing gives no more time
    lab.advance(2)
    leg.reply(200, to=leg.expect("CANCEL"))
    assert kept["outcome"].code == 408
    leg.reply(180)
    leg.reply(487)
    leg.expect("ACK")
    assert kept["outcome"].response is None
    assert [ringing.code for ringing in kept["heard"]] == [180]
    lab.check_empty()


def test_invite_within_is_answered_in_time() -> None:
    lab, _ = dialling(within=7)
    bob = lab.user("bob")
    lab.start("dial")
    leg = bob.answering()
    lab.advance(6.9)
    leg.reply(200)
    leg.expect("ACK")
    lab.advance(10)
    hang_up(lab, leg)


def test_cancel_while_inviting() -> None:
    lab = Lab(service("connect")(connect))
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob")
    leg = bob.answering()
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    leg.expect("CANCEL")
    leg.reply(487)
    leg.expect("ACK")
    lab.advance(5)
    lab.check_empty()


def test_cancelled_deferred_of_an_invite_sends_cancel_and_the_call_goes_on() -> None:
    @service("first")
    async def first(call: Call) -> None:
        one, other = call.leg("bob@gortc.local"), call.leg("carol@gortc.local")
        slow = one.invite("an offer")
        slow.addErrback(lambda failure: failure.trap(CancelledError))
        answer = await other.invite("an offer")
        slow.cancel()
        await call.caller.answer(answer)
        await call.bridge(call.caller, other)

    lab = Lab(first)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("service")
    slow, leg = bob.answering(), carol.answering()
    leg.reply(200, "an answer")
    slow.reply(200, to=slow.expect("CANCEL"))
    slow.reply(487)
    slow.expect("ACK")
    call.expect(200, Body="an answer")
    call.ack()
    leg.expect("ACK")
    leg.bye()
    leg.expect(200)
    call.reply(200, to=call.expect("BYE"))
    lab.check_empty()


def test_invite_again_in_the_call() -> None:
    outcomes: list[Any] = []

    @service("again")
    async def again(call: Call) -> None:
        caller = call.caller
        await caller.answer("an answer")
        for offer in ("hold", "resume", "late"):
            came = await outcome(caller.invite(offer, within=10))
            outcomes.append(came.code)  # type: ignore[attr-defined]
            if not isinstance(came, LegFailed):
                caller.ack(came)  # type: ignore[arg-type]
        await caller.closed()

    lab = Lab(again)
    call = answered(lab)
    call.reply(200, "held", to=call.expect("INVITE", Body="hold"))
    call.expect("ACK")
    call.reply(488, to=call.expect("INVITE", Body="resume"))
    call.expect("ACK")
    late = call.expect("INVITE", Body="late")
    lab.advance(10)
    call.reply(200, to=call.expect("CANCEL", RelatedID=late["CSeq"]))
    call.reply(487, to=late)
    call.expect("ACK")
    assert outcomes == [200, 488, 408]
    hang_up(lab, call)


@pytest.mark.parametrize("how", ["INVITE", "INFO"])
def test_request_open_as_the_leg_ends(how: str) -> None:
    outcomes: list[Any] = []

    @service("ask")
    async def ask(call: Call) -> None:
        caller = call.caller
        await caller.answer()
        asked = caller.invite("hold") if how == "INVITE" else caller.send("INFO", "?")
        outcomes.append(await outcome(asked))

    lab = Lab(ask)
    call = answered(lab)
    call.expect(how)
    hang_up(lab, call)
    assert outcomes[0].code == 487


def test_a_leg_that_is_over() -> None:
    codes: list[Any] = []

    @service("over")
    async def over(call: Call) -> None:
        caller = call.caller
        await caller.answer()
        await caller.closed()
        await caller.closed()  # fires at once
        for asked in (caller.invite(), caller.send("INFO"), caller.answer()):
            codes.append((await outcome(asked)).code)  # type: ignore[attr-defined]
        caller.hang_up()
        caller.cancel(caller.request)

    lab = Lab(over)
    hang_up(lab, answered(lab))
    assert codes == [481, 481, 487]


# other requests


@pytest.mark.parametrize(("code", "reply"), [(200, "good"), (202, None), (488, None), (603, "no")])
def test_send_in_the_call(code: int, reply: Any) -> None:
    outcomes: list[Any] = []

    @service("ask")
    async def ask(call: Call) -> None:
        await call.caller.answer()
        outcomes.append(await outcome(call.caller.send("INFO", "?", {"X-Kind": "q"})))
        await call.caller.closed()

    lab = Lab(ask)
    call = answered(lab)
    info = call.expect("INFO", Body="?", X_Kind="q")
    call.reply(183, to=info)
    assert outcomes == []
    call.reply(code, reply, to=info)
    assert isinstance(outcomes[0], LegFailed) == (code >= 300)
    assert outcomes[0].code == code
    hang_up(lab, call)


def test_send_is_not_answered() -> None:
    outcomes: list[Any] = []

    @service("ask")
    async def ask(call: Call) -> None:
        await call.caller.answer()
        outcomes.append(await outcome(call.caller.send("INFO")))
        await call.caller.closed()

    lab = Lab(ask)
    call = answered(lab)
    call.expect("INFO")
    lab.advance(5)
    assert outcomes[0].code == 408
    hang_up(lab, call)


def test_send_opens_a_leg_of_one_request() -> None:
    outcomes: list[Any] = []

    @service("note")
    async def note(call: Call) -> None:
        for name in ("bob", "nobody"):
            leg = call.leg(f"{name}@gortc.local")
            outcomes.append(await outcome(leg.send("MESSAGE", "hello")))
            await leg.closed()
        call.caller.reject(486)

    lab = Lab(note)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("service")
    bob.answering("MESSAGE", Body="hello", From="alice@gortc.local").reply(200)
    call.expect(486)
    call.ack()
    assert [came.code for came in outcomes] == [200, 480]
    lab.check_empty()


@pytest.mark.parametrize("what", ["invite", "send"])
def test_bad_address(what: str) -> None:
    outcomes: list[Any] = []

    @service("bad")
    async def bad(call: Call) -> None:
        leg = call.leg("not an address")
        outcomes.append(await outcome(leg.invite() if what == "invite" else leg.send("MESSAGE")))
        call.caller.reject(486)

    lab = Lab(bad)
    call = lab.user("alice").call("service")
    call.expect(486)
    call.ack()
    assert outcomes[0].code == 400
    lab.check_empty()


def test_what_is_no_json_is_the_services_mistake(tracebacks: list[Any]) -> None:
    raised: list[type[BaseException]] = []

    @service("bad")
    async def bad(call: Call) -> None:
        for attempt in (
            lambda: call.caller.ring(body={1, 2}),
            lambda: call.caller.reply(call.caller.request, 486, object()),
            lambda: call.leg("bob@gortc.local").invite({1}),
        ):
            try:
                attempt()
            except TypeError as error:
                raised.append(type(error))
        call.caller.reject(486)

    lab = Lab(bad)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("service")
    call.expect(486)
    call.ack()
    assert raised == [TypeError] * 3
    bob.expect_nothing()
    lab.check_empty()


# requests of the peer


def test_requests_are_read() -> None:
    @service("read")
    async def read(call: Call) -> None:
        caller = call.caller
        requests = caller.requests  # before the ACK, so that nothing is refused
        await caller.answer()
        async for request in requests:
            code = 488 if request.body == "refuse" else 200
            caller.reply(request, code, {"was": request.method}, {"X-Seen": "yes"})

    lab = Lab(read)
    call = answered(lab)
    for method in ("INFO", "MESSAGE", "UPDATE", "OPTIONS", "NOTIFY"):
        call.send(method, "x")
        call.expect(200, Body={"was": method}, X_Seen="yes")
    call.send("INVITE", "refuse")
    call.expect(488, Body={"was": "INVITE"})
    call.ack()
    call.send("INVITE", "accept")
    call.expect(200, Body={"was": "INVITE"})
    call.ack()
    hang_up(lab, call)


def test_requests_wait_until_they_are_read() -> None:
    @service("slow")
    async def slow(call: Call) -> None:
        requests = call.caller.requests
        await call.caller.answer()
        await call.sleep(3)
        async for request in requests:
            call.caller.reply(request)

    lab = Lab(slow)
    call = answered(lab)
    first, second = call.send("INFO", 1), call.send("INFO", 2)
    lab.advance(2)
    call.expect_nothing()
    lab.advance(1)
    call.expect(200, CSeq=first["CSeq"])
    call.expect(200, CSeq=second["CSeq"])
    hang_up(lab, call)


def test_requests_that_nobody_waits_for_any_more_are_not_read() -> None:
    read: list[Any] = []

    @service("slow")
    async def slow(call: Call) -> None:
        requests = call.caller.requests
        await call.caller.answer()
        await call.sleep(6)
        async for request in requests:
            read.append(request.body)
            call.caller.reply(request)

    lab = Lab(slow)
    call = answered(lab)
    call.send("INFO", "early")
    lab.advance(5)
    call.expect(504)
    call.send("INFO", "late")
    lab.advance(1)
    call.expect(200)
    assert read == ["late"]
    hang_up(lab, call)


def test_too_many_unread_requests() -> None:
    @service("slow")
    async def slow(call: Call) -> None:
        call.caller.requests  # noqa: B018
        await call.caller.answer()
        await call.caller.closed()

    lab = Lab(slow)
    call = answered(lab)
    for _ in range(64):
        call.send("INFO")
    call.expect_nothing()
    call.send("INFO")
    call.expect(480)
    call.bye()
    call.expect(200)
    for _ in range(64):
        call.expect(487)
    lab.check_empty()


@pytest.mark.parametrize(
    ("method", "code"),
    [("INVITE", 488), ("UPDATE", 488), ("OPTIONS", 200), ("INFO", 405), ("MESSAGE", 405), ("NOTIFY", 405)],
)
def test_unread_requests_are_refused(method: str, code: int) -> None:
    @service("deaf")
    async def deaf(call: Call) -> None:
        await call.caller.answer()
        await call.caller.closed()

    lab = Lab(deaf)
    call = answered(lab)
    call.send(method, "x")
    refusal = call.expect(code)
    assert ("Allow" in refusal) == (code == 405)
    if method == "INVITE":
        call.ack()
    hang_up(lab, call)


def test_unread_prack() -> None:
    @service("early")
    async def early(call: Call) -> None:
        call.caller.ring(code=183, body="music")
        await call.sleep(1)
        call.caller.reject(486)

    lab = Lab(early)
    call = lab.user("alice").call("service")
    call.expect(183)
    call.send("PRACK")
    call.expect(200)
    lab.advance(1)
    call.expect(486)
    call.ack()
    lab.check_empty()


# hanging up


@pytest.mark.parametrize("state", ["new", "ringing", "answered", "never sent"])
def test_hang_up(state: str) -> None:
    legs: list[Leg] = []

    @service("end")
    async def end(call: Call) -> None:
        caller = call.caller
        legs.append(caller)
        if state == "never sent":
            call.leg("bob@gortc.local").hang_up()
        if state == "ringing":
            caller.ring()
        if state == "answered":
            await caller.answer()
        caller.hang_up(486, "enough")
        await caller.closed()

    lab = Lab(end)
    call = lab.user("alice").call("service")
    if state == "answered":
        call.expect(200)
        call.ack()
        call.reply(200, to=call.expect("BYE", Reason="enough"))
    else:
        if state == "ringing":
            call.expect(180)
        call.expect(486, Reason="enough")
        call.ack()
    assert legs[0].over
    lab.check_empty()


def test_hang_up_of_a_ringing_leg_sends_cancel() -> None:
    outcomes: list[Any] = []

    @service("end")
    async def end(call: Call) -> None:
        leg = call.leg("bob@gortc.local")
        inviting: Deferred[Any] = leg.invite()
        await call.sleep(1)
        leg.hang_up()
        outcomes.append(await outcome(inviting))
        call.caller.reject(486)

    lab = Lab(end)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("service")
    leg = bob.answering()
    lab.advance(1)
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    call.expect(486)
    call.ack()
    assert outcomes[0].code == 487
    lab.check_empty()


def test_a_call_that_ends_leaves_no_answer_awaited() -> None:
    """Not the timer of a leg that the service rang and forgot, nor a failure that nobody looks at."""
    forgotten: list[Deferred[Response]] = []

    @service("forgetful")
    async def forgetful(call: Call) -> None:
        forgotten.append(call.leg("bob@gortc.local").invite("an offer", within=3600))
        forgotten.append(call.leg("carol@gortc.local").send("MESSAGE", "hello"))

    lab = Lab(forgetful)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("100", "an offer")
    leg = bob.answering()
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    carol.answering("MESSAGE").reply(200)
    call.expect(500)
    call.ack()
    assert [done.called for done in forgotten] == [True, True]
    lab.check_empty()
