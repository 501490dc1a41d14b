"""The gate: who is turned away, with which answer. docs/jsip.md section 6, "Turned away"."""

from __future__ import annotations

from typing import Any

import pytest

from gortc.admission.limits import Limits, Rate
from gortc.jsip.gate import Guest
from gortc.service.task import NOBODY
from gortc.testing import User
from tests.jsip.kit import Stage


def guest(user: User, **what: Any) -> Guest:
    """`user` is a stranger."""
    made = Guest(user.name, **{"address": "203.0.113.5", "limited": True, **what})
    user.channel.meet(made)
    return made


def ask(user: User, method: str, dialogue: str, cseq: int = 1, **headers: Any) -> dict[str, Any] | None:
    """Send a request; its answer, where there is one at once."""
    user.inbox.clear()
    made = {"Type": method, "Request-URI": "service@gortc.local", "From": user.name, "To": "service@gortc.local"}
    user.send({**made, "DialogueID": dialogue, "CSeq": cseq, **headers})
    return user.inbox[-1] if user.inbox else None


def limits(**what: Any) -> Limits:
    """Wide ones but for these."""
    return Limits(**{"methods": {}, "requests": None, **what})


STARTERS = ["INVITE", "MESSAGE", "REGISTER", "OPTIONS", "SUBSCRIBE"]


@pytest.mark.proves("D-19")
@pytest.mark.parametrize("method", STARTERS)
def test_a_user_asks_too_often_by_one_method(method: str) -> None:
    """The other methods are not touched, nor other users."""
    with Stage(limits=limits(methods={method: Rate(0.5, 2)})) as stage:
        alice, bob = stage.person("alice"), stage.person("bob")
        guest(alice)
        guest(bob)
        stage.probe.reactions[method] = lambda task, request: task.answer(request, 486)
        for number in range(2):
            answer = ask(alice, method, f"d{number}")
            assert answer is not None
            assert answer["Code"] == 486
        answer = ask(alice, method, "d3")
        assert answer is not None
        assert (answer["Code"], answer["Retry-After"], answer["Reason"]) == (503, 2, "you ask too often")
        other = next(one for one in STARTERS if one != method)
        stage.probe.reactions[other] = lambda task, request: task.answer(request, 200 if other != "INVITE" else 486)
        assert ask(alice, other, "d4")["Code"] != 503  # type: ignore[index]
        assert ask(bob, method, "d5")["Code"] == 486  # type: ignore[index]
        stage.advance(2)
        assert ask(alice, method, "d6")["Code"] == 486  # type: ignore[index]
        stage.advance(32)
        stage.counted("too many requests")
        stage.forget()


@pytest.mark.proves("D-19")
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "MESSAGE", "NOTIFY", "INVITE"])
def test_in_a_dialogue_too(method: str) -> None:
    """The call goes on, and its BYE is taken."""
    rates = {method: Rate(0.1, 2), "INVITE": Rate(0.1, 3 if method == "INVITE" else 1)}
    with Stage(limits=limits(methods=rates)) as stage:
        alice = stage.person("alice")
        guest(alice)
        stage.play("alice INVITE", "service 200", "alice ACK")
        talk = stage.talks["alice"]
        stage.probe.reactions[method] = lambda task, request: task.answer(request, 200)
        codes = []
        for _ in range(3):
            request = talk.send(method, body="x")
            codes.append(alice.inbox[-1]["Code"])
            if method == "INVITE":
                talk.send("ACK", headers={"RelatedID": request["CSeq"]})
        assert codes == [200, 200, 503]
        stage.play("alice BYE")
        assert alice.inbox[-1]["Code"] == 200
        stage.node.journal.counts.pop("stray ACK", None)
        stage.counted("too many requests")
        stage.forget()


@pytest.mark.proves("D-19")
def test_what_ends_something_is_always_taken() -> None:
    with Stage(limits=limits(methods={"INVITE": Rate(0.1, 1)})) as stage:
        guest(stage.person("alice"))
        stage.play("alice INVITE", "alice CANCEL", "alice ACK")
        assert "alice < 487 INVITE" in stage.lines
        stage.forget()


