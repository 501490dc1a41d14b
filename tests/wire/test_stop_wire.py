"""The server stops at once while calls are up: everybody hears of it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.wire.kit import Node, Peer, Process, ended_well

CONFIG = """
from gortc.tap import configure, make_application
settings = configure(rtc=("tcp:0:interface=127.0.0.1",), log_format="json", load_high=9.0, lag_high=1e9)
application = make_application(settings)
"""


@pytest.mark.proves("C-21", "D-18")
def test_stop(tmp_path: Path) -> None:
    """Calls that talk get BYE, calls that ring CANCEL and 503, every connection 1001; nothing is logged as failed."""
    (tmp_path / "some.tac").write_text(CONFIG)
    process = Process(tmp_path, "gortc", "--config", "some.tac")
    try:
        node = Node(process, process.ports()[0], "gortc.local")
        alice, bob, carol, dave, idle = (Peer(node, name) for name in ("alice", "bob", "carol", "dave", "idle"))
        call = alice.open("INVITE", bob.name)
        leg = bob.answering()
        leg.reply(200)
        call.expect(200)
        call.ack()
        leg.expect("ACK")
        ringing = carol.open("INVITE", dave.name)
        rung = dave.answering()
        rung.reply(180)
        ringing.expect(180)
        stopping = threading.Thread(target=process.stop)
        stopping.start()
        call.expect("BYE")
        leg.expect("BYE")
        ringing.expect(503, CSeq=1)
        rung.expect("CANCEL")
        for peer in (alice, bob, carol, dave, idle):
            assert peer.closed()[0] == 1001
        stopping.join()
    finally:
        ended_well(process)
