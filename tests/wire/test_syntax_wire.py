"""Syntax, docs/jsip.md section 2: every header's row, and a table of bad input with its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wire.kit import Json, Peer, Wire, request, response

GOOD: Json = {
    "Type": "OPTIONS", "Request-URI": "x@gortc.test", "From": "a@gortc.test", "To": "x@gortc.test", "DialogueID": "d",
    "CSeq": 1,
}  # fmt: skip
GONE = object()
"""In place of a value: the header is absent."""


def changed(**headers: Any) -> Json:
    """GOOD, but."""
    made = {**GOOD, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {name: value for name, value in made.items() if value is not GONE}


def raw(name: str, value: str) -> str:
    """GOOD with a value that json.dumps would not write."""
    return json.dumps({**GOOD, name: "@@"}).replace('"@@"', value)


DEEP = raw("Body", "[" * 30_000 + "]" * 30_000)

# what is sent -> what is in Reason
ANSWERED_400 = {
    "Type absent": (changed(Type=GONE), "Type"),
    "Type a number": (changed(Type=1), "Type"),
    "Type null": (changed(Type=None), "Type"),
    "Type a list": (changed(Type=["INVITE"]), "Type"),
    "Request-URI absent": (changed(Request_URI=GONE), "Request-URI"),
    "Request-URI a number": (changed(Request_URI=1), "Request-URI"),
    "Request-URI empty": (changed(Request_URI=""), "Request-URI"),
    "Request-URI with a space": (changed(Request_URI="a b@c"), "Request-URI"),
    "Router a list": (changed(Router=["x"]), "Router"),
    "Router null": (changed(Router=None), "Router"),
    "Router empty": (changed(Router=""), "Router"),
    "Router with a space": (changed(Router="a b"), "Router"),
    "Router of commas": (changed(Router=",,,"), "Router"),
    "Router of semicolons": (changed(Router=";;;"), "Router"),
    "Router of parameters": (changed(Router=";type=echo"), "Router"),
    "Router with a bad port": (changed(Router="gortc.test:65536;type=echo"), "Router"),
    "Router with a control character": (changed(Router="ho\x00st"), "Router"),
    "Expire a string": (changed(Expire="300"), "Expire"),
    "Expire negative": (changed(Expire=-1), "Expire"),
    "Expire true": (changed(Expire=True), "Expire"),
    "Expire a fraction": (changed(Expire=1.5), "Expire"),
    "Expire null": (changed(Expire=None), "Expire"),
    "Max-Forwards a string": (changed(Max_Forwards="70"), "Max-Forwards"),
    "Max-Forwards negative": (changed(Max_Forwards=-1), "Max-Forwards"),
    "RelatedID a string": (changed(Type="CANCEL", RelatedID="1"), "RelatedID"),
    "RelatedID 0": (changed(Type="CANCEL", RelatedID=0), "RelatedID"),
    "half an emoji": (changed(Type="MESSAGE", Body="\ud83d"), "surrogate"),
    "half an emoji in a name": ({**GOOD, "\udc00": 1}, "surrogate"),
}

DROPPED: dict[str, Json | str] = {
    "not JSON": "hello",
    "nothing": "",
    "half an object": '{"Type": "OPTIONS"',
    "two objects": json.dumps(GOOD) * 2,
    "a string": '"OPTIONS"',
    "a list": json.dumps([GOOD]),
    "null": "null",
    "empty object": "{}",
    "trailing comma": json.dumps(GOOD)[:-1] + ",}",
    "lone surrogate": raw("From", '"\\ud800"'),
    "NaN": raw("Body", "NaN"),
    "CSeq NaN": raw("CSeq", "NaN"),
    "CSeq Infinity": raw("CSeq", "Infinity"),
    "CSeq -Infinity": raw("CSeq", "-Infinity"),
    "CSeq 0": changed(CSeq=0),
    "CSeq -1": changed(CSeq=-1),
    "CSeq 1.5": changed(CSeq=1.5),
    "CSeq 2^53": changed(CSeq=2**53),
    "CSeq 2^64": changed(CSeq=2**64),
    "CSeq 1e400": raw("CSeq", "1e400"),
    "CSeq a string": changed(CSeq="1"),
    "CSeq true": changed(CSeq=True),
    "CSeq null": changed(CSeq=None),
    "CSeq absent": changed(CSeq=GONE),
    "From absent": changed(From=GONE),
    "From empty": changed(From=""),
    "From a number": changed(From=1),
    "To absent": changed(To=GONE),
    "To null": changed(To=None),
    "DialogueID absent": changed(DialogueID=GONE),
    "DialogueID empty": changed(DialogueID=""),
    "DialogueID a list": changed(DialogueID=[]),
    "an ACK with a bad RelatedID": changed(Type="ACK", RelatedID="x"),
    "a response without Code": changed(Type="RESPONSE"),
    "a response with Code 99": changed(Type="RESPONSE", Code=99),
    "a response with Code 700": changed(Type="RESPONSE", Code=700),
    "a response with Code a string": changed(Type="RESPONSE", Code="200"),
    "a response to nothing": changed(Type="RESPONSE", Code=200),
    "an ACK of nothing": changed(Type="ACK", RelatedID=1),
}


@pytest.fixture(scope="module")
def talker(server: Any) -> Any:
    """One peer for the whole table; it says enough good things not to be taken for a pest."""
    return {"left": 0, "peer": None, "server": server}


def fresh(wire: Wire, talker: dict[str, Any]) -> Peer:
    """A peer, replaced by a new one before it has sent 20 bad messages."""
    if not talker["left"]:
        if talker["peer"] is not None:
            talker["peer"].leave()
        talker["peer"], talker["left"] = Peer(wire.node, f"table-{id(wire)}"), 18
    talker["left"] -= 1
    peer: Peer = talker["peer"]
    return peer


@pytest.mark.proves("M-24", "M-26", "M-34")
@pytest.mark.parametrize("case", ANSWERED_400)
def test_bad_requests_are_answered(wire: Wire, talker: dict[str, Any], case: str) -> None:
    """400, with what is wrong in Reason; nothing else comes."""
    peer = fresh(wire, talker)
    message, named = ANSWERED_400[case]
    peer.send(message)
    answer = peer.receive()
    assert named in answer.pop("Reason")
    assert answer == {
        "Type": "RESPONSE", "Code": 400, "Desc": "Bad Request", "From": "a@gortc.test", "To": "x@gortc.test",
        "DialogueID": "d", "CSeq": 1,
    }  # fmt: skip
    peer.fence()


@pytest.mark.proves("M-27")
@pytest.mark.parametrize("case", DROPPED)
def test_what_can_not_be_answered_is_dropped(wire: Wire, talker: dict[str, Any], case: str) -> None:
    """No answer, and the connection goes on."""
    peer = fresh(wire, talker)
    message = DROPPED[case]
    peer.send_raw(message if isinstance(message, str) else json.dumps(message))
    peer.fence()


@pytest.mark.proves("M-25")
def test_unknown_type(wire: Wire) -> None:
    """405 with Allow."""
    peer = wire.peer("alice")
    for number, kind in enumerate(("PUBLISH", "invite", "TERM", "START", "", "RESPONSE ")):
        peer.send(changed(Type=kind, CSeq=number + 1))
        answer = peer.expect(405, CSeq=number + 1, Desc="Method Not Allowed")
        assert set(answer["Allow"].split(", ")) == {
            "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "INFO", "UPDATE", "PRACK", "SUBSCRIBE", "MESSAGE",
            "NOTIFY",
        }  # fmt: skip
    peer.fence()


@pytest.mark.proves("M-23")
def test_depth(wire: Wire) -> None:
    """30,000 levels, within the frame's limit, harm nobody; 50 levels are fine."""
    peer = wire.peer("alice")
    assert len(DEEP) < 65536
    peer.send_raw(DEEP)
    peer.send_raw(raw("Body", '{"a":' * 8000 + "1" + "}" * 8000))
    question = request("OPTIONS", "a", "b", Body=json.loads("[" * 50 + "]" * 50))
    peer.send(question)
    answers = [peer.receive()]
    while answers[-1]["DialogueID"] == "d":  # what can be read is answered 400
        answers.append(peer.receive())
    assert answers.pop()["Code"] == 200
    assert {answer["Code"] for answer in answers} <= {400}
    peer.fence()


