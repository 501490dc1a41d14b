"""What a service does wrong hurts only itself, and says so."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from twisted.python.failure import Failure
from zope.interface import implementer

from gortc import Call, IServiceInstance, IServiceLogic, LegFailed, Request, Response, Task, service
from gortc.jsip.message import response
from gortc.testing import Lab, Talk
from slp_plugins.hunt400 import hunt400
from tests.jsip.kit import Stage, reconnect


async def foreign(call: Call) -> None:
    await asyncio.sleep(0)


async def leaves(call: Call) -> None:
    sys.exit(1)


async def cancels(call: Call) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("mistake", [foreign, leaves, cancels])
@pytest.mark.parametrize("waits", [False, True])
def test_not_even_the_reactor_notices(tracebacks: list[Failure], mistake: Callable[[Call], Any], waits: bool) -> None:
    @service("wrong")
    async def wrong(call: Call) -> None:
        if waits:
            await call.sleep(1)
        await mistake(call)

    lab = Lab(wrong)
    call = lab.user("alice").call("100")
    lab.advance(1)
    call.expect(500)
    call.ack()
    lab.check_empty()
    assert len(tracebacks) == 1
    tracebacks.clear()


@pytest.mark.parametrize("code", [99, 700, "486", 180.0, True])
def test_a_code_that_is_none(tracebacks: list[Failure], code: Any) -> None:
    @service("wrong")
    async def wrong(call: Call) -> None:
        call.caller.reject(code)

    lab = Lab(wrong)
    call = lab.user("alice").call("100")
    call.expect(500)
    call.ack()
    lab.check_empty()
    (failure,) = tracebacks
    assert failure.check(ValueError, TypeError)  # where compiled, the latter for what is no integer
    tracebacks.clear()


def test_an_expire_that_is_none(tracebacks: list[Failure]) -> None:
    @service("wrong")
    async def wrong(call: Call) -> None:
        await call.leg("bob@gortc.local").invite(headers={"Expire": "soon"})

    lab = Lab(wrong)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("100")
    call.expect(500)
    call.ack()
    bob.expect_nothing()
    assert tracebacks.pop().check(ValueError)
    lab.check_empty()


def test_a_service_that_is_no_coroutine() -> None:
    def plain(call: Call) -> None:
        """It forgets its async."""

    with pytest.raises(TypeError, match="'plain' must be an async def"):
        service("plain")(plain)  # type: ignore[arg-type]


def test_an_instance_that_has_ended_opens_nothing() -> None:
    """Neither a leg nor a relid."""
    errors: list[Exception] = []

    @service("late")
    async def late(call: Call) -> None:
        call.task.finish(603)
        for act in (lambda: call.task.open("bob@gortc.local"), call.task.relid, lambda: call.task.relate("key")):
            try:
                act()
            except RuntimeError as error:
                errors.append(error)

    lab = Lab(late)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("100")
    call.expect(603)
    call.ack()
    bob.expect_nothing()
    assert [str(error) for error in errors] == ["the instance has ended"] * 3
    lab.check_empty()


def test_hunt400_rings_nobody_for_a_message() -> None:
    lab = Lab(hunt400)
    alice, agent = lab.users("alice", "agent1")
    alice.open("MESSAGE", "400", "hello").expect(405)
    agent.expect_nothing()
    lab.check_empty()


def test_hunt400_with_a_misspelt_configuration(tracebacks: list[Failure]) -> None:
    lab = Lab(hunt400, config={"hunt400": {"agentz": {}}})
    assert lab.node.services.get("hunt400") is None
    assert "agentz" in str(tracebacks.pop().value)
    tracebacks.clear()


# What a service asks of its task that can't be right at any time fails at once, and nothing is left of it.


def at_work(act: Callable[[Task, Any], object], when: str = "INVITE") -> tuple[Lab, list[BaseException | None]]:
    """A lab whose service does this, once, as it is given `when`; and how that went."""
    outcomes: list[BaseException | None] = []

    @implementer(IServiceInstance)
    class Instance:
        def __init__(self, task: Task) -> None:
            self.task = task

        def receive(self, message: Any) -> None:
            if message.method == when and not message.code and not outcomes:
                try:
                    act(self.task, message)
                except Exception as error:
                    outcomes.append(error)
                else:
                    outcomes.append(None)
            if message.method == "INVITE" and not message.code:
                self.task.answer(message, 200)

    @implementer(IServiceLogic)
    class Logic:
        name = "logic"

        def load(self, context: Any) -> None: ...

        def unload(self) -> None: ...

        def create(self, task: Task) -> Instance:
            return Instance(task)

    return Lab(Logic()), outcomes


def hang_up(lab: Lab, talk: Talk) -> None:
    """The caller, who has got a 200, acknowledges it and hangs up; nothing is left."""
    talk.expect(200)
    talk.ack()
    talk.bye()
    talk.expect(200)
    talk.expect_nothing()
    lab.check_empty()


OPENERS = ("INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "NOTIFY")
NO_OPENERS = (
    "BYE", "ACK", "CANCEL", "UPDATE", "INFO", "PRACK", "RESPONSE", "TERM", "PEER_LOST", "PEER_RESUMED", "START",
    "INVENTED", "invite", "", None, 123,
)  # fmt: skip


@pytest.mark.proves("S-90")
@pytest.mark.parametrize("where", ["bob", "offline", "nobody@elsewhere.example"])
@pytest.mark.parametrize("method", NO_OPENERS)
def test_what_opens_no_session(method: Any, where: str) -> None:
    """Whoever it is for; an instance without a leg is not kept by it, either."""
    uri = where if "@" in where else f"{where}@gortc.local"
    lab, outcomes = at_work(lambda task, _: task.open(uri, method), "START")
    bob = lab.user("bob")
    lab.start("logic")
    bob.expect_nothing()
    assert isinstance(outcomes[0], (ValueError, TypeError))  # where compiled, the latter for what is no text
    lab.check_empty()


@pytest.mark.proves("S-90")
@pytest.mark.parametrize("method", OPENERS)
def test_what_opens_one(method: str) -> None:
    lab, outcomes = at_work(lambda task, _: task.open("bob@gortc.local", method), "START")
    bob = lab.user("bob")
    lab.start("logic")
    leg = bob.answering(method)
    leg.reply(486)
    if method == "INVITE":
        leg.expect("ACK")
    assert outcomes == [None]
    lab.check_empty()


@pytest.mark.proves("S-90")
@pytest.mark.parametrize("method", ["BYE", "ACK", "CANCEL", "UPDATE", "INVENTED"])
def test_a_coroutine_opens_nothing_with_it(method: str, tracebacks: list[Failure]) -> None:
    @service("wrong")
    async def wrong(call: Call) -> None:
        await call.leg("bob@gortc.local").send(method)

    lab = Lab(wrong)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("100")
    assert call.user.inbox.pop(0)["Code"] >= 400
    call.ack()
    bob.expect_nothing()
    tracebacks.clear()
    lab.check_empty()


STATES: dict[str, list[str | int]] = {
    "calling": [],
    "early": [180],
    "answered": [200],
    "confirmed": [200, "ACK"],
    "failed": [486],
    "leaving": [200, "ACK", "BYE"],
}


@pytest.mark.proves("S-91")
@pytest.mark.parametrize("method", ["RESPONSE", "TERM", "PEER_LOST", "PEER_RESUMED", "START", "", None, 123])
@pytest.mark.parametrize("state", STATES)
def test_what_is_no_method_in_a_dialogue(state: str, method: Any) -> None:
    with Stage() as stage:
        stage.play("alice INVITE", *(steps(state)))
        stage.forget()
        with pytest.raises((ValueError, TypeError)):
            stage.task.request(stage.session, method)
        stage.advance()
        stage.said()
        leave(stage)


@pytest.mark.proves("S-91")
@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
@pytest.mark.parametrize("state", STATES)
def test_an_ack_or_a_cancel_of_nothing(state: str, method: str) -> None:
    """Whether asked for by name, or of what is no INVITE of ours: dropped, and counted."""
    with Stage() as stage:
        stage.play("alice INVITE", *steps(state))
        stage.forget()
        task, received = stage.task, stage.received("INVITE")
        task.request(stage.session, method)
        (task.ack if method == "ACK" else task.cancel)(received)
        stage.advance()
        stage.said()
        assert sum(stage.node.journal.counts.values()) == 2
        stage.node.journal.counts.clear()
        leave(stage)


@pytest.mark.proves("S-91")
def test_an_ack_names_the_invite_that_it_means() -> None:
    """The peer's INVITE and ours have the same CSeq: each side numbers its own."""
    with Stage() as stage:
        stage.play("alice INVITE", "service 200", "alice ACK", "service INVITE")
        ours, theirs = stage.sent[-1], stage.received("INVITE")
        assert ours.cseq == theirs.cseq == 1
        stage.forget()
        stage.task.cancel(theirs)
        stage.counted("CANCEL of nothing")
        stage.play("alice 200")
        stage.forget()
        stage.task.ack(theirs)
        stage.counted("ACK of nothing")
        answer = stage.probe.messages[-1]
        for act in (stage.task.ack, stage.task.cancel):
            with pytest.raises(TypeError):
                act(answer)  # type: ignore[arg-type]
        stage.said()
        stage.task.ack(ours)
        stage.task.ack(ours)
        stage.counted("ACK of nothing")
        stage.said("alice < ACK")
        stage.play("alice BYE")
        stage.forget()


