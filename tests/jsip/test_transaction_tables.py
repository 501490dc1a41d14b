"""The tables of the four transaction machines: each cell, and each pair that is none. docs/jsip.md sections 3 and 4.

`CELLS` is written from the contract, state by state and event by event; the code's table must have these cells and no
other. Then each pair of a state and an event is played: what is said, what the service sees, and the state after it.
"""

from __future__ import annotations

import pytest

from gortc.jsip.invite_client import InviteClient
from gortc.jsip.invite_server import InviteServer
from gortc.jsip.request_client import RequestClient
from gortc.jsip.request_server import RequestServer
from gortc.jsip.transaction import Transaction
from tests.jsip.kit import Stage

EVENTS = ("100", "1xx", "2xx", "3xx-6xx", "ACK", "CANCEL", "expired", "refused")

Cells = dict[str, dict[str, str]]

REQUEST_CLIENT: Cells = {
    "unanswered": {
        "100": "proceeding", "1xx": "proceeding", "2xx": "done", "3xx-6xx": "done", "expired": "unanswered",
    },
    "proceeding": {
        "100": "proceeding", "1xx": "proceeding", "2xx": "done", "3xx-6xx": "done", "expired": "proceeding",
    },
    "done": {},
}  # fmt: skip
"""An expired one gives itself the 408, which is a FAILURE: its next state is `done` by that."""

REQUEST_SERVER: Cells = REQUEST_CLIENT

INVITE_CLIENT: Cells = {
    "calling": {
        "100": "calling", "1xx": "proceeding", "2xx": "done", "3xx-6xx": "done", "CANCEL": "cancelling",
        "expired": "abandoned",
    },
    "proceeding": {
        "100": "proceeding", "1xx": "proceeding", "2xx": "done", "3xx-6xx": "done", "CANCEL": "cancelling",
        "expired": "abandoned",
    },
    "cancelling": {
        "100": "cancelling", "1xx": "cancelling", "2xx": "done", "3xx-6xx": "done", "CANCEL": "cancelling",
        "expired": "done",
    },
    "abandoned": {
        "100": "abandoned", "1xx": "abandoned", "2xx": "done", "3xx-6xx": "done", "CANCEL": "abandoned",
        "expired": "done",
    },
    "done": {},
}  # fmt: skip

INVITE_SERVER: Cells = {
    "proceeding": {
        "100": "proceeding", "1xx": "proceeding", "2xx": "accepted", "3xx-6xx": "completed", "CANCEL": "proceeding",
        "expired": "quiet",
    },
    "quiet": {
        "100": "quiet", "1xx": "proceeding", "2xx": "accepted", "3xx-6xx": "completed", "CANCEL": "quiet",
        "expired": "late",
    },
    "late": {
        "100": "late", "1xx": "proceeding", "2xx": "accepted", "3xx-6xx": "completed", "CANCEL": "late",
        "expired": "late",
    },
    "accepted": {"ACK": "done", "CANCEL": "accepted", "expired": "done", "refused": "done"},
    "completed": {"ACK": "done", "CANCEL": "completed", "expired": "done", "refused": "completed"},
    "done": {},
}  # fmt: skip
"""A cancelled or expired one answers itself 487 or 408, which is a FAILURE: its next state is `completed` by that."""

MACHINES: list[tuple[type[Transaction], Cells]] = [
    (RequestClient, REQUEST_CLIENT),
    (RequestServer, REQUEST_SERVER),
    (InviteClient, INVITE_CLIENT),
    (InviteServer, INVITE_SERVER),
]


@pytest.mark.proves("T-21")
@pytest.mark.parametrize(("machine", "cells"), MACHINES)
def test_the_table_has_these_cells_and_no_other(machine: type[Transaction], cells: Cells) -> None:
    table = {state: {event: cell[0] for event, cell in row.items()} for state, row in machine.TABLE.items()}
    assert table == cells
    assert next(iter(cells)) == machine.START


Play = dict[tuple[str, str], tuple[str, str, list[str]]]
"""(state, event) -> the step that brings the event, "" for the channel; the state after it, what is said then."""

REQUEST_CLIENT_WAYS = {
    "unanswered": ["service INVITE", "bob 200", "service ACK", "service INFO"],
    "proceeding": ["service INVITE", "bob 200", "service ACK", "service INFO", "bob 180 INFO"],
}

