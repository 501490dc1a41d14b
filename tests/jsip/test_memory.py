"""Memory: what is held for a user counts, and too much of it is refused. docs/jsip.md section 6, "Turned away"."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from random import Random
from sys import getsizeof
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gortc.admission.limits import Limits
from gortc.jsip.gate import Guest
from gortc.jsip.memory import (
    COLLECT_EVERY,
    COLLECT_SHARE,
    EFFORT,
    LEG,
    MESSAGE,
    SESSION,
    Account,
    Held,
    Memory,
    effort,
    weigh,
    weigh_names,
)
from gortc.jsip.message import Request
from gortc.service.task import Task
from gortc.testing import User
from tests.jsip.kit import Stage
from tests.jsip.test_gate import guest

LARGE = "x" * 10_000
TOO_MUCH = ("no memory",)


def limits(**what: Any) -> Limits:
    """No rates, and little memory."""
    return Limits(**{"methods": {}, "requests": None, "memory": 1_000_000, "memory_connection": 1, **what})


def held(user: User) -> int:
    """How many bytes are held for it."""
    account = user.channel.account
    assert account is not None
    return account.held


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Alice and bob, for whom 50 kB may be held each."""
    with Stage(limits=limits(memory_user=50_000)) as made:
        for name in ("alice", "bob"):
            guest(made.person(name))
        yield made
        made.probe.messages.clear()
        made.sent.clear()
        made.probe.reactions.clear()
        assert made.node.channels.memory.held == 0
        made.forget()


# what counts, and how long


@pytest.mark.proves("D-26")
def test_a_request_counts_until_it_is_answered(stage: Stage) -> None:
    alice = stage.person("alice")
    stage.play("alice INVITE", "service 200", "alice ACK")
    before = held(alice)
    stage.probe.reactions["INFO"] = lambda task, request: None
    stage.play(f"alice INFO {LARGE}")
    assert held(alice) >= before + len(LARGE) + MESSAGE
    stage.play("service 200")
    stage.probe.messages.pop()
    assert held(alice) == before
    stage.play("alice BYE")


@pytest.mark.proves("D-26")
def test_a_request_counts_as_long_as_a_service_keeps_it(stage: Stage) -> None:
    """It has its answer, and lives all the same."""
    alice = stage.person("alice")
    kept: list[Request] = []
    stage.probe.reactions["MESSAGE"] = lambda task, request: kept.append(request)
    stage.play(f"alice MESSAGE {LARGE}", "service 200")
    stage.probe.messages.clear()
    assert held(alice) >= len(LARGE)
    kept.clear()
    assert held(alice) == 0


@pytest.mark.proves("D-26")
def test_a_call_counts_until_it_is_over(stage: Stage) -> None:
    """Its instance has its offer."""
    alice = stage.person("alice")
    stage.play(f"alice INVITE {LARGE}", "service 200", "alice ACK")
    stage.probe.messages.clear()
    assert held(alice) >= len(LARGE)
    stage.play("alice BYE")
    stage.probe.messages.clear()
    assert held(alice) == 0


@pytest.mark.proves("D-26")
@pytest.mark.parametrize("data", [b"nonsense", b'{"Type":"INVITE"}', b"[]", b'{"Type": "RESPONSE", "Code": 200}'])
def test_what_is_no_message_does_not(stage: Stage, data: bytes) -> None:
    alice = stage.person("alice")
    alice.send(data)
    assert held(alice) == 0
    stage.node.journal.counts.clear()


@pytest.mark.proves("D-26")
def test_responses_count_as_well(stage: Stage) -> None:
    """As long as the service keeps one."""
    bob = stage.person("bob")
    stage.dial("bob")
    stage.probe.messages.clear()
    stage.play(f"bob 180 INVITE {LARGE}")
    assert held(bob) >= len(LARGE)
    stage.probe.messages.clear()
    assert held(bob) < len(LARGE)
    stage.play("bob 486 INVITE", "bob ACK")
    stage.node.journal.counts.clear()


# too much


