"""A call between two nodes, whose connection breaks at any point of it: nothing is lost, nothing comes twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import txaio.tx
from hypothesis import given, settings
from hypothesis import strategies as st

from gortc.jsip.message import Headers
from gortc.jsip.times import Times
from gortc.testing import Talk
from tests.transport.network import Network

TIMES = Times(connect=1.0, back_off_min=0.1, back_off_max=0.4, ping=0.3, dead=0.8, transaction=30.0)

size = st.one_of(st.none(), st.integers(0, 400))
fault = st.one_of(
    st.none(),
    st.tuples(size, size, st.sampled_from([(True, True), (True, False), (False, True), (False, False)])),
)
"""How many bytes still arrive at either end, and which end hears of it."""


class Call:
    """Alice at a.test calls Bob at b.test; a step is what one of them says."""

    def __init__(self) -> None:
        self.network = Network("a", "b", times=TIMES)
        self.alice, self.bob = self.network.users()
        self.up: Talk
        self.down: Talk
        self.said = 0

    def steps(self) -> list[Callable[[], object]]:
        """A call with words from both sides at any time."""
        return [
            self.dial,
            self.ring,
            self.words,
            self.answer,
            self.acknowledge,
            self.words,
            self.words,
            self.words,
            lambda: self.up.send("BYE"),
        ]

    def dial(self) -> None:
        self.up = self.alice.call("bob@b.test", "offer")

    def ring(self) -> None:
        self.down = self.bob.answering()
        self.down.reply(180)

    def answer(self) -> None:
        self.down.reply(200, "answer")

    def acknowledge(self) -> None:
        self.up.send("ACK", RelatedID=1)

    def words(self) -> None:
        for _ in range(3):
            self.said += 1
            self.up.send("INFO", self.said)
            self.down.send("INFO", -self.said)

    def reply(self) -> None:
        """Each answers whatever it was asked, once."""
        for talk in (self.up, self.down):
            for message in talk.user.inbox:
                if message["Type"] in ("INFO", "BYE") and not message.get("answered"):
                    message["answered"] = True
                    talk.reply(200, to=message)

    def breaks(self, fault: Any) -> None:
        """The latest connection breaks with what is on its way."""
        up, down, hears = fault
        if self.network.cables:
            cable = self.network.cables[-1]
            cable.pump(up, down)
            cable.cut(*hears)

    def got(self, user: Any) -> tuple[list[Any], list[tuple[int, int]], list[str]]:
        """Of a user: the words, the final responses, and the other requests that it got."""
        inbox: list[Headers] = user.inbox
        words = [message["Body"] for message in inbox if message["Type"] == "INFO"]
        finals = [(message["CSeq"], message["Code"]) for message in inbox if message.get("Code", 0) >= 200]
        return words, sorted(finals), [m["Type"] for m in inbox if m["Type"] not in ("INFO", "RESPONSE")]


def play(faults: list[Any]) -> Call:
    """A call with a fault, or none, after each of its steps."""
    call = Call()
    config: Any = txaio.tx.config
    config.loop = call.network.reactor
    for step, fault in zip(call.steps(), faults, strict=True):
        step()
        if fault is not None:
            call.breaks(fault)
        for _ in range(40):  # by then, whoever did not hear of it has found it
            call.network.advance(0.1)
            if hasattr(call, "down"):
                call.reply()
    return call


STEPS = 9
ACK_CSEQ = 5


@pytest.mark.proves("C-34", "C-41", "C-43", "C-44", "C-51")
@settings(deadline=None)
@given(st.lists(fault, min_size=STEPS, max_size=STEPS))
def test_exactly_once_and_in_order(faults: list[Any]) -> None:
    """Whatever breaks, and whoever hears of it, each gets what it would have got else."""
    loop = txaio.tx.config.loop
    try:
        call = play(faults)
    finally:
        txaio.tx.config.loop = loop
    ladder = call.alice.lab.ladder.draw()
    words, finals, others = call.got(call.alice)
    assert words == [-word for word in range(1, 13)], ladder
    assert finals == [(cseq, 200) for cseq in range(1, 16) if cseq != ACK_CSEQ], ladder
    assert others == [], ladder
    words, finals, others = call.got(call.bob)
    assert words == list(range(1, 13)), ladder
    assert finals == [(cseq, 200) for cseq in range(1, 13)], ladder
    assert others == ["ACK", "BYE"], ladder
    call.network.check_empty()