@pytest.mark.proves("D-20")
def test_an_address_asks_too_often() -> None:
    """Whoever is there, and whatever they ask for; another address is not touched. Those without one count together."""
    with Stage(limits=limits(requests=Rate(1, 3))) as stage:
        users = [stage.person(name) for name in ("alice", "bob", "carol", "dave")]
        for user, address in zip(users, ("203.0.113.5", "203.0.113.5", "203.0.113.6", ""), strict=True):
            guest(user, address=address)
        stage.probe.reactions["MESSAGE"] = lambda task, request: task.answer(request, 200)
        alice, bob, carol, dave = users
        codes = [ask(user, "MESSAGE", f"d{at}") for at, user in enumerate((alice, bob, alice, bob, carol, *[dave] * 5))]
        assert [answer and answer["Code"] for answer in codes] == [200, 200, 200, 503, 200, *[200] * 3, *[503] * 2]
        stage.counted(*["too many requests"] * 3)
        stage.forget()


@pytest.mark.proves("D-21")
def test_too_many_dialogues() -> None:
    """One that has ended makes room for another."""
    with Stage(limits=limits(dialogues=2)) as stage:
        alice = stage.person("alice")
        guest(alice)
        for name in ("d1", "d2"):
            assert ask(alice, "INVITE", name) is None
        answer = ask(alice, "MESSAGE", "d3")
        assert answer is not None
        assert (answer["Code"], answer["Reason"]) == (503, "you have too many dialogues")
        assert "Retry-After" not in answer
        ask(alice, "CANCEL", "d1", 2, RelatedID=1)
        ask(alice, "ACK", "d1", 3, RelatedID=1)
        assert ask(alice, "INVITE", "d4") is None
        for name in ("d2", "d4"):
            ask(alice, "CANCEL", name, 2, RelatedID=1)
            ask(alice, "ACK", name, 3, RelatedID=1)
        stage.counted("too many dialogues")
        stage.forget()


def rings(stage: Stage, callee: str) -> None:
    """The service rings `callee` for each call, and passes on that she rings and has answered."""
    stage.probe.reactions["INVITE"] = lambda task, request: task.open(stage.person(callee).name)
    stage.probe.reactions["480 INVITE (local)"] = lambda task, response: task.answer(
        stage.received("INVITE"), 480, headers={"Reason": response.get("Reason")}
    )


def everybody_leaves(stage: Stage) -> None:
    """And nothing is left of them."""
    for user in stage.people.values():
        user.leave()
    stage.advance(300)
    stage.node.journal.counts.clear()
    stage.forget()


@pytest.mark.proves("D-21")
def test_those_that_others_have_opened_are_not_ones_own() -> None:
    """Whom others call may call, though they ring without an end."""
    with Stage(limits=limits(dialogues=3, called=50)) as stage:
        bob = stage.person("bob")
        guest(bob)
        for name in ("alice", "carol", "dave", "erin"):
            guest(stage.person(name))
            rings(stage, "bob")
            stage.person(name).open("INVITE", "service")
        assert len(bob.channel.sessions) == 4
        stage.probe.reactions.clear()
        stage.probe.reactions["MESSAGE"] = lambda task, request: None
        for at in range(3):
            assert ask(bob, "MESSAGE", f"d{at}") is None
        assert ask(bob, "MESSAGE", "d3")["Code"] == 503  # type: ignore[index]
        stage.counted("too many dialogues")
        everybody_leaves(stage)


@pytest.mark.proves("D-25")
def test_so_many_of_one_caller_ring_at_once() -> None:
    """A further call comes back as 480. Another caller's rings; and so does one more when an earlier one is over."""
    with Stage(limits=limits(ringing=2)) as stage:
        bob, alice, carol = (stage.person(name) for name in ("bob", "alice", "carol"))
        for user in (bob, alice, carol):
            guest(user)
        rings(stage, "bob")
        first, second = alice.open("INVITE", "service"), alice.open("INVITE", "service")
        refused = alice.open("INVITE", "service").expect(480)
        assert refused["Reason"] == "too many others ask for this user"
        assert carol.open("INVITE", "service").user.inbox == []
        assert sum(message["Type"] == "INVITE" for message in bob.inbox) == 3
        stage.counted("besieged")
        bob.answering().reply(200)  # who talks does not ring
        alice.open("INVITE", "service").expect_nothing()
        alice.open("INVITE", "service").expect(480)
        stage.counted("besieged")
        first.send("CANCEL", headers={"RelatedID": 1})
        second.send("CANCEL", headers={"RelatedID": 1})
        everybody_leaves(stage)


