"""Whatever a message holds, and whatever becomes of its connection, what is behind it goes on: jsip.md section 2."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gortc.jsip.message import Headers, response
from tests.jsip.kit import Stage

ALICE = "alice@gortc.local"
MAX = 700

values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.text(max_size=5), st.sampled_from(["\ud83d", "x" * MAX, "x" * 300, None, True, -1, 0, 2**70, 1e15]),
        st.builds(object), st.builds(set), st.just(b"bytes"), st.just(float("nan")),
    ),
    lambda inner: (
        st.lists(inner, max_size=60) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=70,
)  # fmt: skip
names = st.sampled_from(["Body", "Reason", "X", "\ud83d", "Type", "Code", "Desc", "DialogueID", "CSeq"])
parties = st.dictionaries(
    st.sampled_from(["From", "To"]), st.text(max_size=5) | st.sampled_from(["\ud83d", "x" * MAX, ""])
)
headers = st.builds(lambda some, others: {**some, **others}, st.dictionaries(names, values, max_size=3), parties)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["INFO", "MESSAGE", "NOTIFY", "ACK", "CANCEL"]), headers),
        st.tuples(st.sampled_from([180, 200, 488]), headers),
        st.tuples(st.just("stateless"), headers),
        st.tuples(st.sampled_from(["lost", "closed", "back", "deaf"]), st.integers(0, 3)),
    ),
    max_size=12,
)


class Wire:
    """A connection that takes what it is given, unless it is deaf."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.deaf = False

    def send(self, data: bytes) -> bool:
        """Take one frame."""
        assert len(data) <= MAX
        if not self.deaf:
            self.got.append(data)
        return not self.deaf

    def drop_slow(self) -> None:
        """It reads at once."""

    def hush(self, seconds: float) -> None:
        """Nobody asks too often."""

    def close(self, code: int, reason: str) -> None:
        """It is replaced."""


class Play:
    """A service and a peer that may resume, which have a call."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.channels = stage.node.channels
        self.cseq = self.seen = 0
        self.token = ""
        self.resume()
        self.hear("INVITE")
        stage.task.answer(stage.received(), 200)
        self.hear("ACK", RelatedID=1)

    def resume(self) -> None:
        """The peer is back, and has seen so many messages."""
        self.wire = Wire()
        self.channel = self.channels.resume(ALICE, self.wire, self.token, self.seen)
        self.token = orjson.loads(self.wire.got.pop(0))[1]["token"]

    def hear(self, method: str, **more: Any) -> None:
        """The peer says something."""
        self.cseq += 1
        names = {"Request-URI": "service", "From": ALICE, "To": "b", "DialogueID": "d", "CSeq": self.cseq}
        self.channels.receive(self.channel, self.wire, orjson.dumps({"Type": method, **names, **more}))

    def take(self, what: str | int, detail: Any) -> None:
        """One step."""
        stack, session = self.stage.node.transactions, self.stage.session
        made: Any = None
        if what == "lost":
            self.channels.lost(self.channel, self.wire)
        elif what == "deaf":
            self.wire.deaf = True
        elif what == "closed":
            self.channel.closed_by_peer(self.wire, 1009)
            self.channels.lost(self.channel, self.wire)
        elif what == "back":
            self.seen += min(detail, len(self.wire.got))
            self.resume()
        elif self.channel.connection is None and isinstance(what, int):
            return
        elif what == "stateless":
            self.stage.node.syntax.answer(self.channel, self.stage.received("INVITE"), 400, **good_names(detail))
        elif session.over:
            return
        elif isinstance(what, int):
            self.hear("INFO")
            asked = self.stage.received("INFO")
            with suppress(ValueError):  # a header that is not the service's to set
                made = response(asked, what, detail)
            if made is not None:
                stack.send_response(made)
        else:
            with suppress(ValueError):
                made = session.make(what, detail)
            if made is not None:
                stack.send_request(made)


def good_names(headers: Headers) -> Headers:
    """The stack itself has no other ones."""
    return {name: value for name, value in headers.items() if name in ("Reason", "X", "Body")}


@pytest.mark.proves("M-40")
@settings(deadline=None)
@given(steps)
def test_nothing_raises(steps: list[tuple[str | int, Any]]) -> None:
    """Neither what is sent, nor what waits, nor what is sent again; and a good message comes through all of it."""
    with Stage(frame_max=MAX) as stage:
        play = Play(stage)
        for what, detail in steps:
            play.take(what, detail)
        stage.advance(1)
        play.seen += len(play.wire.got)
        play.resume()
        stage.advance()
        if getattr(stage.session, "state", "") == "confirmed":  # else an ACK has lost its Body
            stage.task.request(stage.session, "INFO", "good")
            assert orjson.loads(play.wire.got[-1])["Body"] == "good"
        stage.task.finish()
        play.channels.lost(play.channel, play.wire)
        stage.advance(1000)
        stage.failures.clear()
        stage.node.journal.counts.clear()
        stage.forget()


@pytest.mark.proves("M-40")
def test_a_trace_that_raises(stage: Stage) -> None:
    """It is a harm to nobody: what comes, what goes, what has waited."""

    def trace(*_: object) -> None:
        raise RuntimeError

    stage.node.syntax.trace = trace
    stage.play("alice INVITE", "service 200", "alice ACK", "alice OPTIONS", "service 200 OPTIONS")
    stage.person("alice").leave()
    stage.play("service INFO", "service NOTIFY")
    stage.people["alice"] = alice = stage.user("alice")
    assert [message["Type"] for message in alice.inbox] == ["INFO", "NOTIFY"]
    alice.send(orjson.dumps({**alice.inbox[0], "Type": "PUBLISH", "CSeq": 9}))
    alice.expect("INFO")
    stage.logged(*[RuntimeError] * 8)
    stage.counted(*["trace failure"] * 8, "bad request")
    stage.node.syntax.trace = None
    stage.task.finish()
    stage.advance(1000)
    stage.forget()