@pytest.mark.proves("D-26")
def test_too_much_is_refused(stage: Stage) -> None:
    """A further request gets 503, in a dialogue and to open one; what ends something is taken; when there is room
    again, so is the next."""
    alice, bob = stage.person("alice"), stage.person("bob")
    stage.play("alice INVITE", "service 200", "alice ACK")
    for _ in range(5):
        stage.play(f"alice INFO {LARGE}")
    refused = alice.inbox[-1]
    assert (refused["Code"], refused["Retry-After"], refused["Reason"]) == (503, 1, "too much of yours waits")
    other = alice.open("MESSAGE", "service", LARGE)
    other.expect(503)
    assert bob.open("MESSAGE", "service", LARGE).user.inbox == []
    alice.inbox.clear()
    stage.play("alice BYE")
    assert [message["Code"] for message in alice.inbox if message["CSeq"] == 8] == [200]
    stage.probe.messages.clear()
    stage.advance(5)  # bob's is answered 408
    stage.probe.reactions["MESSAGE"] = lambda task, request: task.answer(request, 200)
    alice.open("MESSAGE", "service", LARGE).expect(200)
    stage.counted(*TOO_MUCH * 3)


@pytest.mark.proves("D-26")
@pytest.mark.parametrize("who", [None, Guest("b.example", asserted="b.example")])
def test_who_has_no_limits_has_none_of_memory(who: Guest | None) -> None:
    with Stage(limits=limits(memory_user=1)) as stage:
        alice = stage.person("alice")
        alice.channel.meet(who)
        stage.probe.reactions["MESSAGE"] = lambda task, request: task.answer(request, 200)
        for _ in range(3):
            alice.open("MESSAGE", "service", LARGE).expect(200)
        assert alice.channel.account is None
        assert stage.node.channels.memory.held == 0
        stage.forget()


# what is sent on


def passes_on(stage: Stage) -> None:
    """Each INFO of alice's goes to bob, whom she has called."""
    sent: list[Request] = []
    stage.probe.reactions["INVITE"] = lambda task, request: sent.append(task.open(stage.person("bob").name))

    def pass_on(task: Task, request: Request) -> None:
        task.request(sent[0].session, "INFO", request.body)
        task.answer(request, 200)

    stage.probe.reactions["INFO"] = pass_on
    stage.play("alice INVITE", "bob 200 INVITE")
    stage.probe.tasks[0].ack(sent[0])
    stage.play("service 200 INVITE", "alice ACK")


@pytest.mark.proves("D-27")
def test_what_is_sent_on_counts_as_its_senders(stage: Stage) -> None:
    """Until it is answered; when it is too much, the service gets a local 503, and the next request of the sender's
    does."""
    alice, bob = stage.person("alice"), stage.person("bob")
    passes_on(stage)
    stage.probe.messages.clear()
    mine, others = held(alice), held(bob)
    stage.play("alice INFO x")
    stage.probe.messages.clear()
    assert held(alice) >= mine + MESSAGE
    assert held(bob) == others
    stage.play("bob 200 INFO")
    stage.probe.messages.clear()
    assert held(alice) == mine
    account = alice.channel.account
    assert account is not None
    stage.forget()
    stage.probe.reactions["INFO"] = lambda task, request: [
        task.request(session, "INFO") for session in task.sessions for _ in range(40) if session.outgoing
    ]
    stage.play("alice INFO y")
    came = stage.lines.count("bob < INFO")
    assert 10 < came < 40
    assert stage.lines.count("service 503 INFO (local)") == 40 - came
    assert {message.get("Reason") for message in stage.probe.messages if message.code == 503} == {
        "too much waits to be answered"
    }
    stage.play("alice INFO z")
    assert alice.inbox[-1]["Code"] == 503
    stage.play("alice BYE")  # the service has not answered her INFO
    stage.node.journal.counts.clear()
    stage.advance(5)
    stage.probe.tasks[0].finish()
    stage.play("bob 200 BYE")


@pytest.mark.proves("D-26", "D-27")
@pytest.mark.parametrize("method", ["INFO", "BYE"])
def test_a_copy_keeps_what_it_has_of_the_original(stage: Stage, method: str) -> None:
    """That was answered long ago; but its Body is the copy's, too."""
    alice = stage.person("alice")
    passes_on(stage)
    stage.probe.reactions["BYE"] = lambda task, bye: [
        task.request(session, "BYE", bye.body) for session in task.sessions if session.outgoing
    ]
    stage.play(f"alice {method} {LARGE}")
    stage.probe.messages.clear()
    assert held(alice) >= len(LARGE) + MESSAGE
    stage.play(f"bob 200 {method}")
    stage.probe.messages.clear()
    stage.probe.reactions.clear()  # they know the legs, and those how they have ended
    assert held(alice) < len(LARGE)
    if method == "INFO":
        stage.play("alice BYE")
    stage.probe.tasks[0].finish()
    if method == "INFO":
        stage.play("bob 200 BYE")