@pytest.mark.proves("D-25")
def test_so_many_others_have_dialogues_with_one_user() -> None:
    """Whatever they are: calls that ring or talk, messages that are not answered."""
    with Stage(limits=limits(called=4, ringing=2)) as stage:
        bob = stage.person("bob")
        for name in ("bob", "alice", "carol", "dave", "erin"):
            guest(stage.person(name))
        stage.probe.reactions["MESSAGE"] = lambda task, request: None
        bob.open("MESSAGE", "service").expect_nothing()  # his own, which does not count
        stage.probe.reactions["MESSAGE"] = lambda task, request: task.open(bob.name, "MESSAGE")
        stage.person("alice").open("MESSAGE", "service").expect_nothing()
        bob.expect("MESSAGE")
        rings(stage, "bob")
        for name in ("alice", "carol", "dave"):
            stage.person(name).open("INVITE", "service").expect_nothing()
        stage.probe.tasks[-2].finish()  # what nobody rings for any more is there until he says so
        stage.forget()
        stage.person("erin").open("INVITE", "service").expect(480)
        stage.counted("besieged")
        bob.answering().reply(486)
        stage.person("erin").open("INVITE", "service").expect_nothing()
        stage.counted()
        everybody_leaves(stage)


@pytest.mark.proves("D-25")
def test_who_has_as_many_as_are_left_gets_no_more() -> None:
    """Though all are answered at once: one has half of them, two a third each, and another caller gets through."""
    with Stage(limits=limits(called=12, ringing=12)) as stage:
        bob = stage.person("bob")
        for name in ("bob", "alice", "carol", "dave"):
            guest(stage.person(name))
        rings(stage, "bob")

        def call(name: str) -> bool:
            stage.person(name).open("INVITE", "service")
            rung = bool(bob.inbox)
            if rung:
                bob.answering().reply(200)
            return rung

        assert [call("alice") for _ in range(8)] == [True] * 6 + [False] * 2
        assert [call("carol") for _ in range(4)] == [True] * 3 + [False]
        assert call("dave")
        stage.counted(*["besieged"] * 3)
        everybody_leaves(stage)


@pytest.mark.proves("D-25")
def test_what_rings_for_nobody_is_no_callers() -> None:
    """A service calls on its own behalf, as often as it likes, but for what anybody may."""
    with Stage(limits=limits(called=5, ringing=1)) as stage:
        bob = stage.person("bob")
        guest(bob)
        for _ in range(6):
            stage.dial("bob")
        assert sum(message["Type"] == "INVITE" for message in bob.inbox) == 5
        stage.counted("besieged")
        assert NOBODY.asker is None
        assert NOBODY.payer is None
        everybody_leaves(stage)


@pytest.mark.proves("D-25")
@pytest.mark.parametrize("free", ["bob", "alice"])
def test_nodes_call_and_are_called_as_often_as_they_like(free: str) -> None:
    """A gateway has many callers; only those that it calls have limits, all together."""
    with Stage(limits=limits(ringing=1, called=4)) as stage:
        for name in ("bob", "alice"):
            if name != free:
                guest(stage.person(name))
        rings(stage, "bob")
        codes = [stage.person("alice").open("INVITE", "service").user.inbox for _ in range(6)][-1]
        assert [message["Code"] for message in codes if "Code" in message] == ([480] * 2 if free == "alice" else [])
        stage.counted(*["besieged"] * (2 if free == "alice" else 0))
        everybody_leaves(stage)


@pytest.mark.proves("C-112")
@pytest.mark.parametrize("limited", [True, False])
def test_who_may_open_nothing_and_has_no_rate(limited: bool) -> None:
    """It is told so each time."""
    with Stage(limits=limits()) as stage:
        alice = stage.person("alice")
        guest(alice, opens=False, limited=limited)
        assert [ask(alice, "MESSAGE", f"d{at}")["Code"] for at in range(3)] == [403] * 3  # type: ignore[index]
        stage.counted(*["not invited"] * 3)
        stage.forget()


@pytest.mark.proves("D-22")
def test_who_does_not_wait_is_not_read_from() -> None:
    """The first one too many is told; one more before its time, and it is not listened to, for a second at most."""
    with Stage(limits=limits(methods={"MESSAGE": Rate(0.25, 1)})) as stage:
        alice = stage.person("alice")
        guest(alice)
        hushed: list[float] = []
        alice.channel.connection.hush = hushed.append  # type: ignore[method-assign, union-attr]
        stage.probe.reactions["MESSAGE"] = lambda task, request: task.answer(request, 200)
        ask(alice, "MESSAGE", "d1")
        assert ask(alice, "MESSAGE", "d2")["Retry-After"] == 4  # type: ignore[index]
        assert hushed == []
        stage.advance(1)
        assert ask(alice, "MESSAGE", "d3")["Code"] == 503  # type: ignore[index]
        assert hushed == [1.0]
        stage.advance(3)
        assert ask(alice, "MESSAGE", "d4")["Code"] == 200  # type: ignore[index]
        assert ask(alice, "MESSAGE", "d5")["Code"] == 503  # type: ignore[index]
        assert hushed == [1.0]
        stage.counted(*["too many requests"] * 3)
        stage.forget()


