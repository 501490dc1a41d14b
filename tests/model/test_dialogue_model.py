"""Two peers and a service: all say anything at any time, and the service fails when it likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from gortc.jsip.message import Headers
from gortc.jsip.methods import ACK, INVITE
from tests.model.books import OPEN
from tests.model.peers import CODES, Peers, given, mostly, pick, which
from tests.model.puppet import Boom, Puppet, Troupe
from tests.model.stand import Stand

DEEDS: dict[str, Callable[[Puppet], Any]] = {
    "fail": Puppet.fail,
    "wait": Puppet.wait,
    "finish": Puppet.finish,
    "answer": lambda puppet: puppet.answer(0, 200),
    "hang up": lambda puppet: puppet.ask(0, "BYE"),
    "open": lambda puppet: puppet.open("bob@gortc.local", "INVITE"),
}
"""What an instance may do while it is given a message."""


class Dialogue(Peers):
    """The service's side is the model's, too."""

    def make_stand(self) -> Stand:
        """The server."""
        self.troupe = Troupe()
        return Stand(self.troupe, deliberate=[Boom], requests_max=3)

    def puppet(self, number: int) -> Puppet:
        """An instance, mostly one that lives."""
        return mostly([puppet for puppet in self.troupe.puppets if not puppet.over], self.troupe.puppets, number)

    def act(self) -> None:
        """What follows from it follows."""
        self.stand.advance()

    def say(self, name: str, headers: Headers) -> bool:
        """Send; the service is given nothing where it may not hear of it."""
        said = self.troupe.given
        heard = super().say(name, headers)
        assert heard or self.troupe.given == said, f"the service was given what came of {headers}"
        return heard

    def call(self) -> list[Callable[[], object]]:
        """Alice and Bob talk to the same instance: it has called him, and she has called it."""
        alice, bob = self.names
        return [
            lambda: self.dial(alice, bob),
            lambda: self.puppet(0).open(bob, INVITE),
            lambda: self.reply(bob, 200),
            lambda: self.puppet(0).ack(0),
            lambda: self.puppet(0).answer(0, 200),
            lambda: self.ask((alice, f"{alice}-1"), ACK),
        ]

    @precondition(lambda self: self.troupe.puppets)
    @rule(number=which, code=st.sampled_from(CODES), body=st.booleans())
    def service_answers(self, number: int, code: int, body: bool) -> None:
        """Any request that it has received."""
        self.puppet(number).answer(number % 4, code, "an answer" if body else None)
        self.act()

    @precondition(lambda self: self.troupe.puppets)
    @rule(
        number=which, body=st.booleans(), expire=st.sampled_from((None, None, 9, 30)),
        method=st.sampled_from(["INVITE", "INVITE", "BYE", "BYE", "INFO", "UPDATE", "PRACK", "MESSAGE"]),
    )  # fmt: skip
    def service_asks(self, number: int, method: str, body: bool, expire: int | None) -> None:
        """Any request, in any of its legs."""
        self.puppet(number).ask(number % 4, method, **given(Body="an offer" if body else None, Expire=expire))
        self.act()

    @precondition(lambda self: self.troupe.puppets)
    @rule(number=which, cancels=st.booleans())
    def service_acknowledges(self, number: int, cancels: bool) -> None:
        """An ACK or a CANCEL for any INVITE that it has sent."""
        puppet = self.puppet(number)
        (puppet.cancel if cancels else puppet.ack)(number % 4)
        self.act()

    @rule(number=which, anew=st.booleans(), method=st.sampled_from(["INVITE", "INVITE", "INVITE", "MESSAGE"]))
    def service_opens(self, number: int, anew: bool, method: str) -> None:
        """A leg, of an instance of its own or of one that there is."""
        if anew or not self.troupe.puppets:
            self.stand.start("default")
        self.puppet(number).open(pick(self.names, number), method)
        self.act()

    @precondition(lambda self: self.troupe.puppets)
    @rule(number=which, deed=st.sampled_from(sorted(DEEDS)))
    def service_will(self, number: int, deed: str) -> None:
        """It does something as soon as it is given a message."""
        self.puppet(number).next.append(DEEDS[deed])

    @precondition(lambda self: any(puppet.pending for puppet in self.troupe.puppets))
    @rule(number=which, failed=st.booleans())
    def what_a_service_awaits_comes(self, number: int, failed: bool) -> None:
        """Or fails."""
        pick([puppet for puppet in self.troupe.puppets if puppet.pending], number).fire(failed)
        self.act()

    @precondition(lambda self: self.troupe.puppets)
    @rule(number=which)
    def service_ends(self, number: int) -> None:
        """An instance ends by its own word."""
        self.puppet(number).finish()
        self.act()

    def check(self) -> None:
        """It was given what it should; what an ended instance left open is answered, cancelled or hung up (D-17)."""
        self.troupe.at_rest()
        for puppet in self.troupe.puppets:
            for session in puppet.legs:
                if puppet.over and not session.over:
                    state = self.stand.books[session.channel.name, session.dialogue_id].state
                    assert state not in OPEN, f"{session.dialogue_id} is {state}, and its service has ended"

    def silence(self) -> None:
        """It awaits nothing any more."""
        for puppet in self.troupe.puppets:
            puppet.next.clear()
            while puppet.pending:
                puppet.fire(failed=False)


@pytest.mark.proves(
    "C-23", "C-24", "C-28", "C-34", "C-36", "C-38", "C-39", "M-14", "T-6", "T-7", "T-8", "T-9", "T-10", "T-12",
    "T-13", "T-15", "T-16", "T-18", "T-19", "S-2", "S-3", "S-4", "S-5", "S-7", "S-10", "S-11", "S-12", "S-13",
    "S-14", "S-16", "S-17", "S-18", "S-19", "S-21", "S-22", "S-23", "S-24", "S-25", "S-26", "S-28", "S-29", "S-30",
    "S-32", "S-33", "S-34", "S-36", "S-38", "S-39", "S-41", "S-42", "S-43", "S-47", "S-49", "S-61", "D-13", "D-15",
    "D-17",
)  # fmt: skip
def test_whatever_is_said_the_rules_are_kept() -> None:
    """Any message from any side at any time, with the clock, the connections and the service against it."""
    run_state_machine_as_test(Dialogue, settings=settings(stateful_step_count=40))
