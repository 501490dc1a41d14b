"""Syntax: each bad input with its answer, or none. docs/jsip.md section 2."""

from __future__ import annotations

import json
import sys
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gortc.jsip.message import Request, Response
from gortc.jsip.syntax import DEPTH_MAX, HALVED, BadMessage, depth, read
from tests.jsip.kit import Stage

GOOD: dict[str, Any] = {
    "Type": "INVITE", "Request-URI": "service@gortc.local", "From": "alice@gortc.local", "To": "service@gortc.local",
    "DialogueID": "d1", "CSeq": 1,
}  # fmt: skip
RESPONSE: dict[str, Any] = {
    "Type": "RESPONSE", "Code": 200, "From": "alice@gortc.local", "To": "bob@gortc.local", "DialogueID": "d1",
    "CSeq": 1,
}  # fmt: skip
CSEQ_MAX = 2**53 - 1


def but(**changes: Any) -> bytes:
    """A good INVITE but for some headers; None takes one away, `_` in a name is `-`."""
    return changed(GOOD, changes)


def response_but(**changes: Any) -> bytes:
    """The same of a response."""
    return changed(RESPONSE, changes)


def changed(message: dict[str, Any], changes: dict[str, Any]) -> bytes:
    headers = {**message, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return orjson.dumps({name: value for name, value in headers.items() if value is not None})


def raw(**changes: str) -> bytes:
    """A good INVITE with the JSON text of a header as it is given."""
    texts = {name: orjson.dumps(value).decode() for name, value in GOOD.items()}
    texts |= {name.replace("_", "-"): text for name, text in changes.items()}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}").encode()


def reply(data: bytes) -> dict[str, Any] | None:
    """The one answer to a frame; None where there is none, and the service has seen nothing."""
    with Stage() as stage:
        alice = stage.person("alice")
        alice.send(data)
        stage.node.journal.counts.clear()
        assert len(alice.inbox) < 2
        for message in stage.probe.messages:
            stage.task.answer(message, 486)  # type: ignore[arg-type]
        stage.advance(10)
        stage.forget()
        return alice.inbox[0] if alice.inbox else None


DROPPED = {
    "nothing": b"",
    "not JSON": b"INVITE sip:bob SIP/2.0",
    "half": b'{"Type": "INVITE"',
    "more than one": b"{}{}",
    "NaN": raw(CSeq="NaN"),
    "Infinity": raw(CSeq="Infinity"),
    "a BOM": b"\xef\xbb\xbf{}",
    "a lone surrogate in a name": rb'{"\udfff": 1}',
    "30,000 levels of arrays": b"[" * 30_000,
    "30,000 levels, closed": b"[" * 30_000 + b"]" * 30_000,
    "30,000 levels of a Body": raw(Body="[" * 30_000 + "]" * 30_000),
    "10,000 levels of objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "an array": b"[1]",
    "a string": b'"INVITE"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "an empty object": b"{}",
    **{f"no {name}": but(**{name: None}) for name in ("From", "To", "DialogueID", "CSeq")},
    **{f"{name} empty": but(**{name: ""}) for name in ("From", "To", "DialogueID")},
    **{f"{name} a number": but(**{name: 7}) for name in ("From", "To", "DialogueID")},
    **{f"{name} null": raw(**{name: "null"}) for name in ("From", "To", "DialogueID")},
    **{f"{name} an array": but(**{name: ["x"]}) for name in ("From", "To", "DialogueID")},
    "CSeq 0": but(CSeq=0),
    "CSeq -1": but(CSeq=-1),
    "CSeq 1.5": but(CSeq=1.5),
    "CSeq text": but(CSeq="1"),
    "CSeq true": but(CSeq=True),
    "CSeq null": raw(CSeq="null"),
    "CSeq an object": but(CSeq={}),
    "CSeq 2^53": but(CSeq=2**53),
    "CSeq 2^53 as a float": raw(CSeq="9007199254740992.0"),
    "CSeq 2^64": raw(CSeq="18446744073709551616"),
    "CSeq 1e400": raw(CSeq="1e400"),
    "CSeq of 5,000 digits": raw(CSeq="1" * 5000),
    "an ACK without Request-URI": but(Type="ACK", Request_URI=None),
    "an ACK with a bad RelatedID": but(Type="ACK", RelatedID="x"),
    "an ACK with a bad Router": but(Type="ACK", Router=1),
    "a response without Code": response_but(Code=None),
    "a response with Code 99": response_but(Code=99),
    "a response with Code 700": response_but(Code=700),
    "a response with Code text": response_but(Code="200"),
    "a response with Code true": response_but(Code=True),
    "a response with Code 200.5": response_but(Code=200.5),
    "a response without CSeq": response_but(CSeq=None),
    "a response too deep": response_but(Body=orjson.loads("[" * 200 + "]" * 200)),
    "an unknown type, unreadable": but(Type="PUBLISH", CSeq=0),
}