@pytest.mark.plain
@pytest.mark.proves("C-70", "D-19", "D-22")
def test_who_is_refused_for_its_from_has_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as any other, and what is beyond its rate is not looked at: to read a From takes its time."""
    looked: list[str] = []
    is_from = Guest.is_from
    monkeypatch.setattr(Guest, "is_from", lambda self, caller: looked.append(caller) or is_from(self, caller))  # type: ignore[func-returns-value]
    with Stage(limits=limits(methods={"MESSAGE": Rate(0.25, 2)}, requests=Rate(1, 3))) as stage:
        alice, bob = stage.person("alice"), stage.person("bob")
        for user in (alice, bob):
            guest(user, own_from=True)
        hushed: list[float] = []
        alice.channel.connection.hush = hushed.append  # type: ignore[method-assign, union-attr]
        answers = [ask(alice, "MESSAGE", f"d{at}", From=f"a{at}@elsewhere") for at in range(4)]
        assert [answer and answer["Code"] for answer in answers] == [403, 403, 503, 503]
        assert looked == ["a0@elsewhere", "a1@elsewhere"]
        assert hushed == [1.0]
        codes = [ask(bob, "OPTIONS", f"d{at}", From="x")["Code"] for at in range(2)]  # type: ignore[index]
        assert codes == [403, 503]  # they are at the same address
        stage.counted(*["false From"] * 3, *["too many requests"] * 3)
        stage.forget()


@pytest.mark.proves("C-112", "D-22")
def test_who_may_open_nothing_is_not_read_from_either() -> None:
    """As often as it may open something, it is only refused; and it costs nothing of what it may."""
    with Stage(limits=limits(methods={"MESSAGE": Rate(0.25, 2)}, requests=Rate(1, 3))) as stage:
        alice = stage.person("alice")
        guest(alice, opens=False)
        hushed: list[float] = []
        alice.channel.connection.hush = hushed.append  # type: ignore[method-assign, union-attr]
        assert [ask(alice, "MESSAGE", f"d{at}")["Code"] for at in range(4)] == [403] * 4  # type: ignore[index]
        assert hushed == [1.0, 1.0]
        guest(alice)
        stage.probe.reactions["MESSAGE"] = lambda task, request: task.answer(request, 200)
        assert ask(alice, "MESSAGE", "d5")["Code"] == 200  # type: ignore[index]
        stage.counted(*["not invited"] * 4)
        stage.advance(10)
        stage.forget()


@pytest.mark.proves("D-23")
@pytest.mark.parametrize("admit", [0.5, 0.25, 0.01])
def test_a_part_of_new_sessions(admit: float) -> None:
    """And what runs goes on, whoever it is, as before."""
    with Stage(retry_after=3) as stage:
        alice, bob = stage.person("alice"), stage.person("bob")
        stage.play("bob INVITE", "service 200", "bob ACK")
        stage.node.gate.open(round(200 * admit))
        stage.probe.reactions["MESSAGE"] = lambda task, request: task.answer(request, 200)
        answers = [ask(alice, "MESSAGE", f"d{number}") for number in range(200)]
        codes = [answer and answer["Code"] for answer in answers]
        assert codes.count(200) == 200 * admit
        assert codes.count(503) == 200 - 200 * admit
        waits = {answer["Retry-After"] for answer in answers if answer and answer["Code"] == 503}
        assert waits <= {1, 2, 3, 4, 5, 6}
        assert len(waits) > 1  # not all shall come back at the same time
        stage.probe.reactions["INFO"] = lambda task, request: task.answer(request, 200)
        stage.talks["bob"].send("INFO")
        assert bob.inbox[-1]["Code"] == 200
        stage.play("bob BYE")
        stage.node.gate.open()
        assert ask(alice, "MESSAGE", "last")["Code"] == 200  # type: ignore[index]
        stage.counted(*["overload"] * codes.count(503))
        stage.forget()


@pytest.mark.proves("C-69")
@pytest.mark.parametrize("asserted", ["alice@gortc.local", "", None])
def test_who_is_asserted(asserted: str | None) -> None:
    """On all that it sends: requests and responses."""
    with Stage() as stage:
        alice = stage.person("alice")
        guest(alice, asserted=asserted, limited=False)
        wanted = {"alice@gortc.local": "alice@gortc.local", "": None, None: "somebody"}[asserted]
        spoofed: dict[str, Any] = {"P-Asserted-Identity": "somebody"}
        others: dict[str, Any] = {
            "p-asserted-identity": "king",
            " P-Asserted-IDENTITY": "queen",
        }  # to SIP it is the same
        ask(alice, "MESSAGE", "d1", **spoofed, **others)
        headers = stage.probe.messages[-1].headers
        assert [name for name in others if name in headers] == ([] if asserted is not None else list(others))
        stage.play("service 200")
        stage.probe.reactions["MESSAGE"] = lambda task, request: task.open("alice@gortc.local", "OPTIONS") and None
        stage.person("bob").send(
            {"Type": "MESSAGE", "Request-URI": "x@gortc.local", "From": "bob", "To": "x", "DialogueID": "d2", "CSeq": 1}
        )
        options = alice.inbox[-1]
        answer = {"Type": "RESPONSE", "Code": 200, "P-Asserted-Identity": "somebody"}
        alice.send({**answer, **{name: options[name] for name in ("From", "To", "DialogueID", "CSeq")}})
        seen = [message for message in stage.probe.messages if message.method in ("MESSAGE", "OPTIONS")]
        said = [message.get("P-Asserted-Identity") for message in seen if message.session.channel is alice.channel]
        assert said == [wanted, wanted]
        stage.advance(10)
        stage.forget()


SPELLINGS = [
    "P-Asserted-Identity",
    "p-asserted-identity",
    " P-Asserted-IDENTITY\t",
    "P-Asserted-Identity:",
    "P_Asserted_Identity",
    "PAssertedIdentity",
    "P-A\u017fserted-Identity",
    "P-A\xdferted-Identity",
    "\uff30-Asserted-Identity",
    "P-Asserted\u200b-Identity",
    "X: y\r\nP-Asserted-Identity",
    "\u2170-P-Asserted-Identity",
]


@pytest.mark.proves("C-69")
@pytest.mark.parametrize("name", SPELLINGS)
def test_in_whatever_spelling(name: str) -> None:
    """It is taken off what a user sends, and off what goes to whom it is not told."""
    with Stage() as stage:
        alice, bob = stage.person("alice"), stage.person("bob")
        guest(alice, asserted="", limited=False)
        bob.channel.trusted = False
        stage.probe.reactions["MESSAGE"] = lambda task, request: task.answer(request, 200)
        king: dict[str, Any] = {name: "king"}
        others: dict[str, Any] = {"P-Asserted": "x", "Identity": "y", "Content-Disposition": "z"}
        ask(alice, "MESSAGE", "d1", **king)
        assert "king" not in str(stage.probe.messages[0].headers)
        ask(alice, "MESSAGE", "d2", **others)
        assert {**stage.probe.messages[-2].headers, **others} == stage.probe.messages[-2].headers
        stage.dial("bob", "MESSAGE", headers=king)
        assert "king" not in str(bob.inbox[0])
        stage.play("bob 200")
        stage.forget()


@pytest.mark.proves("C-70")
@pytest.mark.parametrize(
    ("caller", "good"),
    [
        ("alice@gortc.local", True), ("sip:alice@gortc.local", True), ("alice@GORTC.local", True),
        ("SIPS:alice@gortc.LOCAL", True), ("%61lic%65@gortc.local", True), ("alice@gortc.local;x=1", False),
        ("sip:alice@gortc.local;x", False), ("alice@gortc.local:5060", False), ("pbx:alice@gortc.local", False),
        ("tel:alice@gortc.local", False), ("<sip:alice@gortc.local>", False), ("sip:alice%40gortc.local", False),
        ("alice%00@gortc.local", False), ("alice@gortc\u3002local", False), ("alice@gortc.loca\u017f", False),
        ("alice@gortc.local.", False), ("Alice@gortc.local", False), ("bob@gortc.local", False), ("alice", False),
        ("alice@gortc.local.evil.example", False), ("Alice <alice@gortc.local>", False), ("@", False),
    ],
)  # fmt: skip
def test_from_must_be_ones_own(caller: str, good: bool) -> None:
    with Stage() as stage:
        alice = stage.person("alice")
        guest(alice, own_from=True)
        stage.probe.reactions["MESSAGE"] = lambda task, request: task.answer(request, 200)
        answer = ask(alice, "MESSAGE", "d1", From=caller)
        assert answer is not None
        assert answer["Code"] == (200 if good else 403)
        if not good:
            assert answer["Reason"] == "From must be alice@gortc.local"
            stage.counted("false From")
        stage.forget()