@pytest.mark.proves("D-27")
def test_a_leg_is_its_callers(stage: Stage) -> None:
    """Though it is opened because another one has refused."""
    alice, bob = stage.person("alice"), stage.person("bob")
    agents = [stage.person("bob").name, stage.person("eve").name]

    def ring(task: Task, message: Any) -> None:
        task.open(agents.pop(0))

    stage.probe.reactions["INVITE"] = stage.probe.reactions["486 INVITE"] = ring
    stage.play("alice INVITE")
    before = held(alice)
    stage.play("bob 486 INVITE", "bob ACK")
    stage.probe.messages.clear()
    assert held(bob) == 0
    assert held(alice) == before
    stage.probe.reactions.clear()
    stage.play("eve 486 INVITE", "eve ACK")
    stage.probe.tasks[0].finish()
    stage.play("alice ACK")
    stage.node.journal.counts.clear()


@pytest.mark.proves("D-26")
def test_what_has_ended_it_counts_until_it_is_over(stage: Stage) -> None:
    """A CANCEL is never refused; what it says is kept until its INVITE's ACK has come."""
    alice = stage.person("alice")
    stage.play("alice INVITE", f"alice CANCEL {LARGE}")
    stage.probe.messages.clear()
    assert held(alice) >= len(LARGE)
    stage.play("alice ACK")
    stage.probe.messages.clear()
    assert held(alice) == 0


@pytest.mark.proves("D-27")
def test_what_nobody_has_asked_for_counts_as_that_of_who_gets_it(stage: Stage) -> None:
    """A timer's, or of somebody who has no limits."""
    bob = stage.person("bob")
    stage.dial("bob")
    stage.sent.clear()
    stage.probe.messages.clear()
    assert held(bob) >= MESSAGE
    stage.play("bob 486 INVITE", "bob ACK")
    stage.node.journal.counts.clear()


@pytest.mark.proves("D-27")
def test_a_refresh_of_the_stacks_counts_as_nobodys(stage: Stage) -> None:
    bob = stage.person("bob")
    stage.dial("bob")
    stage.play("bob 200 INVITE", "service ACK")
    stage.probe.messages.clear()
    before = held(bob)
    stage.advance(201)
    assert stage.lines[-1] == "bob < UPDATE"
    assert held(bob) == before
    stage.play("bob 200 UPDATE", "service BYE", "bob 200 BYE")


@pytest.mark.proves("D-26")
def test_a_session_counts_until_it_is_over(stage: Stage) -> None:
    """With its names, though its instance has gone, and its first message: who hangs up need not answer our BYE."""
    alice = stage.person("alice")
    talk = alice.open("INVITE", "service", LARGE, From="\U0001f600" * 1000, To="\U0001f600" * 1000)
    stage.play("service 200")
    talk.expect(200)
    talk.send("ACK", RelatedID=1)
    stage.probe.tasks[0].finish()
    stage.probe.messages.clear()
    session = alice.channel.sessions[talk.id]
    assert held(alice) >= SESSION + getsizeof(session.caller) + getsizeof(session.callee)
    assert held(alice) < SESSION + 20_000
    talk.reply(200, to=talk.expect("BYE"))
    del session
    assert held(alice) == 0
    alice.inbox.clear()


@pytest.mark.proves("D-27")
def test_a_leg_counts_until_it_is_over(stage: Stage) -> None:
    """As its caller's, who has gone; one that nobody has asked for, as that of whom it calls."""
    alice, bob = stage.person("alice"), stage.person("bob")
    name = "\U0001f600" * 1000
    stage.probe.reactions["INVITE"] = lambda task, request: task.open(bob.name, caller=name, callee=name)
    stage.play("alice INVITE")
    leg = next(iter(bob.channel.sessions.values())).transactions[1].request
    stage.play("bob 200 INVITE")
    stage.probe.tasks[0].ack(leg)
    stage.play("service 200 INVITE", "alice ACK", "alice BYE")
    stage.probe.tasks[0].finish()
    stage.probe.messages.clear()
    del leg
    assert not alice.channel.sessions
    assert held(alice) >= LEG + getsizeof(name)
    stage.play("bob 200 BYE")
    assert held(alice) == 0
    stage.dial("bob")
    stage.sent.clear()
    stage.probe.messages.clear()
    assert held(bob) >= LEG + MESSAGE
    stage.play("bob 486 INVITE", "bob ACK")
    stage.node.journal.counts.clear()