@pytest.mark.proves("M-3", "M-5", "M-6", "M-7", "M-21", "M-27", "M-28", "M-29")
@pytest.mark.parametrize("data", DROPPED.values(), ids=DROPPED)
def test_dropped_counted_and_a_strike(stage: Stage, data: bytes) -> None:
    alice = stage.person("alice")
    alice.send(data)
    stage.counted("bad message")
    assert not alice.inbox
    for _ in range(19):
        alice.send(data)
    assert alice.closed == 1008
    stage.node.journal.counts.clear()


ANSWERED = {
    "no Type": (but(Type=None), "Type"),
    "Type a number": (but(Type=1), "Type"),
    "Type null": (raw(Type="null"), "Type"),
    "Type an array": (but(Type=["INVITE"]), "Type"),
    "no Request-URI": (but(Request_URI=None), "Request-URI"),
    "Request-URI a number": (but(Request_URI=1), "Request-URI"),
    "Request-URI no URI": (but(Request_URI="a b"), "Request-URI"),
    "Router a number": (but(Router=1), "Router"),
    "Router null": (raw(Router="null"), "Router"),
    "Router no URI": (but(Router=";;"), "Router"),
    "Expire text": (but(Expire="300"), "Expire"),
    "Expire negative": (but(Expire=-1), "Expire"),
    "Expire 1.5": (but(Expire=1.5), "Expire"),
    "Expire true": (but(Expire=True), "Expire"),
    "Expire null": (raw(Expire="null"), "Expire"),
    "Expire 2^53": (but(Expire=2**53), "Expire"),
    "Max-Forwards text": (but(Max_Forwards="70"), "Max-Forwards"),
    "Max-Forwards negative": (but(Max_Forwards=-1), "Max-Forwards"),
    "a CANCEL with RelatedID 0": (but(Type="CANCEL", RelatedID=0), "RelatedID"),
    "a CANCEL with RelatedID text": (but(Type="CANCEL", RelatedID="1"), "RelatedID"),
    "a CANCEL with RelatedID null": (raw(Type='"CANCEL"', RelatedID="null"), "RelatedID"),
    "200 levels of a Body": (raw(Body="[" * 200 + "]" * 200), "nested"),
    "200 levels of objects": (raw(Body='{"a":' * 200 + "1" + "}" * 200), "nested"),
}


@pytest.mark.proves("M-1", "M-2", "M-8", "M-9", "M-10", "M-11", "M-21", "M-23", "M-24", "M-26")
@pytest.mark.parametrize(("data", "reason"), ANSWERED.values(), ids=ANSWERED)
def test_answered_400_with_what_is_wrong(data: bytes, reason: str) -> None:
    answer = reply(data)
    assert answer is not None
    assert (answer["Type"], answer["Code"], answer["Desc"]) == ("RESPONSE", 400, "Bad Request")
    assert {name: answer[name] for name in ("From", "To", "DialogueID", "CSeq")} == {
        "From": "alice@gortc.local", "To": "service@gortc.local", "DialogueID": "d1", "CSeq": 1,
    }  # fmt: skip
    assert reason in answer["Reason"]


def spoilt(**headers: str) -> bytes:
    """GOOD as an old JSON.stringify writes it: whatever was cut off in the middle of an emoji."""
    return json.dumps({**GOOD, **{name.replace("_", "-"): value for name, value in headers.items()}}).encode()