STACKS = {
    "Type": "BYE", "Code": 200, "From": "mallory@gortc.local", "To": "mallory@gortc.local", "DialogueID": "mine",
    "CSeq": 7, "RelatedID": 7,
}  # fmt: skip
BAD = [
    ("Expire", "soon"), ("Expire", -1), ("Expire", None), ("Expire", True), ("Expire", 1.0), ("Expire", 2**53),
    ("Max-Forwards", -1), ("Max-Forwards", "70"), ("Max-Forwards", None), ("Max-Forwards", 2**53),
    ("Router", 5), ("Router", None), ("Router", ["bob@gortc.local"]), ("Request-URI", 5), ("Request-URI", None),
    ("Desc", 5),
]  # fmt: skip


@pytest.mark.proves("S-92")
@pytest.mark.parametrize("method", OPENERS)
@pytest.mark.parametrize(("name", "value"), [*STACKS.items(), *BAD, ("Request-URI", "mallory@gortc.local")])
def test_headers_that_are_not_the_services_in_what_opens_a_session(method: str, name: str, value: Any) -> None:
    lab, outcomes = at_work(lambda task, _: task.open("bob@gortc.local", method, headers={"X": 1, name: value}))
    alice, bob, mallory = lab.users("alice", "bob", "mallory")
    call = alice.call("x")
    bob.expect_nothing()
    mallory.expect_nothing()
    assert isinstance(outcomes[0], ValueError)
    assert name in str(outcomes[0])
    hang_up(lab, call)


