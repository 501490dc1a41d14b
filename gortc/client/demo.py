"""The demonstration: a server on a free port, and the 400 call played by four user agents over real sockets.

Alice dials 400. Agent 1 is busy, agent 2 does not answer and is cancelled, agent 3 answers; Alice hangs up.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import deferLater, react

from gortc.client.agent import UserAgent
from gortc.client.ladder import Ladder
from gortc.jsip.message import Headers
from gortc.server import Server
from gortc.settings import Settings

REALM = "gortc.local"
WITHIN = 1.0
"""How long an agent rings here, in seconds; 15 by default."""


async def play(reactor: Any) -> None:
    """Play it and print what was said."""
    agents = {"agents": {f"400@{REALM}": [f"agent{number}@{REALM}" for number in (1, 2, 3)]}, "within": WITHIN}
    settings = Settings(realm=REALM, rtc=("tcp:0:interface=127.0.0.1",), api="", services={"hunt400": agents})
    server = Server(settings, reactor)
    server.privilegedStartService()
    server.startService()
    url = server.urls()[0].partition("?")[0]
    print(f"a server on {url}\n")
    ladder = Ladder(f"alice@{REALM}", "gortc")

    def watch(name: str, sent: bool, message: Headers) -> None:
        source, target = (name, "gortc") if sent else ("gortc", name)
        ladder.add(reactor.seconds(), source, target, message)

    names = [f"{name}@{REALM}" for name in ("alice", "agent1", "agent2", "agent3")]
    users = [await UserAgent(reactor, name, watch).connect(url) for name in names]
    await gatherResults([ensureDeferred(part) for part in (alice(users[0]), *map(answer, users[1:], (486, 180, 200)))])
    for user in users:
        await user.disconnect()
    print(ladder.draw())
    node = server.node
    service = node.services.get("hunt400")
    assert service is not None
    print(f"\n{node.sessions.opened} legs in {service.total} instance")
    print(", ".join(f"{number} {what}" for what, number in node.census().items()) + " left")
    await server.stopService()
    if any(node.census().values()) or (node.sessions.opened, service.total) != (4, 1):
        raise SystemExit("the demonstration did not end as it should")


async def alice(user: UserAgent) -> None:
    """The caller."""
    call = user.call(f"400@{REALM}", "v=0 (the offer)")
    await call.expect(180)
    await call.expect(180)  # the third agent's
    await call.expect(200, Body="v=0 (the answer)")
    call.ack()
    talk: Deferred[None] = deferLater(user.reactor, 0.2, lambda: None)
    await talk
    call.bye()
    await call.expect(200)


async def answer(user: UserAgent, code: int) -> None:
    """An agent that is busy (486), rings and never answers (180), or answers (200)."""
    leg = await user.answering()
    if code == 486:
        leg.reply(486)
        await leg.expect("ACK")
        return
    leg.reply(180)
    if code == 180:
        cancel = await leg.expect("CANCEL")
        leg.reply(200, to=cancel)
        leg.reply(487)
        await leg.expect("ACK")
        return
    leg.reply(200, "v=0 (the answer)")
    await leg.expect("ACK")
    leg.reply(200, to=await leg.expect("BYE"))


def main() -> None:
    """`make demo`."""
    react(lambda reactor: ensureDeferred(play(reactor)), sys.argv[1:])


if __name__ == "__main__":
    main()
