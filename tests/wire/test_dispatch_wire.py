"""Which service logic gets it, docs/jsip.md section 6, step by step; and a service that raises."""

from __future__ import annotations

import pytest

from tests.wire.kit import Json, Wire


@pytest.mark.proves("C-26", "D-1")
def test_1_the_session_table(wire: Wire) -> None:
    """(channel, DialogueID): the instance, whatever the later message's Router says."""
    puppet, alice, mallory = wire.puppet(), wire.peer("alice"), wire.peer("mallory")
    call = puppet.called_by(alice)
    info = call.send("INFO", Router="x;type=none", **{"Body": {"then": [["answer", "A", "INFO", 200]]}})
    call.expect(200, CSeq=info["CSeq"])
    # a stranger with the same DialogueID is in another table
    mallory.send({**call.first, "Type": "BYE", "CSeq": 2})
    mallory.expect(481, DialogueID=call.id)
    mallory.send({**call.first, "Type": "CANCEL"})
    mallory.expect(481)
    puppet.do(("answer", "A", "INVITE", 486))
    call.expect(486)
    call.ack()
    assert puppet.node.story(call.id) == ["INVITE", "INFO", "TERM"]


@pytest.mark.proves("C-25")
def test_1_two_peers_with_one_dialogue_id(wire: Wire) -> None:
    """They never meet."""
    alice, bob, one, two = wire.peers("alice", "bob", "one", "two")
    first = alice.open("MESSAGE", one.name, DialogueID="same", Body=1)
    second = bob.open("MESSAGE", two.name, DialogueID="same", Body=2)
    two.answering("MESSAGE", Body=2).reply(202)
    one.answering("MESSAGE", Body=1).reply(201)
    first.expect(201)
    second.expect(202)


@pytest.mark.proves("D-2")
def test_2_no_session_may_start(wire: Wire) -> None:
    """Only INVITE, REGISTER, OPTIONS, MESSAGE, SUBSCRIBE may; checked before the Router is."""
    alice = wire.peer("alice")
    for method in ("BYE", "CANCEL", "INFO", "UPDATE", "PRACK", "NOTIFY"):
        alice.open(method, "x", Router="bad router;;").expect(481)


@pytest.mark.proves("D-3")
def test_3_unreadable_router(wire: Wire) -> None:
    """400 with a Reason; an INVITE's 400 is ACKed as any."""
    alice = wire.peer("alice")
    call = alice.open("INVITE", "x", Router="bad router;;")
    assert "Router" in call.expect(400)["Reason"]
    call.ack()
    alice.fence()


@pytest.mark.proves("D-4", "D-5")
def test_4_type_selects(wire: Wire) -> None:
    """Under NAME; without a Router or a type it is `default`."""
    alice, bob = wire.peers("alice", "bob")
    alice.open("MESSAGE", "x", Router="anything.example;type=echo;other", Body=[1]).expect(200, Body=[1])
    for router in (None, "gortc.test"):
        talk = alice.open("MESSAGE", bob.name, Router=router, Body="by default")
        bob.answering("MESSAGE", Body="by default").reply(200)
        talk.expect(200)


@pytest.mark.proves("D-6")
def test_4_the_host_does_not_select(wire: Wire) -> None:
    """Unless the settings say so."""
    alice = wire.peer("alice")
    alice.open("MESSAGE", "x@echo.gortc.test", Body="?").expect(404)


@pytest.mark.proves("D-7")
def test_5_no_such_service(wire: Wire) -> None:
    """404."""
    alice = wire.peer("alice")
    for router in ("gortc.test;type=none", "gortc.test;type=Echo", "gortc.test;type=none;relid=k"):
        call = alice.open("INVITE", "x", Router=router)
        call.expect(404, Desc="Not Found")
        call.ack()
    alice.fence()


@pytest.mark.proves("D-8", "D-9", "D-16")
def test_6_chosen_relid(wire: Wire) -> None:
    """The first with KEY makes an instance, the next joins; another service's is another; gone with it."""
    puppet, alice, bob = wire.puppet(), wire.peer("alice"), wire.peer("bob")
    first = puppet.called_by(alice)
    puppet.node.wait_seen(first.id, "INVITE")
    second = puppet.called_by(bob)
    assert puppet.node.wait_seen(second.id, "INVITE")["leg"] == "A1"
    alice.open("MESSAGE", "x", Router=f"x;type=echo;relid={puppet.relid}", Body=1).expect(200, Body=1)
    puppet.do(("answer", "A", "INVITE", 486), ("answer", "A1", "INVITE", 486))
    for call in (first, second):
        call.expect(486)
        call.ack()
        puppet.node.story(call.id)
    third = puppet.called_by(bob)
    assert puppet.node.wait_seen(third.id, "INVITE")["leg"] == "A"