# the rule


def test_something_is_left_for_whoever_comes() -> None:
    """However many take what they may, all together hold no more than there is."""
    memory = Memory(Limits(memory=10_000_000, memory_connection=1, memory_user=4_000_000))
    accounts, kept = [], []
    for _ in range(200):
        account = Account(memory)
        accounts.append(account)
        while True:
            more = account.hold(1000)
            if account.is_over():
                break
            kept.append(more)
        del more
        assert memory.held < memory.most
        assert memory.share >= 1_000
    assert accounts[0].held == pytest.approx(2_000_000, rel=0.01)  # a quarter of what it left
    assert memory.held == sum(account.held for account in accounts)
    kept.clear()
    assert memory.held == 0


def test_a_connection_brings_its_own() -> None:
    memory = Memory(Limits(memory=1_000_000, memory_connection=10_000))
    memory.connections = 50
    assert memory.most == 1_500_000
    account, other = Account(memory), Account(memory)
    kept = [account.hold(1_500_000), other.hold(10_000)]
    assert account.is_over()
    assert not other.is_over()
    kept.append(other.hold(1))
    assert other.is_over()
    memory.configure(Limits(memory=2_000_000))
    assert memory.share == (2_000_000 + 50 * 16384 - 1_510_001) // 4
    kept.clear()


def test_it_is_given_back_with_whatever_has_it() -> None:
    gc.disable()
    try:
        account = Account(Memory(Limits()))
        held = [account.hold(5), account.hold(7)]
        held[0].add(3)
        assert account.held == account.memory.held == 15
        held.pop()
        assert account.held == account.memory.held == 8
        held[0].add(-8)
        assert account.held == 0
        held.clear()
        assert account.held == account.memory.held == 0
    finally:
        gc.enable()


class Knot:
    """Something in a cycle."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.self = self


@pytest.fixture
def no_collector() -> Iterator[None]:
    """It does not come by itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


REFUSED: dict[str, Any] = {
    "is_over": lambda account: account.is_over(),
    "is_half_full": lambda account: account.is_half_full(),
    "is_scarce": lambda account: account.memory.is_scarce(),
}


@pytest.mark.proves("D-26")
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("how", REFUSED)
def test_nobody_is_refused_for_what_is_in_cycles(how: str) -> None:
    account = Account(Memory(Limits(memory=1_000_000, memory_connection=1), lambda: 0.0))
    Knot(account.hold(999_000))
    assert not REFUSED[how](account)
    assert account.memory.held == 0
    kept = account.hold(999_000)
    assert REFUSED[how](account)
    del kept