@pytest.mark.proves("S-92")
@pytest.mark.parametrize("method", ["INFO", "BYE", "INVITE", "UPDATE", "MESSAGE", "INVENTED", "ACK", "200"])
@pytest.mark.parametrize(("name", "value"), [*STACKS.items(), *BAD])
def test_headers_that_are_not_the_services_in_a_dialogue(method: str, name: str, value: Any) -> None:
    with Stage() as stage:
        stage.play("alice INVITE", "service 200", "alice ACK", "service INVITE", "alice 200", "alice INFO")
        stage.forget()
        task, invite = stage.task, stage.sent[-1]
        headers = {name: value}
        send: dict[str, Callable[[], object]] = {
            "ACK": lambda: task.ack(invite, headers=headers),
            "200": lambda: task.answer(stage.received("INFO"), 200, headers=headers),
        }
        with pytest.raises(ValueError, match=name):
            send.get(method, lambda: task.request(stage.session, method, headers=headers))()
        stage.said()
        task.ack(invite)  # it is as it was
        stage.play("service 200 INFO", "alice BYE")
        stage.forget()


@pytest.mark.proves("S-92")
def test_headers_that_are_the_services() -> None:
    """What routes, how long it holds, how far it may go, and why."""
    given = {"Router": "bob@gortc.local;x", "Expire": 60, "Max-Forwards": 5, "Reason": "so", "Body": 1, "X-Y": [2]}
    lab, outcomes = at_work(lambda task, _: task.open("any@gortc.local", headers=given) and None)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("x")
    leg = bob.answering(From="alice@gortc.local", To="x@gortc.local", CSeq=1, **{"Request-URI": "any@gortc.local"})
    assert given.items() <= leg.request.items()
    leg.reply(486)
    leg.expect("ACK")
    assert outcomes == [None]
    hang_up(lab, call)