HALVES = {
    "in a Body": spoilt(Body="\ud83d"),
    "the other half": spoilt(Body="\ude00"),
    "the wrong way round": spoilt(Body="\ude00\ud83d"),
    "after a whole one": spoilt(Body="\U0001f600\ud83d"),
    "before a whole one": raw(Body=r'"\ud83d\ud83d\ude00"'),
    "after a backslash": spoilt(Body="\\\ud83d"),
    "in capitals": raw(Body=r'"\uD83D"'),
    "deep in it": raw(Body=r'[{"a": ["\ud83d"]}]'),
    "in a key of it": raw(Body=r'{"\ud83d": 1}'),
    "in a header's name": raw(**{r"\ud83d": "1"}),
    "in a header that says where to": spoilt(Request_URI="\ud83d", Router="\ud83d"),
    "in the Type": spoilt(Type="\ud83d"),
    "overridden by another Body": b'{"Body": "\\ud83d",' + but()[1:],
    "with the filler": spoilt(Body="\ufdd0\ud83d"),
    "and an INVITE": spoilt(Type="INVITE", Body="\ud83d"),
    "and a BYE": spoilt(Type="BYE", Body="\ud83d"),
}


@pytest.mark.proves("M-24", "M-28", "M-34")
@pytest.mark.parametrize("data", HALVES.values(), ids=HALVES)
def test_half_an_emoji_is_answered_and_no_garbage(stage: Stage, data: bytes) -> None:
    alice = stage.person("alice")
    for _ in range(30):
        alice.send(data)
    assert alice.closed is None
    assert len(alice.inbox) == 30
    for answer in alice.inbox:
        assert (answer["Code"], answer["Reason"]) == (400, HALVED)
        assert {name: answer[name] for name in ("From", "To", "DialogueID", "CSeq")} == {
            "From": "alice@gortc.local", "To": "service@gortc.local", "DialogueID": "d1", "CSeq": 1,
        }  # fmt: skip
    stage.counted(*["bad request"] * 30)
    assert stage.node.tape is not None
    assert [orjson.loads(entry.data)["CSeq"] for entry in stage.node.tape.entries()] == [1] * 60
    stage.forget()


@pytest.mark.plain
@pytest.mark.parametrize(
    "body",
    [r"\\" * 20_000, r"\\a" * 20_000, r"\ud83d" * 10_000, r"\ude00" * 10_000, r"\ud83d\ude00" * 5_000, r"\n" * 30_000],
)
def test_nothing_is_called_for_each_escape(stage: Stage, body: str) -> None:
    """Half an emoji is not garbage, so it may be sent over and over."""
    alice = stage.person("alice")
    data = raw(Body=f'"{body}' + r'\ud83d"')
    calls: list[str] = []
    sys.setprofile(lambda frame, event, _: calls.append(event))
    try:
        alice.send(data)
    finally:
        sys.setprofile(None)
    assert alice.inbox[-1]["Reason"] == HALVED
    assert len(calls) < 1000
    stage.counted("bad request")
    stage.forget()


@pytest.mark.proves("M-27", "M-28", "M-34")
@pytest.mark.parametrize(
    "data",
    [
        spoilt(From="\ud83d"), spoilt(To="x\ud83d"), spoilt(DialogueID="\ud83d"), spoilt(Type="ACK", Body="\ud83d"),
        spoilt(Type="RESPONSE", Code="200", Body="\ud83d"), spoilt(Type="RESPONSE", Body="\ud83d"),
    ],
)  # fmt: skip
def test_half_an_emoji_that_cant_be_answered_is_no_garbage_either(stage: Stage, data: bytes) -> None:
    alice = stage.person("alice")
    for _ in range(30):
        alice.send(data)
    assert alice.closed is None
    assert alice.inbox == []
    stage.counted(*["bad message"] * 30)


@pytest.mark.proves("M-27", "M-29", "M-34")
@pytest.mark.parametrize(
    "data",
    [
        raw(Body=r'"\ud83d'), raw(Body=r'"\ud83d", "X": NaN'), raw(Body=r'"\ud83d", "X": 1e999'),
        raw(Body=r'"\ud83d", "X": Infinity'), raw(Body=r"\ud83d"), raw(CSeq=r'"\ud83d"'), rb'["\ud83d"]', rb'"\ud83d"',
        raw(Body=r'"\ud83dx\x"'), raw(Body='"' + r"\ud83d" + '", "X": ' + "[" * 9000), rb'{"Type": "\ud83d"}',
    ],
)  # fmt: skip
def test_half_an_emoji_in_what_is_no_message_anyway_is_garbage(stage: Stage, data: bytes) -> None:
    alice = stage.person("alice")
    for _ in range(20):
        alice.send(data)
    assert alice.inbox == []
    assert alice.closed == 1008
    stage.node.journal.counts.clear()


