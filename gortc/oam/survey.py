"""A look at every session: some at a time, so that calls go on meanwhile."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from gortc.oam.turns import pause

if TYPE_CHECKING:
    from gortc.server import Server

AT_ONCE: Final = 2000
"""So many sessions are a bit of work."""


@frozen
class Survey:
    """How many sessions there are by service, state and direction ("in", "out"), and how many open transactions."""

    sessions: Counter[tuple[str, str, str]] = field(factory=Counter)
    transactions: int = 0


async def survey(server: Server) -> Survey:
    """Take one."""
    sessions: Counter[tuple[str, str, str]] = Counter()
    transactions = looked = 0
    for channel in [*server.node.channels.all(), *server.hops]:
        for session in list(channel.sessions.values()):
            service = getattr(getattr(session.owner, "context", None), "name", "")
            sessions[service, getattr(session, "state", "open"), "out" if session.outgoing else "in"] += 1
            transactions += len(session.transactions)
            looked += 1
            if looked % AT_ONCE == 0:
                await pause(server.reactor)
    return Survey(sessions, transactions)