@pytest.mark.proves("S-92")
@pytest.mark.parametrize("names", [{"caller": 5}, {"callee": ["bob"]}])
def test_names_that_are_no_texts(names: dict[str, Any]) -> None:
    lab, outcomes = at_work(lambda task, _: task.open("bob@gortc.local", **names))
    alice, bob = lab.users("alice", "bob")
    call = alice.call("x")
    bob.expect_nothing()
    assert isinstance(outcomes[0], TypeError)
    hang_up(lab, call)


@pytest.mark.proves("S-93")
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "INVITE", "BYE"])
def test_a_request_goes_out_once(method: str) -> None:
    with Stage() as stage:
        stage.play("alice INVITE", "service 200", "alice ACK")
        stage.forget()
        request = stage.task.request(stage.session, method, "x")
        stage.said(f"alice < {method}")
        for _ in range(2):
            with pytest.raises(ValueError, match="sent or received"):
                stage.task.send(request)
            stage.advance()
            stage.said()
            if method != "INVITE":
                stage.play(f"alice 200 {method}")
                stage.forget()
                break
        if method == "INVITE":
            stage.play("alice 486 INVITE")
        if method != "BYE":
            stage.play("alice BYE")
        stage.forget()


@pytest.mark.proves("S-93")
def test_what_was_received_is_not_sent() -> None:
    """Requests, responses and events."""
    with Stage() as stage:
        stage.play("alice INVITE", "service 200", "alice ACK", "alice INFO", "service INFO", "alice 200 INFO")
        stage.person("alice").leave()
        reconnect(stage, "alice")
        stage.forget()
        messages = stage.probe.messages
        assert {"INVITE", "ACK", "INFO", "PEER_LOST", "PEER_RESUMED"} == {message.method for message in messages}
        for message in messages:
            with pytest.raises(ValueError, match="sent or received"):
                stage.task.send(message)
        stage.said()
        stage.play("service 200 INFO", "alice BYE")
        stage.forget()


OWN = {
    "Type": "BYE", "Code": 603, "From": "x@y", "To": "x@y", "DialogueID": "other", "CSeq": 99, "RelatedID": 1,
    "Expire": -1,
}  # fmt: skip


@pytest.mark.proves("S-92")
@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("kind", ["request", "response", "cancel"])
def test_headers_of_the_stack_are_not_changed_by_hand(kind: str, name: str) -> None:
    """In a message that the service has made before it sends it."""
    with Stage() as stage:
        stage.play("alice INVITE", "service 200", "alice ACK", "alice INFO", "service INVITE")
        stage.forget()
        made: Request | Response
        if kind == "request":
            made = stage.session.make("INFO")
        elif kind == "response":
            made = response(stage.received("INFO"), 200)
        else:
            made = stage.session.related("CANCEL", stage.invited())
        whole = dict(made.headers)
        made.headers[name] = OWN[name] if (kind, name) != ("cancel", "RelatedID") else 7
        with pytest.raises(ValueError, match=name):
            stage.task.send(made)
        stage.said()
        made.headers = whole
        stage.task.send(made)
        assert len(stage.lines) == 1
        stage.play("alice BYE")
        stage.forget()