@pytest.mark.proves("D-10", "D-11")
def test_6_minted_relid(wire: Wire) -> None:
    """Valid whatever the type, for one instance; 404 once that has gone."""
    puppet, alice, bob = wire.puppet(), wire.peer("alice"), wire.peer("bob")
    call = puppet.called_by(alice)
    puppet.node.wait_seen(call.id, "INVITE")
    (relid,) = puppet.do(("relid",))
    assert relid.startswith("rel_gortc.test_")
    for router in (f"x;relid={relid}", f"x;type=echo;relid={relid}", f"x;type=none;relid={relid}"):
        talk = bob.open("SUBSCRIBE", "x", Router=router)
        puppet.node.wait_seen(talk.id, "SUBSCRIBE")
        leg = puppet.node.wait_seen(talk.id, "SUBSCRIBE")["leg"]
        puppet.do(("answer", leg, "SUBSCRIBE", 200))
        talk.expect(200)
    puppet.do(("answer", "A", "INVITE", 486))
    call.expect(486)
    call.ack()
    puppet.node.story(call.id)
    puppet_gone = bob.open("SUBSCRIBE", "x", Router=f"x;type=puppet;relid={relid}")
    puppet_gone.expect(404)
    bob.open("SUBSCRIBE", "x", Router="x;type=puppet;relid=rel_gortc.test_guessed").expect(404)


@pytest.mark.proves("C-27", "D-12")
def test_7_the_rest_of_the_router_leads_on(wire: Wire) -> None:
    """A first entry that is somebody else's stays and routes the new leg."""
    alice, bob = wire.peers("alice", "bob")
    talk = alice.open("MESSAGE", "who@ever.example", Router=f"gortc.test, {bob.name};x=1, last.example", Body=1)
    got = bob.answering("MESSAGE", Router=f"{bob.name};x=1, last.example", Body=1)
    assert got.first["Request-URI"] == "who@ever.example"
    got.reply(200)
    talk.expect(200)


@pytest.mark.proves("D-13", "D-14")
@pytest.mark.parametrize("how", ["on its first message", "later"])
def test_a_service_that_raises(wire: Wire, how: str) -> None:
    """Open requests get 500, other legs are hung up, the instance ends, one traceback; nobody else notices."""
    puppet, other = wire.puppet(), wire.puppet()
    alice, bob, carol, dave = wire.peers("alice", "bob", "carol", "dave")
    bystander = other.called_by(carol)
    before = len(puppet.node.process.tracebacks())
    if how == "later":
        call = puppet.called_by(alice)
        ringing = puppet.calls(bob, leg="B")
        talking = puppet.calls(dave, leg="C")
        talking.reply(200)
        puppet.node.wait_seen(talking.id, "200 INVITE")
        assert puppet.try_to_do(("fail",))["Code"] == 500
        ringing.reply(200, ringing.expect("CANCEL"))
        ringing.reply(487)
        ringing.expect("ACK")
        talking.expect("ACK")
        talking.reply(200, talking.expect("BYE"))
    else:
        call = puppet.called_by(alice, Body={"then": [["fail"]]})
    call.expect(500, Reason="service failed")
    call.ack()
    other.do(("answer", "A", "INVITE", 486))
    bystander.expect(486)
    bystander.ack()
    for peer in (alice, bob, dave):
        peer.fence()

    def find(events: list[Json]) -> list[Json] | None:
        return [one for one in events if "traceback" in one and call.id in str(one.get("dialogues", ""))] or None

    mine = puppet.node.process.wait_for(find)
    assert len(mine) == len(puppet.node.process.tracebacks()) - before == 1
    assert mine[0]["source"] == "slp.puppet"
    assert puppet.do() == []  # the service itself lives on


@pytest.mark.proves("D-15", "D-16", "D-17")
def test_an_instance_that_ends_by_its_own_word(wire: Wire) -> None:
    """Its legs are hung up, open requests answered, the relid is free."""
    puppet, alice, bob = wire.puppet(), wire.peer("alice"), wire.peer("bob")
    call = puppet.called_by(alice)
    out = puppet.calls(bob)
    assert puppet.try_to_do(("finish",))["Code"] in (200, 500)
    call.expect(500)
    call.ack()
    out.reply(200, out.expect("CANCEL"))
    out.reply(487)
    out.expect("ACK")
    again = puppet.called_by(alice)
    assert puppet.node.wait_seen(again.id, "INVITE")["leg"] == "A"
    again.cancel()
    again.expect(200)
    again.expect(487)
    again.ack()
