"""The table of an INVITE session: each cell, and what is said for each request in each state. docs/jsip.md section 4.

`CELLS` is written from the contract; the code's table must have these cells and no other.
"""

from __future__ import annotations

import pytest

from gortc.jsip.invite_session import TABLE, InviteSession
from tests.jsip.kit import Stage

RECEIVED = ("INVITE", "UPDATE", "PRACK", "INFO", "BYE")
SENT = ("send INVITE", "send UPDATE", "send PRACK", "send INFO", "send BYE", "send CANCEL", "send ACK")
OUTCOMES = ("1xx", "2xx", "3xx-6xx", "ACK", "CANCEL", "hang up")
EVENTS = (*RECEIVED, *SENT, *OUTCOMES)


def stays(state: str, *events: str) -> dict[str, str]:
    """These events leave the state as it is."""
    return dict.fromkeys(events, state)


LOCAL_481 = ("send INVITE", "send UPDATE", "send PRACK", "send INFO")
RINGING = {"1xx": "early", "2xx": "answered", "3xx-6xx": "failed", "CANCEL": "cancelling", "BYE": "ended"}
IN_CALL = ("INVITE", "UPDATE", "PRACK", "INFO", *LOCAL_481, "send CANCEL", "send ACK")
NOT_IN_CALL = ("INVITE", "UPDATE", "PRACK", "INFO", *LOCAL_481)

CELLS: dict[str, dict[str, str]] = {
    "new": {"INVITE": "calling", "send INVITE": "calling"},
    "calling": {**RINGING, **stays("calling", *NOT_IN_CALL, "send CANCEL")},
    "early": {**RINGING, **stays("early", *NOT_IN_CALL, "send CANCEL")},
    "answered": {
        **stays("answered", *IN_CALL), "ACK": "confirmed", "BYE": "ended", "send BYE": "leaving", "hang up": "leaving",
    },
    "confirmed": {**stays("confirmed", *IN_CALL), "BYE": "ended", "send BYE": "leaving", "hang up": "leaving"},
    "failed": stays("failed", *NOT_IN_CALL, "BYE"),
    "cancelling": {**stays("cancelling", *NOT_IN_CALL), "2xx": "leaving", "3xx-6xx": "ended", "BYE": "ended"},
    "leaving": stays("leaving", *NOT_IN_CALL, "BYE", "ACK"),
    "ended": stays("ended", *LOCAL_481, "3xx-6xx"),
}  # fmt: skip


@pytest.mark.proves("S-1")
def test_the_table_has_these_cells_and_no_other() -> None:
    assert {state: {event: cell[0] for event, cell in row.items()} for state, row in TABLE.items()} == CELLS


MISSING = [(state, event) for state, row in CELLS.items() for event in EVENTS if event not in row]


@pytest.mark.proves("S-1")
@pytest.mark.parametrize(("state", "event"), MISSING)
def test_a_missing_pair_is_dropped_and_counted(stage: Stage, state: str, event: str) -> None:
    stage.play("alice INVITE", "service 200", "alice ACK")
    stage.forget()
    session = stage.session
    assert isinstance(session, InviteSession)
    session.state = state
    session.step(event)
    assert session.state == state
    stage.counted(f"{event} in {state}")
    stage.said()
    session.state = "confirmed"
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


# How a session gets into each state: as the callee's side of alice's call, and as the caller's side of one to bob.

INCOMING = {
    "calling": ["alice INVITE"],
    "early": ["alice INVITE", "service 180"],
    "answered": ["alice INVITE", "service 200"],
    "confirmed": ["alice INVITE", "service 200", "alice ACK"],
    "failed": ["alice INVITE", "service 486"],
    "leaving": ["alice INVITE", "service 200", "alice ACK", "service BYE"],
}
OUTGOING = {
    "calling": ["service INVITE"],
    "early": ["service INVITE", "bob 180"],
    "answered": ["service INVITE", "bob 200"],
    "confirmed": ["service INVITE", "bob 200", "service ACK"],
    "cancelling": ["service INVITE", "service CANCEL"],
    "leaving": ["service INVITE", "bob 200", "service ACK", "service BYE"],
}