@pytest.mark.proves("M-13", "M-34")
@pytest.mark.parametrize(
    "body", [r'"\\ud83d"', r'"\ud83d\ude00"', r'"\ufdd0"', r'"\\\\ud83d"', r'"\uD83D\uDE00\ud83d\ude00"']
)
def test_what_only_looks_like_half_an_emoji(stage: Stage, body: str) -> None:
    alice = stage.person("alice")
    alice.send(raw(Type='"MESSAGE"', Body=body))
    assert stage.received().body == json.loads(body)
    stage.play("service 200")
    stage.forget()


@pytest.mark.proves("M-1", "M-25")
@pytest.mark.parametrize("kind", ["PUBLISH", "REFER", "invite", "", "TERM", "START", "X" * 10_000])
def test_an_unknown_type_gets_405_with_allow(kind: str) -> None:
    answer = reply(but(Type=kind))
    assert answer is not None
    assert (answer["Code"], answer["Desc"]) == (405, "Method Not Allowed")
    assert set(answer["Allow"].split(", ")) == {
        "ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "REGISTER", "SUBSCRIBE",
        "UPDATE",
    }  # fmt: skip
    assert answer["Reason"] == f"Type {kind[:40]!r} is not known"


ACCEPTED = {
    "as it should be": but(),
    "CSeq 1.0": but(CSeq=1.0),
    "CSeq 1e0": raw(CSeq="1e0"),
    "the highest CSeq": but(CSeq=CSEQ_MAX),
    "duplicate keys, the last one counts": b'{"CSeq": 0, "CSeq": "x",' + but()[1:],
    "Expire 300.0": but(Expire=300.0),
    "Max-Forwards 70.0": but(Max_Forwards=70.0),
    "any token is a host": but(Request_URI="Recv_INVITE"),
    "100 levels in all": raw(Body="[" * (DEPTH_MAX - 1) + "]" * (DEPTH_MAX - 1)),
    "many brackets on few levels": but(Body=[[]] * 1000),
    "RelatedID where it means nothing": but(RelatedID="x"),
    "other headers of any kind": but(X_Any={"a": [1, None]}, Event=7),
    "a surrogate pair": raw(Body=r'"\ud83d\ude00"'),
    "Body null": raw(Body="null"),
    "Code in a request": but(Code="x"),
}


@pytest.mark.proves("M-2", "M-7", "M-10", "M-11", "M-12", "M-13", "M-20", "M-22", "M-23")
@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(data: bytes) -> None:
    answer = reply(data)
    assert answer is not None
    assert answer["Code"] == 486  # the service has had it


@pytest.mark.proves("M-22")
def test_the_last_of_duplicate_keys_may_be_the_bad_one() -> None:
    assert reply(but()[:-1] + b', "CSeq": 0}') is None


@pytest.mark.proves("M-20")
def test_numbers_that_arrive_as_1_0_are_integers() -> None:
    message = read({**GOOD, "CSeq": 1.0, "Expire": 300.0, "Max-Forwards": 69.0})
    assert isinstance(message, Request)
    values = [message.cseq, *(message.headers[name] for name in ("CSeq", "Expire", "Max-Forwards"))]
    assert values == [1, 1, 300, 69]
    assert {type(value) for value in values} == {int}
    ack = read({**GOOD, "Type": "ACK", "RelatedID": 1.0})
    assert type(ack.headers["RelatedID"]) is int
    answer = read({**RESPONSE, "Code": 200.0, "CSeq": 2.0})
    assert isinstance(answer, Response)
    assert (answer.code, answer.cseq) == (200, 2)
    assert type(answer.headers["Code"]) is int


@pytest.mark.proves("M-3")
@pytest.mark.parametrize("code", [100, 699])
def test_the_first_and_the_last_code(code: int) -> None:
    answer = read({**RESPONSE, "Code": code})
    assert isinstance(answer, Response)
    assert answer.code == code


@pytest.mark.proves("M-12", "M-13")
def test_headers_that_nobody_knows_are_carried_through_unchanged(stage: Stage) -> None:
    alice = stage.person("alice")
    carried = {"P-Asserted-Identity": "a", "Content-Type": "sdp", "X-Any": [1.5, {"b": None}], "Reason": "r"}
    alice.send({**GOOD, **carried, "Body": {"any": ["value", 1e100]}})
    message = stage.probe.messages[0]
    assert {name: message.get(name) for name in carried} == carried
    assert message.body == {"any": ["value", 1e100]}
    stage.play("service 486", "wait 5")
    stage.forget()