REQUEST_CLIENT_PLAY: Play = {
    ("unanswered", "100"): ("bob 100 INFO", "proceeding", ["bob > 100 INFO"]),
    ("unanswered", "1xx"): ("bob 180 INFO", "proceeding", ["bob > 180 INFO", "service 180 INFO"]),
    ("unanswered", "2xx"): ("bob 200 INFO", "done", ["bob > 200 INFO", "service 200 INFO"]),
    ("unanswered", "3xx-6xx"): ("bob 486 INFO", "done", ["bob > 486 INFO", "service 486 INFO"]),
    ("unanswered", "expired"): ("wait 5", "done", ["service 408 INFO (local)"]),
    ("proceeding", "100"): ("bob 100 INFO", "proceeding", ["bob > 100 INFO"]),
    ("proceeding", "1xx"): ("bob 183 INFO", "proceeding", ["bob > 183 INFO", "service 183 INFO"]),
    ("proceeding", "2xx"): ("bob 202 INFO", "done", ["bob > 202 INFO", "service 202 INFO"]),
    ("proceeding", "3xx-6xx"): ("bob 603 INFO", "done", ["bob > 603 INFO", "service 603 INFO"]),
    ("proceeding", "expired"): ("wait 60", "done", ["service 408 INFO (local)"]),
}

REQUEST_SERVER_WAYS = {
    "unanswered": ["alice INVITE", "service 200", "alice ACK", "alice INFO"],
    "proceeding": ["alice INVITE", "service 200", "alice ACK", "alice INFO", "service 180 INFO"],
}

REQUEST_SERVER_PLAY: Play = {
    ("unanswered", "100"): ("service 100 INFO", "proceeding", ["alice < 100 INFO"]),
    ("unanswered", "1xx"): ("service 180 INFO", "proceeding", ["alice < 180 INFO"]),
    ("unanswered", "2xx"): ("service 200 INFO", "done", ["alice < 200 INFO"]),
    ("unanswered", "3xx-6xx"): ("service 404 INFO", "done", ["alice < 404 INFO"]),
    ("unanswered", "expired"): ("wait 5", "done", ["alice < 504 INFO"]),
    ("proceeding", "100"): ("service 100 INFO", "proceeding", ["alice < 100 INFO"]),
    ("proceeding", "1xx"): ("service 183 INFO", "proceeding", ["alice < 183 INFO"]),
    ("proceeding", "2xx"): ("service 202 INFO", "done", ["alice < 202 INFO"]),
    ("proceeding", "3xx-6xx"): ("service 503 INFO", "done", ["alice < 503 INFO"]),
    ("proceeding", "expired"): ("wait 60", "done", ["alice < 504 INFO"]),
}

INVITE_CLIENT_WAYS = {
    "calling": ["service INVITE"],
    "proceeding": ["service INVITE", "bob 180"],
    "cancelling": ["service INVITE", "bob 180", "service CANCEL"],
    "abandoned": ["service INVITE", "bob 180", "wait 60"],
}

REFUSED = ["bob > 486 INVITE", "bob < ACK", "service 486 INVITE", "service TERM"]
EXPIRED = ["bob < CANCEL", "service 408 INVITE (local)"]

INVITE_CLIENT_PLAY: Play = {
    ("calling", "100"): ("bob 100", "calling", ["bob > 100 INVITE"]),
    ("calling", "1xx"): ("bob 180", "proceeding", ["bob > 180 INVITE", "service 180 INVITE"]),
    ("calling", "2xx"): ("bob 200", "done", ["bob > 200 INVITE", "service 200 INVITE"]),
    ("calling", "3xx-6xx"): ("bob 486", "done", REFUSED),
    ("calling", "CANCEL"): ("service CANCEL", "cancelling", ["bob < CANCEL"]),
    ("calling", "expired"): ("wait 60", "abandoned", EXPIRED),
    ("proceeding", "100"): ("bob 100", "proceeding", ["bob > 100 INVITE"]),
    ("proceeding", "1xx"): ("bob 183", "proceeding", ["bob > 183 INVITE", "service 183 INVITE"]),
    ("proceeding", "2xx"): ("bob 200", "done", ["bob > 200 INVITE", "service 200 INVITE"]),
    ("proceeding", "3xx-6xx"): ("bob 486", "done", REFUSED),
    ("proceeding", "CANCEL"): ("service CANCEL", "cancelling", ["bob < CANCEL"]),
    ("proceeding", "expired"): ("wait 60", "abandoned", EXPIRED),
    ("cancelling", "100"): ("bob 100", "cancelling", ["bob > 100 INVITE"]),
    ("cancelling", "1xx"): ("bob 180", "cancelling", ["bob > 180 INVITE"]),
    ("cancelling", "2xx"): (
        "bob 200 INVITE", "done", ["bob > 200 INVITE", "bob < ACK", "bob < BYE", "service 487 INVITE (local)"],
    ),
    ("cancelling", "3xx-6xx"): (
        "bob 487", "done", ["bob > 487 INVITE", "bob < ACK", "service 487 INVITE", "service TERM"],
    ),
    ("cancelling", "CANCEL"): ("service CANCEL", "cancelling", []),
    ("cancelling", "expired"): ("wait 32", "done", ["service 487 INVITE (local)", "service TERM"]),
    ("abandoned", "100"): ("bob 100", "abandoned", ["bob > 100 INVITE"]),
    ("abandoned", "1xx"): ("bob 180", "abandoned", ["bob > 180 INVITE"]),
    ("abandoned", "2xx"): ("bob 200", "done", ["bob > 200 INVITE", "bob < ACK", "bob < BYE"]),
    ("abandoned", "3xx-6xx"): ("bob 487", "done", ["bob > 487 INVITE", "bob < ACK", "service TERM"]),
    ("abandoned", "CANCEL"): ("service CANCEL", "abandoned", []),
    ("abandoned", "expired"): ("wait 32", "done", ["service TERM"]),
}  # fmt: skip