# What a received request gets: a code from the stack, "up" for the service's turn.

RECEIVED_IN_INCOMING = {
    "calling": {"INVITE": "500", "UPDATE": "481", "PRACK": "481", "INFO": "up"},
    "early": {"INVITE": "500", "UPDATE": "200", "UPDATE offer": "up", "PRACK": "up", "INFO": "up", "MESSAGE": "up"},
    "answered": {"INVITE": "up", "UPDATE": "200", "UPDATE offer": "up", "PRACK": "up", "INFO": "up"},
    "confirmed": {
        "INVITE": "up", "UPDATE": "200", "UPDATE offer": "up", "PRACK": "up", "INFO": "up", "NOTIFY": "up",
        "OPTIONS": "up",
    },
    "failed": {"INVITE": "481", "UPDATE": "481", "PRACK": "481", "INFO": "481", "BYE": "481"},
    "leaving": {"INVITE": "481", "UPDATE offer": "481", "PRACK": "481", "INFO": "481", "BYE": "200"},
}  # fmt: skip
RECEIVED_IN_OUTGOING = {
    "calling": {"INVITE": "491", "UPDATE": "481", "PRACK": "481", "INFO": "up"},
    "early": {"INVITE": "491", "UPDATE": "200", "UPDATE offer": "up", "PRACK": "481", "INFO": "up"},
    "answered": {"INVITE": "up", "UPDATE": "200", "UPDATE offer": "up", "PRACK": "481", "INFO": "up"},
    "confirmed": {"INVITE": "up", "UPDATE": "200", "UPDATE offer": "up", "PRACK": "481", "INFO": "up"},
    "cancelling": {"INVITE": "481", "UPDATE": "481", "PRACK": "481", "INFO": "481"},
    "leaving": {"INVITE": "481", "UPDATE": "481", "PRACK": "481", "INFO": "481", "BYE": "200"},
}

RECEIVED_CASES = [
    pytest.param(peer, way, request, result, id=f"{side}-{state}-{request.replace(' ', '-')}")
    for side, peer, ways, table in (
        ("incoming", "alice", INCOMING, RECEIVED_IN_INCOMING),
        ("outgoing", "bob", OUTGOING, RECEIVED_IN_OUTGOING),
    )
    for (state, way) in ways.items()
    for request, result in table[state].items()
]


@pytest.mark.proves("S-1", "S-11", "S-34", "S-36", "S-41", "S-42", "S-46", "S-47", "S-48")
@pytest.mark.parametrize(("peer", "way", "request_", "result"), RECEIVED_CASES)
def test_received_request(stage: Stage, peer: str, way: list[str], request_: str, result: str) -> None:
    stage.play(*way)
    stage.forget()
    session = stage.session
    assert isinstance(session, InviteSession)
    before = session.state
    method = request_.split()[0]
    stage.play(f"{peer} {request_}")
    if result == "up":
        stage.said(f"{peer} > {method}", f"service {method}")
        stage.play(f"service 403 {method}")
        stage.said(f"{peer} < 403 {method}")
    else:
        stage.said(f"{peer} > {method}", f"{peer} < {result} {method}")
    assert session.state == before
    leave(stage)


@pytest.mark.proves("S-10")
@pytest.mark.parametrize(
    ("peer", "way"), [("alice", INCOMING[s]) for s in ("calling", "early", "answered", "confirmed")]
)
def test_received_bye_of_the_caller(stage: Stage, peer: str, way: list[str]) -> None:
    stage.play(*way)
    open_invite = ["alice < 487 INVITE"] if len(way) == 1 or way[-1] == "service 180" else []
    stage.forget()
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", *open_invite, "service BYE", "service TERM")