@pytest.mark.proves("M-20", "M-22")
def test_numbers(wire: Wire) -> None:
    """1.0 is an integer and comes back as one; the largest CSeq is 2^53-1."""
    peer = wire.peer("alice")
    for written, read in (("1.0", 1), ("1e3", 1000), (str(2**53 - 1), 2**53 - 1)):
        peer.send_raw(raw("CSeq", written))
        answer = peer.expect(480, CSeq=read)
        assert type(answer["CSeq"]) is int
    peer.send_raw(json.dumps(changed(CSeq=5)).replace('"CSeq"', '"CSeq": "x", "CSeq"'))  # the last one counts
    peer.expect(480, CSeq=5)
    peer.send(changed(Type="CANCEL", CSeq=6, RelatedID=1.0))
    peer.expect(481, CSeq=6)
    peer.send(changed(Expire=10.0, CSeq=7, Max_Forwards=1.0))
    peer.expect(480, CSeq=7)


@pytest.mark.proves("M-12", "M-13")
def test_every_header_arrives_as_it_was_sent(wire: Wire) -> None:
    """Any header goes through unchanged, Body any JSON value; `Desc` is always sent, `Router` is not carried."""
    alice, bob = wire.peers("alice", "bob")
    extra = {
        "P-Asserted-Identity": "\u00e9\U0001f600\u2028", "Event": "presence", "X-Null": None, "X-List": [1, 2.5, -3],
        "X-Object": {"a": {"b": [True, False]}}, "": "empty name", "X-Big": 2**62, "X-Small": 1e-7,
    }  # fmt: skip
    bodies: list[Any] = ["v=0\r\ns=-\r\n", {"k": [1]}, [], 0, False, None, ""]
    for body in bodies:
        message = request("MESSAGE", "somebody else", bob.name, Body="", **{"Content-Type": "any"})
        message.update(extra, Body=body)
        alice.send(message)
        got = bob.receive()
        assert {name: got[name] for name in extra} == extra
        assert got["Content-Type"] == "any"
        assert got.get("Body") == body
        assert (got["From"], got["To"]) == ("somebody else", bob.name)
        assert "Router" not in got
        bob.send(response(got, 299, **{"X-Answer": "yes", "Body": body}))
        answer = alice.expect(299, Desc="Success", X_Answer="yes")
        assert answer.get("Body") == body