@pytest.mark.proves("S-93")
def test_a_response_is_not_answered() -> None:
    with Stage() as stage:
        stage.play("alice INVITE", "service 200", "alice ACK", "service INFO", "alice 200 INFO")
        stage.forget()
        with pytest.raises(TypeError):
            stage.task.answer(stage.probe.messages[-1], 200)  # type: ignore[arg-type]
        stage.said()
        stage.play("alice BYE")
        stage.forget()


@pytest.mark.proves("S-93")
def test_an_instance_without_a_caller_has_nobody_to_answer() -> None:
    lab, outcomes = at_work(lambda task, start: task.answer(start, 200), "START")
    lab.start("logic")
    assert isinstance(outcomes[0], TypeError)
    lab.check_empty()


@pytest.mark.proves("S-93")
def test_an_answer_that_nobody_waits_for() -> None:
    """To an ACK, an event, a request of ours, and a second one: each is dropped, and counted."""
    with Stage() as stage:
        stage.play(
            "alice INVITE",
            "service 200",
            "alice ACK",
            "alice INFO",
            "service 200 INFO",
            "service INFO",
            "alice 200 INFO",
        )
        stage.person("alice").leave()
        reconnect(stage, "alice")
        stage.forget()
        requests = [message for message in (*stage.probe.messages, *stage.sent) if isinstance(message, Request)]
        assert len(requests) == 6
        for request in requests:
            stage.task.answer(request, 200)
        stage.counted(*["late response"] * 6)
        stage.said()
        stage.play("alice BYE")
        stage.forget()


@pytest.mark.proves("S-93")
def test_another_instances_leg() -> None:
    with Stage("service") as stage:
        stage.play("alice INVITE", "service 200", "alice ACK")
        alices, leg = stage.task, stage.session
        bob = stage.user("bob").call("service")
        bobs = stage.probe.tasks[-1]
        stage.forget()
        assert bobs is not alices
        for act in (
            lambda: bobs.request(leg, "INFO"),
            lambda: bobs.request(leg, "BYE"),
            lambda: bobs.ack(alices.first),  # type: ignore[arg-type]
            lambda: bobs.cancel(alices.first),  # type: ignore[arg-type]
        ):
            with pytest.raises(ValueError, match="another instance"):
                act()
        stage.advance()
        stage.said()
        bobs.finish(486)
        bob.expect(486)
        bob.ack()
        stage.play("alice BYE")
        stage.forget()


@pytest.mark.proves("S-31", "S-32")
@pytest.mark.parametrize("method", ["BYE", "ACK", "CANCEL", "INFO", "UPDATE", "PRACK", "INVITE", "MESSAGE", "INVENTED"])
def test_a_leg_that_is_over(method: str) -> None:
    with Stage() as stage:
        stage.play("alice INVITE", "service 200", "alice ACK")
        leg, task = stage.session, stage.task
        task.open(stage.user("keeper").name, "MESSAGE")  # the instance lives on
        stage.play("alice BYE")
        stage.forget()
        task.request(leg, method)
        stage.advance()
        dropped = method in ("BYE", "ACK", "CANCEL")
        stage.said(*([] if dropped else [f"service 481 {method} (local)"]))
        assert sum(stage.node.journal.counts.values()) == dropped
        stage.node.journal.counts.clear()
        stage.play("wait 5")
        stage.forget()


def test_an_instance_that_has_ended_is_not_heard() -> None:
    with Stage() as stage:
        stage.play("alice INVITE", "service 200", "alice ACK")
        leg, task, invite = stage.session, stage.task, stage.received("INVITE")
        task.finish()
        stage.play("alice 200 BYE")
        stage.forget()
        for method in ("INFO", "BYE", "INVITE"):
            task.request(leg, method)
        task.answer(invite, 200)
        task.ack(invite)
        task.cancel(invite)
        stage.advance()
        stage.said()
        stage.node.journal.counts.clear()


def steps(state: str) -> list[str]:
    """How alice's call gets there."""
    return [("alice " if step == "ACK" else "service ") + str(step) for step in STATES[state]]