@pytest.mark.proves("S-10", "S-28")
@pytest.mark.parametrize("state", ["calling", "early", "answered", "confirmed", "cancelling"])
def test_received_bye_of_the_callee(stage: Stage, state: str) -> None:
    stage.play(*OUTGOING[state])
    stage.forget()
    open_invite = [] if state in ("answered", "confirmed") else ["service 487 INVITE (local)"]
    ack = ["bob < ACK"] if state == "answered" else []
    stage.play("bob BYE")
    stage.said("bob > BYE", *ack, "bob < 200 BYE", "service BYE", *open_invite, "service TERM")


# What a request of the service's becomes: "out" onto the wire, a local code, "dropped".

SENT_IN_INCOMING = {
    "calling": {"INVITE": "491", "UPDATE": "481", "PRACK": "481", "INFO": "out", "BYE": "dropped", "ACK": "dropped"},
    "early": {"INVITE": "491", "UPDATE": "out", "PRACK": "481", "INFO": "out", "BYE": "dropped", "MESSAGE": "out"},
    "answered": {"INVITE": "out", "UPDATE": "out", "PRACK": "481", "INFO": "out"},
    "confirmed": {"INVITE": "out", "UPDATE": "out", "PRACK": "481", "INFO": "out", "NOTIFY": "out"},
    "failed": {"INVITE": "481", "UPDATE": "481", "PRACK": "481", "INFO": "481", "BYE": "dropped"},
    "leaving": {"INVITE": "481", "UPDATE": "481", "PRACK": "481", "INFO": "481", "BYE": "dropped"},
}
SENT_IN_OUTGOING = {
    "calling": {"INVITE": "491", "UPDATE": "481", "PRACK": "481", "INFO": "out", "BYE": "dropped"},
    "early": {"INVITE": "491", "UPDATE": "out", "PRACK": "out", "INFO": "out", "BYE": "dropped"},
    "answered": {"INVITE": "491", "UPDATE": "491", "PRACK": "out", "PRACK offer": "491", "INFO": "out"},
    "confirmed": {"INVITE": "out", "UPDATE": "out", "PRACK": "out", "INFO": "out", "CANCEL": "dropped"},
    "cancelling": {"INVITE": "481", "UPDATE": "481", "PRACK": "481", "INFO": "481", "BYE": "dropped"},
    "leaving": {"INVITE": "481", "UPDATE": "481", "PRACK": "481", "INFO": "481", "BYE": "dropped"},
}

SENT_CASES = [
    pytest.param(peer, way, method, result, id=f"{side}-{state}-{method}")
    for side, peer, ways, table in (
        ("incoming", "alice", INCOMING, SENT_IN_INCOMING),
        ("outgoing", "bob", OUTGOING, SENT_IN_OUTGOING),
    )
    for (state, way) in ways.items()
    for method, result in table[state].items()
]


@pytest.mark.proves("S-1", "S-34", "S-36", "S-39", "S-43")
@pytest.mark.parametrize(("peer", "way", "method", "result"), SENT_CASES)
def test_sent_request(stage: Stage, peer: str, way: list[str], method: str, result: str) -> None:
    stage.play(*way)
    stage.forget()
    session = stage.session
    assert isinstance(session, InviteSession)
    before = session.state
    method, _, body = method.partition(" ")
    sent = stage.task.request(session, method, body or None)
    stage.said(*([f"{peer} < {method}"] if result == "out" else []))  # a local answer never comes within the call
    stage.advance()
    if result == "out":
        stage.play(f"{peer} 404 {method}")
        said = [f"{peer} > 404 {method}", f"service 404 {method}"]
        stage.said(*([said[0], f"{peer} < ACK", said[1]] if method == "INVITE" else said))
    elif result == "dropped":
        stage.said()
        assert sum(stage.node.journal.counts.values()) == 1
        stage.node.journal.counts.clear()
    else:
        stage.said(f"service {result} {method} (local)")
        answer = stage.probe.messages[-1]
        assert answer.headers["CSeq"] == sent.cseq
    assert session.state == before
    leave(stage)


def leave(stage: Stage) -> None:
    """Let every timer run out; how a call ends is another test's concern."""
    stage.task.finish()
    stage.advance(1000)
    stage.forget()