@pytest.mark.usefixtures("no_collector")
def test_the_collector_is_not_called_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in some seconds at the most, and less often where it takes long; where everybody has to wait for it, it
    looks no more at what is old."""
    now, took = [100.0], 0.01
    calls: list[float] = []
    generations: list[int] = []

    def collect(generation: int) -> None:
        calls.append(now[0])
        generations.append(generation)
        now[0] += took

    monkeypatch.setattr("gortc.jsip.memory.gc.collect", collect)
    account = Account(Memory(Limits(memory=1_000_000, memory_connection=1), lambda: now[0]))
    kept = account.hold(999_000)

    def wait() -> float:
        before, began = len(calls), now[0]
        while len(calls) == before:
            now[0] += 0.25
            assert account.is_over()
        return calls[-1] - began

    assert account.is_over()
    assert wait() == pytest.approx(COLLECT_EVERY, abs=0.3)
    took = 0.2
    wait()
    assert wait() == pytest.approx(COLLECT_SHARE * took, abs=0.5)
    took = 0.01
    wait()
    assert generations == [2, 2, 2, 1, 1]
    del kept


# how much it is


def real(value: Any) -> int:
    """So many bytes does a JSON value take that has been written."""
    orjson.dumps(value)
    seen: dict[int, int] = {}
    level = [value]
    while level:
        seen.update((id(one), getsizeof(one)) for one in level)
        inner = [[*one, *one.values()] if isinstance(one, dict) else one for one in level if type(one) in (dict, list)]
        level = [item for items in inner for item in items]
    return sum(seen.values())


CHAIN: list[Any] = []
for _ in range(90):
    CHAIN = [CHAIN]
BODIES = {
    "text": "x" * 60_000,
    "one emoji": "x" * 60_000 + "\U0001f600",
    "lists": [[]] * 20_000,
    "dicts": [{}] * 20_000,
    "small dicts": [{"": 0}] * 8_000,
    "chains": [CHAIN] * 300,
    "numbers": [1000] * 12_000,
    "texts": ["ab"] * 12_000,
    "emojis": ["\U0001f600"] * 8_000,
    "keys": {f"{at:x}": 1 for at in range(7_000)},
    "keys and numbers": {f"{at}": 1.5 for at in range(5_470)},
    "odd keys": {f"\xe9{at}": f"\xe9{at}" for at in range(4_000)},
    "\xe9": "\xe9" * 30_000,
    "chinese": "\u4e2d" * 20_000,
    "odd texts": ["\xe91"] * 8_000,
    "few": [[]] * 100,
}


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("body", BODIES)
def test_it_is_not_less_than_it_takes(body: str, escaped: bool) -> None:
    """Whatever JSON makes large."""
    import json

    data = json.dumps({"Body": BODIES[body]}, ensure_ascii=escaped, separators=(",", ":")).encode()
    headers = orjson.loads(data)
    assert weigh(data, headers, not isinstance(BODIES[body], str)) >= 0.8 * real(headers)


@pytest.mark.parametrize("number", [10, 60, 140, 1_000, 5_470, 7_000])
@pytest.mark.parametrize("value", [1000, 1.5, "\xe9"])
def test_many_headers_are(number: int, value: Any) -> None:
    data = orjson.dumps({f"{at:x}": value for at in range(number)})
    headers = orjson.loads(data)
    assert weigh(data, headers, False) >= real(headers)


@pytest.mark.parametrize("body", ["\U0001f600" + "x" * 900, "\xe9" * 400, [[]] * 50, [{"": 1.5}] * 15])
@pytest.mark.parametrize("escaped", [False, True])
def test_a_short_one_is(body: Any, escaped: bool) -> None:
    import json

    data = json.dumps({"Body": body}, ensure_ascii=escaped, separators=(",", ":")).encode()
    headers = orjson.loads(data)
    assert weigh(data, headers, False) >= real(headers)


ALPHABETS = ("abc", ":", "\xe9", "\u4e2d", "\U0001f600", "a\xe9")


def some_text(random: Random) -> str:
    """Of one kind of letters."""
    return "".join(random.choices(random.choice(ALPHABETS), k=random.randrange(40)))


def some_value(random: Random, depth: int) -> Any:
    """Any JSON."""
    kind = random.randrange(3 if depth == 0 else 5)
    if kind == 3:
        return [some_value(random, depth - 1) for _ in range(random.randrange(12))]
    if kind == 4:
        return {some_text(random): some_value(random, depth - 1) for _ in range(random.randrange(12))}
    return some_text(random) if kind == 0 else random.random() if kind == 1 else random.getrandbits(40)


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("separators", [(",", ":"), (" , ", " : "), (",", "\t:")])
def test_none_is(escaped: bool, separators: tuple[str, str]) -> None:
    """Whatever is in it, and however it was written."""
    import json

    for seed in range(50):
        random = Random(seed)
        made = {some_text(random): some_value(random, depth) for depth in (0, 1, 2, 3, 3, 3)}
        data = json.dumps(made, ensure_ascii=escaped, separators=separators).encode()
        headers = orjson.loads(data)
        assert weigh(data, headers, len(data) > 200) >= 0.8 * real(headers), made


def test_names_are_as_they_are_written() -> None:
    for name in ("alice@gortc.local", "\xe9" * 1000, "\u4e2d" * 1000, "\U0001f600" * 1000):
        size = weigh_names(name, "x")
        assert size >= real([name, "x"]) - getsizeof([name, "x"])
        assert size <= 2 * real([name, "x"])


def test_a_usual_message_is_not_overrated() -> None:
    """A user with many calls must not be refused for nothing."""
    data = orjson.dumps({"Type": "INVITE", "From": "alice@gortc.local", "Expire": 600, "Body": "v=0\r\n" * 500})
    assert weigh(data, orjson.loads(data), False) <= MESSAGE + 2 * len(data)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_effort(brackets: int, texts: int) -> None:
    """Short messages are one each; what is nested takes longer by far."""
    data = b'{"Body":[' + b"[]," * brackets + b'"xx",' * texts + b"1]}"
    assert 1 <= effort(data) <= 1 + len(data) * 41 // EFFORT
    assert effort(data) >= effort(data.replace(b"[],", b"111,"))
    if len(data) <= 1024:
        assert effort(data) == 1