@pytest.mark.proves("M-4")
def test_reason_phrases(wire: Wire) -> None:
    """`Desc` is the code's SIP phrase, whatever the peer wrote; unknown codes get one of their class."""
    alice, bob = wire.peers("alice", "bob")
    for code, phrase in ((200, "OK"), (486, "Busy Here"), (499, None), (599, None), (699, None), (302, None)):
        talk = alice.open("MESSAGE", bob.name)
        bob.answering("MESSAGE").reply(code)
        answer = talk.expect(code)
        assert answer["Desc"] == phrase or (phrase is None and answer["Desc"])


@pytest.mark.proves("M-11", "M-14")
def test_max_forwards(wire: Wire) -> None:
    """One less each hop; 0 is 483."""
    alice, bob = wire.peers("alice", "bob")
    talk = alice.open("MESSAGE", bob.name, Max_Forwards=0)
    talk.expect(483, Desc="Too Many Hops")
    talk = alice.open("MESSAGE", bob.name, Max_Forwards=5)
    bob.answering("MESSAGE", Max_Forwards=4).reply(200)
    talk.expect(200)


@pytest.mark.proves("M-2", "M-17", "M-19")
def test_uris(wire: Wire) -> None:
    """What is a Request-URI: any token is a host; it arrives as it was written."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    for uri in ("Recv_INVITE", "sip:bob@[::1]:5060;transport=ws;lr", "tel:+49123", "a@b;x=;y", "[fe80::1]"):
        call = alice.open(
            "INVITE", "x@y", Request_URI=uri, Router=puppet.router, Body={"then": [["answer", "A", "INVITE", 486]]}
        )
        call.expect(486)
        assert puppet.node.wait_seen(call.id, "INVITE")["headers"]["Request-URI"] == uri
        call.ack()


@pytest.mark.proves("D-12", "M-9")
def test_routers(wire: Wire) -> None:
    """The first Router entry is taken off if it selected the service; the rest is the service's to see."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    for rest in (None, "next.example;a=b", "one.example,two@three.example:5060;x"):
        router = puppet.router if rest is None else f"{puppet.router}, {rest}"
        call = alice.open("INVITE", "x", Router=router, Body={"then": [["answer", "A", "INVITE", 486]]})
        call.expect(486)
        assert puppet.node.wait_seen(call.id, "INVITE")["headers"].get("Router") == rest
        call.ack()


@pytest.mark.proves("M-15", "M-16")
def test_from_and_to_in_a_dialogue_are_not_checked(wire: Wire) -> None:
    """Inside a dialogue Request-URI, From and To carry no meaning; ours repeat the first request's."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice, To="the number", Body={"then": [["answer", "A", "INVITE", 200]]})
    call.expect(200, From=alice.name, To="the number")
    call.ack(From="x", To="y", **{"Request-URI": "not a uri at all"})
    puppet.node.wait_seen(call.id, "ACK")
    puppet.do(("send", "A", "INFO"))
    info = call.expect("INFO", From=alice.name, To="the number", CSeq=1)
    assert info["Request-URI"] == call.first["Request-URI"]
    alice.send({**response(info, 200), "From": "x", "To": "y"})
    call.send("BYE", From="z")
    call.expect(200)
    assert puppet.node.story(call.id) == ["INVITE", "ACK", "200 INFO", "BYE", "TERM"]
