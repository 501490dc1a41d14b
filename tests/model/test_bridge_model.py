"""Two peers through the bridge that ships: they say anything at any time."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from gortc.jsip.methods import ACK
from slp_plugins.default import default
from tests.model.peers import Peers
from tests.model.stand import Stand


class Bridge(Peers):
    """`default` connects them."""

    def make_stand(self) -> Stand:
        """The server."""
        return Stand(default)

    def call(self) -> list[Callable[[], object]]:
        """Alice and Bob talk."""
        alice, bob = self.names
        return [
            lambda: self.dial(alice, bob),
            lambda: self.reply(bob, 180),
            lambda: self.reply(bob, 200),
            lambda: self.ask((alice, f"{alice}-1"), ACK),
        ]


def test_whatever_two_peers_say_the_bridge_keeps_the_rules() -> None:
    """Any message from either at any time, with the clock and the connections against it."""
    run_state_machine_as_test(Bridge, settings=settings(stateful_step_count=30))
