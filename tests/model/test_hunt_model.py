"""Callers and the agents who are rung for them, one by one and all at once: anybody does anything at any time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from gortc import Call, service
from gortc.jsip.message import answer_headers
from gortc.jsip.methods import ACK, CANCEL, INVITE
from gortc.service.interfaces import IServiceLogic
from slp_plugins.hunt400 import hunt400
from tests.model.books import CALLING, EARLY, OPEN, TALKING
from tests.model.peers import Peers, pick, which
from tests.model.stand import Stand

AGENTS = ("agent1", "agent2", "agent3")

WITHIN = 15.0
"""So long an agent rings, in seconds."""


@service("ring")
async def ring(call: Call) -> None:
    """All agents at once; the first that answers wins."""
    legs = [call.leg(f"{name}@gortc.local") for name in AGENTS]
    winner, answer = await call.ring_all(legs, call.caller.offer, within=WITHIN, ringing=call.caller.ring)
    await call.caller.answer(answer)
    await call.bridge(call.caller, winner)


class Hunt(Peers):
    """Two callers, who share three agents. Each call has an offer of its own, by which its legs are known."""

    NAMES = ("alice", "bob", *AGENTS)
    SERVICE: IServiceLogic = hunt400

    def make_stand(self) -> Stand:
        """The server."""
        return Stand(self.SERVICE)

    def call(self) -> list[Callable[[], object]]:
        """Alice talks to an agent."""
        alice, agent = self.names[0], self.names[2]
        return [
            lambda: self.dial(alice, "400@gortc.local", Body="offer 0"),
            lambda: self.reply(agent, 180),
            lambda: self.reply(agent, 200),
            lambda: self.ask((alice, f"{alice}-1"), ACK),
        ]

    @rule(number=st.integers(0, 1))
    def opens(self, number: int) -> None:
        """A call to the number."""
        self.dial(self.names[number], "400@gortc.local", Body=f"offer {self.opened}")

    @precondition(lambda self: self.rung())
    @rule(number=which, code=st.sampled_from([180, 180, 200, 200, 200, 486, 603]))
    def agent_answers(self, number: int, code: int) -> None:
        """One that is rung, or was: late answers are what two agents on one call are made of."""
        name, request = pick(self.rung()[-4:], number)
        self.say(name, {**answer_headers(request, code), "Body": "an answer"})

    def rung(self) -> list[tuple[str, dict[str, object]]]:
        """The INVITEs that peers have received."""
        return [(name, request) for name, request in self.stand.heard if request["Type"] == INVITE]

    @precondition(lambda self: self.stand.firsts)
    @rule(
        number=which,
        method=st.sampled_from(["CANCEL", "CANCEL", "BYE", "BYE", "ACK", "ACK", "ACK", "INVITE", "INFO", "UPDATE"]),
    )
    def asks(self, number: int, method: str) -> None:
        """A caller gives up, acknowledges, hangs up; an agent hangs up; anybody says something."""
        key = pick(list(self.stand.firsts)[-6:], number)
        self.opened += 1
        self.ask(key, method, **({"RelatedID": 1} if method in (ACK, CANCEL) else {"Body": f"word {self.opened}"}))

    def check(self) -> None:
        """One agent at most is connected by each call; then no other is rung, and none at all when the caller has gone.

        Nobody is rung for longer than the service has asked for.
        """
        callers: set[object] = set()
        talking: dict[object, list[str]] = defaultdict(list)
        ringing: dict[object, list[str]] = defaultdict(list)
        for key, book in self.stand.books.items():
            offer = self.stand.firsts[key].get("Body")
            if book.up and book.state in OPEN:
                callers.add(offer)
            elif book.state in TALKING:
                talking[offer].append(book.name)
            elif book.state in (CALLING, EARLY):
                ringing[offer].append(book.name)
                assert self.stand.now < self.stand.began[key] + WITHIN, f"{key} is rung for more than {WITHIN} s"
        for offer, names in talking.items():
            assert len(names) == 1, f"{names} are all connected by {offer}"
            assert not ringing[offer], f"{names} has picked up, and {ringing[offer]} still ring for {offer}"
        gone = {offer for offer in (*talking, *ringing) if offer not in callers and (talking[offer] or ringing[offer])}
        assert not gone, f"who has made {gone} has gone, but not the agents"

    def teardown(self) -> None:
        """Each caller's INVITE has had exactly one final response."""
        super().teardown()
        for key, first in self.stand.firsts.items():
            if first["Request-URI"] == "400@gortc.local":
                finals = self.stand.finals[(*key, first["CSeq"])]
                assert finals == 1, f"{key} has had {finals} final responses"


class Ring(Hunt):
    """The same where all agents ring at once."""

    SERVICE = ring


@pytest.mark.parametrize("model", [Hunt, Ring])
def test_one_agent_at_most_and_one_answer(model: type[Hunt]) -> None:
    """Whatever callers and agents do, with the clock and the connections against them."""
    run_state_machine_as_test(model, settings=settings(stateful_step_count=30))