RING_BOB = "a leg of the same instance"

INVITE_SERVER_WAYS = {
    "proceeding": ["alice INVITE"],
    "quiet": ["alice INVITE", "wait 30"],
    "late": ["alice INVITE", "wait 0.5", RING_BOB, "wait 59.5"],
    "accepted": ["alice INVITE", "service 200"],
    "completed": ["alice INVITE", "service 486"],
}

INVITE_SERVER_PLAY: Play = {
    ("proceeding", "100"): ("service 100", "proceeding", []),
    ("proceeding", "1xx"): ("service 180", "proceeding", ["alice < 180 INVITE"]),
    ("proceeding", "2xx"): ("service 200", "accepted", ["alice < 200 INVITE"]),
    ("proceeding", "3xx-6xx"): ("service 486", "completed", ["alice < 486 INVITE"]),
    ("proceeding", "ACK"): ("alice ACK", "proceeding", ["alice > ACK"]),
    ("proceeding", "CANCEL"): (
        "alice CANCEL", "completed", ["alice > CANCEL", "alice < 200 CANCEL", "alice < 487 INVITE", "service CANCEL"],
    ),
    ("proceeding", "expired"): ("wait 30", "quiet", []),
    ("quiet", "100"): ("service 100", "quiet", []),
    ("quiet", "1xx"): ("service 180", "proceeding", ["alice < 180 INVITE"]),
    ("quiet", "2xx"): ("service 200", "accepted", ["alice < 200 INVITE"]),
    ("quiet", "3xx-6xx"): ("service 486", "completed", ["alice < 486 INVITE"]),
    ("quiet", "ACK"): ("alice ACK", "quiet", ["alice > ACK"]),
    ("quiet", "CANCEL"): (
        "alice CANCEL", "completed", ["alice > CANCEL", "alice < 200 CANCEL", "alice < 487 INVITE", "service CANCEL"],
    ),
    ("quiet", "expired"): ("wait 30", "completed", ["alice < 408 INVITE", "service CANCEL (local)"]),
    ("late", "100"): ("service 100 INVITE", "late", []),
    ("late", "1xx"): ("service 180 INVITE", "proceeding", ["alice < 180 INVITE"]),
    ("late", "2xx"): ("service 200 INVITE", "accepted", ["alice < 200 INVITE"]),
    ("late", "3xx-6xx"): ("service 486 INVITE", "completed", ["alice < 486 INVITE"]),
    ("late", "ACK"): ("alice ACK", "late", ["alice > ACK"]),
    ("late", "CANCEL"): (
        "alice CANCEL", "completed", ["alice > CANCEL", "alice < 200 CANCEL", "alice < 487 INVITE", "service CANCEL"],
    ),
    ("late", "expired"): (
        "wait 2", "completed",
        ["bob < CANCEL", "service 408 INVITE (local)", "alice < 408 INVITE", "service CANCEL (local)"],
    ),
    ("accepted", "100"): ("service 100", "accepted", []),
    ("accepted", "1xx"): ("service 180", "accepted", []),
    ("accepted", "2xx"): ("service 200", "accepted", []),
    ("accepted", "3xx-6xx"): ("service 486", "accepted", []),
    ("accepted", "ACK"): ("alice ACK", "done", ["alice > ACK", "service ACK"]),
    ("accepted", "CANCEL"): ("alice CANCEL", "accepted", ["alice > CANCEL", "alice < 200 CANCEL"]),
    ("accepted", "expired"): ("wait 32", "done", ["alice < BYE", "service BYE (local)"]),
    ("accepted", "refused"): ("", "done", ["service BYE (local)", "service TERM"]),
    ("completed", "100"): ("service 100", "completed", []),
    ("completed", "1xx"): ("service 180", "completed", []),
    ("completed", "2xx"): ("service 200", "completed", []),
    ("completed", "3xx-6xx"): ("service 486", "completed", []),
    ("completed", "ACK"): ("alice ACK", "done", ["alice > ACK", "service TERM"]),
    ("completed", "CANCEL"): ("alice CANCEL", "completed", ["alice > CANCEL", "alice < 200 CANCEL"]),
    ("completed", "expired"): ("wait 5", "done", ["service TERM"]),
    ("completed", "refused"): ("", "completed", []),
}  # fmt: skip