@pytest.mark.proves("M-29")
def test_20_bad_ones_in_10_s_close_with_1008(stage: Stage) -> None:
    alice, bob = stage.person("alice"), stage.person("bob")
    for _ in range(19):
        alice.send(b"x")
    bob.send(b"x")
    assert (alice.closed, bob.closed) == (None, None)
    alice.send(but(Type=1))  # what is answered counts as well
    assert (alice.closed, bob.closed) == (1008, None)
    counts = stage.node.journal.counts
    assert (counts["bad message"], counts["bad request"], counts["closed for garbage"]) == (20, 1, 1)
    counts.clear()
    stage.said("alice < 400 ?")


@pytest.mark.proves("M-29")
def test_not_in_more_than_10_s(stage: Stage) -> None:
    alice = stage.person("alice")
    for _ in range(100):
        alice.send(b"x")
        stage.advance(0.6)
    assert alice.closed is None
    stage.node.journal.counts.clear()


@pytest.mark.proves("M-31")
def test_a_dialogue_survives_bad_messages_of_its_peer(stage: Stage) -> None:
    stage.play("alice INVITE", "service 180")
    for data in (b"x", but(Type=1), but(Type="NONE")):
        stage.person("alice").send(data)
    stage.node.journal.counts.clear()
    stage.forget()
    stage.play("service 200", "alice ACK", "alice BYE")
    stage.said(
        "alice < 200 INVITE", "alice > ACK", "service ACK", "alice > BYE", "alice < 200 BYE", "service BYE",
        "service TERM",
    )  # fmt: skip


def test_the_trace_has_each_message() -> None:
    with Stage() as stage:
        seen: list[tuple[str, str, Any]] = []
        stage.node.syntax.trace = lambda direction, channel, headers: seen.append(
            (direction, channel, headers.get("Code") or headers["Type"])
        )
        stage.play("alice INVITE", "alice INFO CSeq=0", "service 486", "alice ACK", "alice BYE")
        stage.forget()
        stage.counted("bad message")
    alice = "alice@gortc.local"
    assert seen == [
        ("<", alice, "INVITE"), (">", alice, 486), ("<", alice, "ACK"), ("<", alice, "BYE"), (">", alice, 481),
    ]  # fmt: skip


def test_the_trace_of_what_could_not_be_delivered() -> None:
    with Stage() as stage:
        seen: list[Any] = []
        stage.node.syntax.trace = lambda *what: seen.append(what)
        stage.dial("nobody@gortc.local")
        stage.said("service 480 INVITE (local)", "service TERM")
        alice = stage.person("alice")
        lost = alice.channel
        alice.leave()
        stage.node.syntax.receive(lost, but(Type="BYE"))
    assert [what[0] for what in seen] == ["<"]


# Anything at all.

json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
names = st.sampled_from([*GOOD, "Code", "RelatedID", "Router", "Expire", "Max-Forwards", "Body", "Desc", "Reason"])
near_misses = st.dictionaries(names, json_values | st.sampled_from(["INVITE", "ACK", "RESPONSE", "a@b", 1]))


@pytest.mark.proves("M-31")
@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_raise(data: bytes) -> None:
    feed(data)


@pytest.mark.proves("M-31")
@settings(max_examples=300, deadline=None)
@given(near_misses, st.booleans())
def test_nothing_like_a_message_raises(headers: dict[str, Any], good: bool) -> None:
    feed(json.dumps({**GOOD, **headers} if good else headers).encode())


def feed(data: bytes) -> None:
    with Stage() as stage:
        stage.person("alice").send(data)
        assert "stack failure" not in stage.node.journal.counts
        stage.node.journal.counts.clear()
        for task in stage.probe.tasks:
            task.finish()
        stage.advance(10)
        stage.forget()


@pytest.mark.proves("M-13")
@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(max_size=10).filter(lambda name: name not in GOOD), json_values))
def test_what_is_read_is_written_the_same(headers: dict[str, Any]) -> None:
    try:
        data = orjson.dumps({**headers, **GOOD})
        message = read(orjson.loads(data))
    except (TypeError, BadMessage, orjson.JSONDecodeError):
        return
    assert orjson.loads(orjson.dumps(message.headers)) == orjson.loads(data)


@pytest.mark.proves("M-23")
@settings(max_examples=300, deadline=None)
@given(json_values)
def test_depth(value: Any) -> None:
    def plain(item: Any) -> int:
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else None
        return 0 if inner is None else 1 + max(map(plain, inner), default=0)

    assert depth(value) == plain(value)