def leave(stage: Stage) -> None:
    """Alice's call comes to its end, whatever its state."""
    state = getattr(stage.session, "state", "")
    if state == "failed":
        stage.play("alice ACK")
    elif state == "leaving":
        stage.play("alice 200 BYE")
    else:
        stage.play("alice BYE")
    stage.forget()


# codes that refuse nothing, and what else is said too late


@pytest.mark.proves("S-92")
@pytest.mark.parametrize("code", [700, 99_999, 0, 180, 200, -1, "503", None, 500.0])
def test_a_code_that_refuses_nothing(code: Any) -> None:
    """Nothing has changed yet when it raises."""
    with Stage() as stage:
        stage.play("alice INVITE")
        with pytest.raises(ValueError if type(code) is int else TypeError):
            stage.task.finish(code)
        stage.forget()
        stage.task.finish(486)
        stage.advance()
        stage.said("alice < 486 INVITE")
        stage.play("alice ACK")
        stage.forget()


@pytest.mark.parametrize("code", [700, 0, 200])
def test_a_leg_failed_with_no_code(code: Any) -> None:
    @service("odd")
    async def odd(call: Call) -> None:
        with pytest.raises(ValueError, match="code"):
            call.caller.hang_up(code)
        await call.sleep(1)
        raise LegFailed(code)

    lab = Lab(odd)
    call = lab.user("alice").call("odd")
    lab.advance(1)
    call.expect(500)
    call.ack()
    lab.check_empty()


@pytest.mark.proves("S-90")
@pytest.mark.parametrize("uri", [None, 5, "not a uri", "x" * 2000])
def test_a_uri_beside_a_router(uri: Any) -> None:
    with Stage() as stage:
        bob = stage.person("bob")
        stage.play("alice INVITE")
        stage.forget()
        with pytest.raises((TypeError, ValueError)):
            stage.task.open(uri, headers={"Router": bob.name})
        with pytest.raises(ValueError, match="characters"):
            stage.task.open(bob.name, caller="x" * 1025)
        stage.said()
        bob.expect_nothing()
        stage.play("service 486", "alice ACK")
        stage.forget()


def test_what_has_no_answer_is_not_waited_for() -> None:
    seen: list[str] = []

    @service("odd")
    async def odd(call: Call) -> None:
        await call.caller.answer("an answer")
        for method in ("ACK", "CANCEL"):
            with pytest.raises(ValueError, match="no answer"):
                await call.caller.send(method)
            seen.append(method)

    lab = Lab(odd)
    call = lab.user("alice").call("odd")
    call.expect(200)
    call.ack()
    call.reply(200, to=call.expect("BYE"))
    assert seen == ["ACK", "CANCEL"]
    lab.check_empty()


def test_an_answer_that_can_not_be_given_leaves_the_caller_unanswered() -> None:
    seen: list[BaseException] = []

    @service("odd")
    async def odd(call: Call) -> None:
        try:
            await call.caller.answer("an answer", headers={"Code": 5})
        except ValueError as error:
            seen.append(error)
        try:
            await call.sleep(30)
        except BaseException as cancelled:
            seen.append(cancelled)
            raise

    lab = Lab(odd)
    call = lab.user("alice").call("odd")
    call.bye()
    assert [type(error).__name__ for error in seen] == ["ValueError", "CancelledError"]
    for code in (200, 487):
        call.expect(code)
    lab.advance(5)
    lab.check_empty()


def test_an_instance_that_has_ended_becomes_nothing() -> None:
    with Stage() as stage:
        stage.play("alice INVITE")
        task = stage.task
        task.finish(486)
        with pytest.raises(RuntimeError):
            task.become("service")
        stage.play("alice ACK")
        stage.forget()


# what a peer says, and what happens at odd moments


