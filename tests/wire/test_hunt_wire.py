"""The 400 call and its relatives, whole messages as they stand on the wire."""

from __future__ import annotations

import pytest

from tests.wire.kit import Wire, response


@pytest.mark.proves("M-6", "M-8", "M-16")
def test_the_400_call(wire: Wire) -> None:
    """agent1 is busy, agent2 rings and is never answered, agent3 answers; the caller hangs up."""
    alice = wire.peer("Alice@gortc.test")
    agent1, agent2, agent3 = wire.peers("agent1@gortc.test", "agent2@gortc.test", "agent3@gortc.test")
    names = {"From": "Alice@gortc.test", "To": "400@gortc.test"}
    inward = {**names, "DialogueID": "1f2b38472f596d72"}

    alice.send(
        {
            "Type": "INVITE", "Request-URI": "400@gortc.test", **inward, "CSeq": 7, "Router": "gortc.test;type=hunt400",
            "Expire": 300, "Content-Type": "sdp", "P-Asserted-Identity": "+1", "Body": "v=0 offer",
        }
    )  # fmt: skip

    invite1 = agent1.receive()
    first = invite1["DialogueID"]
    assert first.startswith("dlg_gortc.test_")
    assert invite1 == {
        "Type": "INVITE", "Request-URI": "agent1@gortc.test", **names, "DialogueID": first, "CSeq": 1, "Expire": 300,
        "Content-Type": "sdp", "P-Asserted-Identity": "+1", "Body": "v=0 offer",
    }  # fmt: skip
    agent1.send(response(invite1, 486))
    assert agent1.receive() == {
        "Type": "ACK", "Request-URI": "agent1@gortc.test", **names, "DialogueID": first, "CSeq": 2, "RelatedID": 1,
    }  # fmt: skip

    invite2 = agent2.receive()
    second = invite2["DialogueID"]
    assert invite2 == {**invite1, "Request-URI": "agent2@gortc.test", "DialogueID": second}
    agent2.send(response(invite2, 180))
    assert alice.receive() == {"Type": "RESPONSE", "Code": 180, "Desc": "Ringing", **inward, "CSeq": 7}
    cancel = agent2.receive()
    assert cancel == {
        "Type": "CANCEL", "Request-URI": "agent2@gortc.test", **names, "DialogueID": second, "CSeq": 2, "RelatedID": 1,
    }  # fmt: skip
    agent2.send(response(cancel, 200))
    agent2.send(response(invite2, 487))
    assert agent2.receive() == {**cancel, "Type": "ACK", "CSeq": 3}

    invite3 = agent3.receive()
    third = invite3["DialogueID"]
    assert invite3 == {**invite1, "Request-URI": "agent3@gortc.test", "DialogueID": third}
    assert len({first, second, third}) == 3
    agent3.send(response(invite3, 200, Body="v=0 answer", **{"X-Agent": 3}))
    assert alice.receive() == {
        "Type": "RESPONSE", "Code": 200, "Desc": "OK", **inward, "CSeq": 7, "X-Agent": 3, "Body": "v=0 answer",
    }  # fmt: skip
    alice.send(
        {
            "Type": "ACK", "Request-URI": "400@gortc.test", **inward, "CSeq": 8, "RelatedID": 7, "Body": "v=0 again",
            "X-Note": [1, {"a": None}],
        }
    )  # fmt: skip
    assert agent3.receive() == {
        "Type": "ACK", "Request-URI": "agent3@gortc.test", **names, "DialogueID": third, "CSeq": 2, "RelatedID": 1,
        "Body": "v=0 again", "X-Note": [1, {"a": None}],
    }  # fmt: skip

    alice.send({"Type": "BYE", "Request-URI": "400@gortc.test", **inward, "CSeq": 9})
    assert alice.receive() == {"Type": "RESPONSE", "Code": 200, "Desc": "OK", **inward, "CSeq": 9}
    bye = agent3.receive()
    assert {name: value for name, value in bye.items() if name != "Reason"} == {
        "Type": "BYE", "Request-URI": "agent3@gortc.test", **names, "DialogueID": third, "CSeq": 3,
    }  # fmt: skip
    agent3.send(response(bye, 200))

    for peer in (alice, agent1, agent2, agent3):
        peer.fence()


def test_nobody_there(wire: Wire) -> None:
    """All agents are offline: 480."""
    alice = wire.peer("alice")
    call = alice.open("INVITE", "401")
    call.expect(480, Desc="Temporarily Unavailable")
    call.ack()
    alice.fence()


def test_number_without_agents(wire: Wire) -> None:
    """A number that the configuration does not name has no agents: 480."""
    alice = wire.peer("alice")
    alice.open("INVITE", "402").expect(480)


def test_the_caller_gives_up(wire: Wire) -> None:
    """CANCEL: 200, 487, and the ringing agent is cancelled; no other one rings."""
    alice, agent1, agent2 = wire.peer("alice"), wire.peer("agent1@gortc.test"), wire.peer("agent2@gortc.test")
    call = alice.open("INVITE", "400")
    ringing = agent1.answering()
    ringing.reply(183)
    call.expect(183)
    cancel = call.cancel()
    call.expect(200, CSeq=cancel["CSeq"])
    call.expect(487, CSeq=1)
    call.ack()
    ringing.reply(200, ringing.expect("CANCEL", RelatedID=1))
    ringing.reply(487)
    ringing.expect("ACK", RelatedID=1)
    for peer in (alice, agent1, agent2):
        peer.fence()
