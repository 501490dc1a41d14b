"""A task: one instance of a service below coroutines, with one entry for every message of every leg."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gortc import START, Context, IServiceInstance, IServiceLogic, Request, Response, Task
from gortc.testing import Lab
from slp_plugins.conference import conference
from slp_plugins.echo import echo

Entry = Callable[["Instance", Any], Any]


@implementer(IServiceInstance)
class Instance:
    """Keeps what it is given, and does what its test says."""

    def __init__(self, task: Task, entry: Entry) -> None:
        self.task = task
        self.entry = entry
        self.seen: list[str] = []

    def receive(self, message: Request | Response) -> Deferred[Any] | None:
        """Take a message."""
        local = " local" if message.local else ""
        self.seen.append(f"{message.method} {message.code or ''}".strip() + local)
        result: Deferred[Any] | None = self.entry(self, message)
        return result


@implementer(IServiceLogic)
class Logic:
    """Makes instances; `made` keeps them."""

    name = "logic"

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.made: list[Instance] = []
        self.loaded: Context | None = None

    def load(self, context: Context) -> None:
        """Keep the context."""
        self.loaded = context

    def unload(self) -> None:
        """Forget it."""
        self.loaded = None

    def create(self, task: Task) -> Instance:
        """An instance."""
        self.made.append(Instance(task, self.entry))
        return self.made[-1]


def at_work(entry: Entry) -> tuple[Lab, Logic]:
    """A lab with one service that does what `entry` does."""
    logic = Logic(entry)
    return Lab(logic), logic


def test_interfaces() -> None:
    lab, logic = at_work(lambda self, message: None)
    assert verifyObject(IServiceLogic, logic)
    assert verifyObject(IServiceLogic, echo)
    assert verifyObject(IServiceLogic, conference)
    task = Task(lab.node.dispatch, next(iter(lab.node.services)))
    for maker in (logic, echo, conference):
        instance: Any = maker.create(task)
        assert verifyObject(IServiceInstance, instance)
    assert logic.loaded is not None
    lab.node.stop()
    assert logic.loaded is None
    lab.check_empty()


def test_every_message_of_every_leg_enters() -> None:
    def entry(self: Instance, message: Any) -> None:
        task = self.task
        if message.method == "INVITE" and not message.code:
            task.answer(message, 180, "ringing")
            task.open("bob@gortc.local", "INVITE", message.body, {"X-Note": "n"})
        elif message.method == "INVITE" and message.code == 200:
            task.ack(message.request, "a", {"X-Ack": "x"})
            assert task.first is not None
            task.answer(task.first, 200, message.body)
        elif message.method == "INFO" and not message.code:
            task.answer(message, 200)
        elif message.method == "BYE":
            for session in task.sessions:
                if session is not message.session:
                    task.request(session, "BYE")

    lab, logic = at_work(entry)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("x", "an offer")
    call.expect(180, Body="ringing")
    leg = bob.answering(Body="an offer", From="alice@gortc.local", To="x@gortc.local", X_Note="n")
    leg.reply(200, "an answer")
    leg.expect("ACK", Body="a", X_Ack="x")
    call.expect(200, Body="an answer")
    call.ack()
    leg.send("INFO")
    leg.expect(200)
    call.bye()
    call.expect(200)
    leg.reply(200, to=leg.expect("BYE"))
    assert logic.made[0].seen == [
        "INVITE", "INVITE 200", "ACK", "INFO", "BYE", "TERM local", "TERM local",
    ]  # fmt: skip
    lab.check_empty()


def test_cancel_and_late_answers() -> None:
    def entry(self: Instance, message: Any) -> None:
        if message.method == "INVITE" and not message.code:
            self.invite = self.task.open("bob@gortc.local", caller="a", callee="b")  # type: ignore[attr-defined]
        elif message.method == "CANCEL":
            self.task.cancel(self.invite)  # type: ignore[attr-defined]
            self.task.answer(message.related, 200)  # too late: the stack has answered 487

    lab, logic = at_work(entry)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("x")
    leg = bob.answering(From="a", To="b")
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    assert logic.made[0].seen == ["INVITE", "CANCEL", "TERM local", "INVITE 487", "TERM local"]
    assert lab.node.journal.counts["unexpected 2xx"] == 1
    lab.check_empty()


def test_it_is_never_entered_while_it_runs() -> None:
    depth = [0, 0]

    def entry(self: Instance, message: Any) -> None:
        depth[0] += 1
        depth[1] = max(depth)
        if message.method == "INVITE":
            message.session.abandon(486, None)  # ends the session at once for a MESSAGE, with TERM
        elif message.method == "MESSAGE" and not message.code:
            self.task.answer(message, 200)
        depth[0] -= 1

    lab, logic = at_work(entry)
    lab.user("alice").open("MESSAGE", "x").expect(200)
    assert depth == [0, 1]
    assert logic.made[0].seen == ["MESSAGE", "TERM local"]
    lab.check_empty()


@pytest.mark.proves("D-15")
def test_it_lives_as_long_as_its_deferred() -> None:
    waiting: Deferred[Any] = Deferred()

    def entry(self: Instance, message: Any) -> Deferred[Any] | None:
        if message.method == "MESSAGE":
            self.task.answer(message, 202)
            return waiting
        return None

    lab, logic = at_work(entry)
    lab.user("alice").open("MESSAGE", "x").expect(202)
    assert logic.made[0].seen == ["MESSAGE", "TERM local"]
    assert lab.node.census()["tasks"] == 1
    waiting.callback(None)
    lab.check_empty()


@pytest.mark.proves("D-13", "D-14")
@pytest.mark.parametrize("how", ["raise", "at once", "later"])
def test_it_fails(how: str, tracebacks: list[Failure]) -> None:
    waiting: Deferred[Any] = Deferred()

    def entry(self: Instance, message: Any) -> Deferred[Any] | None:
        if how == "raise":
            raise ZeroDivisionError
        if how == "at once":
            waiting.errback(ZeroDivisionError())
        return waiting

    lab, logic = at_work(entry)
    call = lab.user("alice").call("x")
    if how == "later":
        call.expect_nothing()
        waiting.errback(ZeroDivisionError())
    call.expect(500, Reason="service failed")
    call.ack()
    assert logic.made[0].seen == ["INVITE"]
    assert [failure.type for failure in tracebacks] == [ZeroDivisionError]
    tracebacks.clear()
    lab.check_empty()


@pytest.mark.proves("D-15", "D-17")
def test_finish() -> None:
    def entry(self: Instance, message: Any) -> None:
        if message.method == "INVITE":
            self.task.answer(message, 200)
        elif message.method == "ACK":
            self.task.finish(bye_reason="that is it")

    lab, logic = at_work(entry)
    call = lab.user("alice").call("x")
    call.expect(200)
    call.ack()
    call.reply(200, to=call.expect("BYE", Reason="that is it"))
    assert logic.made[0].seen == ["INVITE", "ACK"]
    lab.check_empty()


@pytest.mark.proves("D-18")
def test_stop_of_the_node() -> None:
    lab, _ = at_work(lambda self, message: None)
    call = lab.user("alice").call("x")
    lab.node.stop()
    lab.advance()
    call.expect(503, Reason="the server is stopping")
    call.ack()
    lab.check_empty()


@pytest.mark.proves("S-36")
def test_requests_that_may_not_be_sent_come_back() -> None:
    def entry(self: Instance, message: Any) -> None:
        if message.method == "INVITE" and not message.code:
            self.task.request(message.session, "UPDATE", "x")  # before any 1xx
            self.task.request(message.session, "INFO")
        elif message.code and message.method == "INFO":
            self.task.answer(self.task.first, 486)  # type: ignore[arg-type]

    lab, logic = at_work(entry)
    call = lab.user("alice").call("x")
    call.reply(200, to=call.expect("INFO"))
    call.expect(486)
    call.ack()
    assert logic.made[0].seen == ["INVITE", "UPDATE 481 local", "INFO 200", "TERM local"]
    lab.check_empty()


def test_what_is_no_json_raises_and_nothing_is_sent() -> None:
    raised: list[bool] = []

    def entry(self: Instance, message: Any) -> None:
        task = self.task
        if message.method != "INVITE" or message.code:
            return
        for attempt in (
            lambda: task.open("bob@gortc.local", body={1}),
            lambda: task.request(message.session, "INFO", {1}),
            lambda: task.answer(message, 200, {1}),
            lambda: task.answer(message, 200, headers={"X-Note": object()}),
        ):
            with pytest.raises(TypeError):
                attempt()
            raised.append(True)
        task.answer(message, 486)

    lab, _ = at_work(entry)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("x")
    call.expect(486)
    call.ack()
    bob.expect_nothing()
    assert len(raised) == 4
    lab.check_empty()


@pytest.mark.proves("D-8")
def test_relids() -> None:
    def entry(self: Instance, message: Any) -> None:
        task = self.task
        if message.method == "INVITE":
            if not self.seen[1:]:
                task.relate("mine")
                with pytest.raises(KeyError):
                    task.relate("mine")
            task.answer(message, 200, len(task.sessions))

    lab, logic = at_work(entry)
    alice, bob = lab.users("alice", "bob")
    one = alice.call("x", Router="gortc.local;type=logic")
    one.expect(200, Body=1)
    one.ack()
    other = bob.call("x", Router="gortc.local;type=logic;relid=mine")
    other.expect(200, Body=2)
    other.ack()
    for talk in (one, other):
        talk.bye()
        talk.expect(200)
    assert len(logic.made) == 1
    lab.check_empty()


def test_start() -> None:
    def entry(self: Instance, message: Any) -> None:
        if message.method == START:
            self.task.open(message.get("who"), "MESSAGE", "hello")

    lab, logic = at_work(entry)
    bob = lab.user("bob")
    lab.start("logic", who="bob@gortc.local")
    bob.answering("MESSAGE", Body="hello", From="gortc.local", To="bob@gortc.local").reply(200)
    assert logic.made[0].seen == ["START local", "MESSAGE 200", "TERM local"]
    lab.check_empty()


@pytest.mark.proves("D-15")
def test_a_started_instance_without_legs_ends() -> None:
    lab, logic = at_work(lambda self, message: None)
    lab.start("logic")
    assert logic.made[0].seen == ["START local"]
    lab.check_empty()


def test_what_a_task_says_of_itself() -> None:
    seen: list[Any] = []

    def entry(self: Instance, message: Any) -> None:
        task = self.task
        if message.method == "INVITE":
            seen.extend([task.log.namespace, task.times.invite, task.timers.clock.seconds(), task.relation])
            seen.extend([task.first is message, list(task.sessions) == [message.session], task.context.name])
            task.answer(message, 486)

    lab, _ = at_work(entry)
    call = lab.user("alice").call("x", Router="gortc.local;type=logic;relid=k")
    call.expect(486)
    call.ack()
    assert seen == ["slp.logic", 60, 0, "k", True, True, "logic"]
    lab.check_empty()


@pytest.mark.proves("D-17")
def test_messages_for_an_instance_that_has_ended_go_to_nobody() -> None:
    def entry(self: Instance, message: Any) -> None:
        if message.method == "INVITE":
            self.task.open("bob@gortc.local")
            self.task.finish(486, "that is it")

    lab, logic = at_work(entry)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("x")
    call.expect(486, Reason="that is it")
    leg = bob.answering()
    leg.expect("CANCEL")
    leg.send("INFO")  # the stack alone finishes the leg
    leg.expect(481)
    leg.reply(487)
    leg.expect("ACK")
    lab.advance(5)
    assert logic.made[0].seen == ["INVITE"]
    lab.check_empty()


def test_service_that_fails_as_it_is_unloaded(tracebacks: list[Failure]) -> None:
    class Stubborn(Logic):
        def unload(self) -> None:
            raise ZeroDivisionError

    lab = Lab(Stubborn(lambda self, message: None), echo)
    lab.node.stop()
    assert [failure.type for failure in tracebacks] == [ZeroDivisionError]
    tracebacks.clear()
    assert list(lab.node.services) == []
    lab.check_empty()


@pytest.mark.proves("D-13")
def test_services_that_cant_be_made(tracebacks: list[Failure]) -> None:
    class Broken(Logic):
        def create(self, task: Task) -> Instance:
            raise ZeroDivisionError

    lab = Lab(Broken(lambda self, message: None))
    call = lab.user("alice").call("x")
    call.expect(500)
    call.ack()
    assert [failure.type for failure in tracebacks] == [ZeroDivisionError]
    tracebacks.clear()
    lab.check_empty()


@pytest.mark.proves("D-13")
@pytest.mark.parametrize("raises", [False, True])
def test_entry_that_is_a_coroutine(raises: bool, tracebacks: list[Failure]) -> None:
    waiting: Deferred[Any] = Deferred()

    async def entry(self: Instance, message: Any) -> None:
        if message.method == "MESSAGE":
            await waiting
            if raises:
                raise ZeroDivisionError
            self.task.answer(message, 200)

    lab, logic = at_work(entry)
    note = lab.user("alice").open("MESSAGE", "x")
    note.expect_nothing()
    waiting.callback(None)
    lab.advance()
    note.expect(500 if raises else 200)
    assert [failure.type for failure in tracebacks] == [ZeroDivisionError] * raises
    tracebacks.clear()
    assert logic.made[0].seen == (["MESSAGE"] if raises else ["MESSAGE", "TERM local"])
    lab.check_empty()