PLAYS = [
    pytest.param(machine, key, ways[state], step, cells, state, event, id=f"{machine.__name__}-{state}-{event}")
    for machine, key, ways, cells, play in (
        (RequestClient, 3, REQUEST_CLIENT_WAYS, REQUEST_CLIENT, REQUEST_CLIENT_PLAY),
        (RequestServer, -3, REQUEST_SERVER_WAYS, REQUEST_SERVER, REQUEST_SERVER_PLAY),
        (InviteClient, 1, INVITE_CLIENT_WAYS, INVITE_CLIENT, INVITE_CLIENT_PLAY),
        (InviteServer, -1, INVITE_SERVER_WAYS, INVITE_SERVER, INVITE_SERVER_PLAY),
    )
    for (state, event), step in play.items()
]


@pytest.mark.proves("T-21")
@pytest.mark.parametrize(("machine", "key", "way", "play", "cells", "state", "event"), PLAYS)
def test_each_event_in_each_state(
    stage: Stage,
    machine: type[Transaction],
    key: int,
    way: list[str],
    play: tuple[str, str, list[str]],
    cells: Cells,
    state: str,
    event: str,
) -> None:
    for step in way:
        if step == RING_BOB:
            stage.task.open(stage.person("bob").name)
        else:
            stage.play(step)
    stage.forget()
    session = stage.session if RING_BOB not in way else stage.probe.messages[0].session
    transaction = session.transactions[key]
    assert type(transaction) is machine
    assert transaction.state == state
    then, after, said = play
    if then:
        stage.play(then)
    else:  # it comes from below
        transaction.step(event, "too large for the peer")
    stage.said(*said)
    assert transaction.state == after
    assert (key in transaction.session.transactions) == (after != "done")
    if said == [] and then == "service CANCEL":  # the session has dropped it already
        stage.counted("send CANCEL in cancelling")
        transaction.step("CANCEL")
        stage.said()
    dropped = event not in cells[state] or (machine is InviteServer and event == "100")
    stage.counted(*([f"unexpected {event}"] if dropped else []))
    stage.advance(1000)
    stage.forget()


@pytest.mark.parametrize(
    ("cells", "play"),
    [
        (REQUEST_CLIENT, REQUEST_CLIENT_PLAY),
        (REQUEST_SERVER, REQUEST_SERVER_PLAY),
        (INVITE_CLIENT, INVITE_CLIENT_PLAY),
        (INVITE_SERVER, INVITE_SERVER_PLAY),
    ],
)
def test_every_cell_is_played(cells: Cells, play: Play) -> None:
    assert {(state, event) for state, row in cells.items() for event in row} <= set(play)


@pytest.mark.proves("T-21")
def test_a_done_machine_drops_whatever_comes(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "alice INFO")
    done = list(stage.session.transactions.values())
    stage.play("service 200", "alice ACK", "service INFO", "service INVITE")
    done += stage.session.transactions.values()
    stage.play("alice 200 INFO", "alice 200 INVITE", "service ACK")
    stage.forget()
    assert {type(transaction) for transaction in done} == {machine for machine, _ in MACHINES}
    for transaction in done:
        for event in EVENTS:
            assert transaction.state == "done"
            transaction.step(event)
            stage.said()
            stage.counted(f"unexpected {event}")
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")