@pytest.mark.proves("M-31", "M-40")
@pytest.mark.parametrize("value", [5, 1.5, True, None, {}, [], ""])
def test_a_desc_or_a_reason_that_is_no_text(value: Any) -> None:
    """What a peer says of its refusal is any JSON value; what rings and talks is ended all the same."""

    @service("announce")
    async def announce(call: Call) -> None:
        await call.caller.answer("an answer")
        legs = [call.leg(f"{name}@gortc.local") for name in ("bob", "carol")]
        legs[1].invite().addErrback(lambda _: None)
        await legs[0].invite()

    lab = Lab(announce)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("100", "an offer")
    call.expect(200)
    call.ack()
    bob.answering().reply(486, Desc=value, Reason=value)
    call.reply(200, to=call.expect("BYE"))
    leg = carol.answering()
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    lab.check_empty()


@pytest.mark.proves("S-92")
@pytest.mark.parametrize("name", [5, None, 1.5, ("a", "b")])
def test_a_name_of_a_header_that_is_no_text(name: Any) -> None:
    """Nothing has changed yet when it raises."""
    with Stage() as stage:
        stage.play("alice INVITE", "service 200", "alice ACK")
        stage.forget()
        with pytest.raises(TypeError):
            stage.task.finish(parting={name: "x"})
        stage.task.finish(parting={"X": "x"})
        stage.said("alice < BYE")
        stage.play("alice 200")
        stage.forget()


@pytest.mark.proves("S-33", "D-15")
@pytest.mark.parametrize("deed", ["answers", "opens in vain"])
def test_what_an_instance_does_before_it_is_made(deed: str) -> None:
    seen: list[str] = []

    @implementer(IServiceInstance)
    class Instance:
        def receive(self, message: Request | Response) -> None:
            seen.append(message.method)
            if isinstance(message, Request) and message.method == "MESSAGE" and deed != "answers":
                message.session.owner.answer(message, 200)  # type: ignore[union-attr]

    @implementer(IServiceLogic)
    class Logic:
        name = "logic"

        def load(self, context: object) -> None:
            pass

        def unload(self) -> None:
            pass

        def create(self, task: Task) -> Instance:
            if deed == "answers":
                assert task.first is not None
                task.answer(task.first, 200)
            else:
                with pytest.raises(TypeError):
                    task.open("bob@gortc.local", body=object())
            return Instance()

    lab = Lab(Logic())
    lab.user("alice").open("MESSAGE", "100", "hello").expect(200)
    assert seen == (["MESSAGE", "TERM"] if deed == "answers" else ["MESSAGE", "TERM", "TERM"])
    lab.check_empty()


@pytest.mark.proves("S-91", "S-92")
@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("INFO", {"CSeq": True}), ("INFO", {"CSeq": 2.0}), ("INFO", {"RelatedID": None}), ("INFO", {"Code": None}),
        ("INFO", {"Request-URI": ...}), ("INFO", {"Request-URI": 5}), ("UPDATE", {"Expire": 0}), ("INFO", {5: "x"}),
        ("RESPONSE", {}), ("TERM", {}), ("PEER_LOST", {}), ("START", {}), ("", {}),
    ],
)  # fmt: skip
def test_what_no_peer_could_read_is_not_sent_by_hand(method: str, changed: dict[Any, Any]) -> None:
    with Stage() as stage:
        stage.play("alice INVITE", "service 200", "alice ACK")
        stage.forget()
        made = stage.session.make(method)
        for name, value in changed.items():
            if value is ...:
                del made.headers[name]
            else:
                made.headers[name] = value
        with pytest.raises((TypeError, ValueError)):
            stage.task.send(made)
        stage.said()
        stage.play("alice BYE")
        stage.forget()


@pytest.mark.proves("C-34", "M-40")
def test_a_message_that_is_changed_while_it_waits() -> None:
    """What was sent is sent; what waits behind it as well."""
    with Stage() as stage:
        stage.play("alice INVITE", "service 200", "alice ACK")
        stage.person("alice").leave()
        stage.advance()
        first = stage.task.request(stage.session, "INFO", "first")
        stage.task.request(stage.session, "INFO", "second")
        first.headers.clear()
        stage.forget()
        reconnect(stage, "alice")
        assert [message["Body"] for message in stage.person("alice").inbox[-2:]] == ["first", "second"]
        stage.play("alice BYE")
        stage.forget()
