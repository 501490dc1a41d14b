"""Every message of the corpus, twice: on a server in memory, and over sockets."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.torture.corpus import FOLDER, Torture, corpus
from tests.torture.lines import Exchange, Memory, Socket
from tests.torture.play import USERS, play
from tests.wire.kit import Node, wired

CORPUS = corpus()
every = pytest.mark.parametrize("torture", CORPUS, ids=lambda torture: torture.name)


def test_the_corpus_is_in_order() -> None:
    """No file is left over; no number, no title and no message is there twice."""
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {f"{torture.name}.{kind}" for torture in CORPUS for kind in ("msg", "yaml")}
    assert len(CORPUS) >= 60
    assert _twice([torture.name[:3] for torture in CORPUS]) == []
    assert _twice([torture.title for torture in CORPUS]) == []


def _twice(names: list[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


@every
def test_in_memory(exchange: Exchange, torture: Torture) -> None:
    """What the two get is what is expected, what is counted too, and nothing is left of it."""
    alice, bob = Memory(exchange, "alice"), Memory(exchange, "bob")
    play(torture, alice, bob)
    assert sorted(exchange.journal.counts.elements()) == sorted(torture.counted)
    for line in (alice, bob):
        line.wire.lose()
    exchange.advance(100)  # the ACK of a failed INVITE may be awaited still
    assert not any(exchange.node.census().values()), exchange.node.census()


@every
def test_over_sockets(server: Node, torture: Torture) -> None:
    """The same with a server process, which gets all of them; alice has another name each time, and so no past."""
    with wired(server) as wire:
        play(torture, Socket(wire.peer("alice")), Socket(wire.peer(USERS["bob"])))
    assert not server.process.tracebacks()
