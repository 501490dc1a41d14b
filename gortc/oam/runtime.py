"""What runs: instances and what they await, channels, sessions, tables; and draining."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from gortc.client.ladder import printable as short
from gortc.jsip.session import Session
from gortc.jsip.uri import canonical, same_name
from gortc.oam.doors import TEXT_MAX, told, uri
from gortc.oam.history import CHANNEL, History, several
from gortc.oam.route import (
    BAD_PATH,
    NOT_NOW,
    OPERATE,
    PLAIN,
    READ,
    Answer,
    Problem,
    Query,
    Route,
    Text,
    number,
)
from gortc.oam.survey import survey
from gortc.oam.turns import in_turns
from gortc.printable import printable

if TYPE_CHECKING:
    from gortc.server import Server
    from gortc.service.task import Task
    from gortc.transport.channels import PeerChannel

GOING_AWAY = 1001  # RFC 6455 section 7.4.1
PAGE = 100
"""So many rows an answer has, where nobody asks for another number."""
PAGE_MAX = 1000
AT_ONCE = 200
"""So many rows are made in one turn of the reactor."""
LEGS_MAX = 100
"""So many legs of an instance are told; of more, how many more there are."""
STACK_MAX = 1000
"""So many instances, and timers, the stack has."""
ENDED = "ended by the operator"
PAGING = {"limit": f"So many rows, {PAGE_MAX} at most; {PAGE} by default.", "offset": "After so many."}


def routes(server: Server, history: History) -> list[Route]:
    """What runs, below /runtime/v1."""
    runtime = Runtime(server, history)
    sessions = {"channel": "Of this channel.", "service": "Of instances of this service.", **PAGING}
    base = "/runtime/v1"
    return [
        Route("GET", f"{base}/stack", READ, "What instances await, timers, threads.", runtime.stack, kind=PLAIN),
        Route("GET", f"{base}/jstack", READ, "How many of everything are alive.", runtime.jstack),
        Route(
            "GET",
            f"{base}/distribute",
            READ,
            "What leads to which instance.",
            runtime.distribute,
            PAGING,
        ),
        Route("GET", f"{base}/sessions", READ, "Sessions.", runtime.sessions, sessions),
        Route(
            "GET",
            f"{base}/sessions/<path:dialogue>",
            READ,
            "One, with legs and messages.",
            runtime.session,
            CHANNEL,
        ),
        Route("DELETE", f"{base}/sessions/<path:dialogue>", OPERATE, "End its instance.", runtime.end, CHANNEL),
        Route("GET", f"{base}/users", READ, "Users that are online.", runtime.users, PAGING),
        Route("GET", f"{base}/channels", READ, "Channels: users and next hops.", runtime.channels, PAGING),
        Route("GET", f"{base}/channels/<user:name>", READ, "One channel, with its sessions.", runtime.channel, PAGING),
        Route(
            "DELETE", f"{base}/channels/<user:name>", OPERATE, "Close its connection; it may come back.", runtime.close
        ),
        Route("GET", f"{base}/drain", READ, "Whether the server drains, and what is left.", runtime.draining),
        Route("POST", f"{base}/drain", OPERATE, "Take no new sessions, and leave when all are over.", runtime.drain),
        Route("DELETE", f"{base}/drain", OPERATE, "Take that back.", runtime.stay),
    ]


class Runtime:
    """Of one server."""

    def __init__(self, server: Server, history: History) -> None:
        self._server = server
        self._node = server.node
        self._history = history

    async def stack(self, query: Query) -> Answer:
        """Text for people: what each instance waits for, deepest last."""
        lines = []
        tasks = list(self._tasks())
        async for task in in_turns(tasks[:STACK_MAX], self._server.reactor, AT_ONCE):
            lines += [tell(task, query.role), *(f"    {line}" for line in awaited(task))]
        calls = self._server.reactor.getDelayedCalls()
        for call in calls[:STACK_MAX]:
            lines.append(f"timer {call.getTime() - self._server.reactor.seconds():.3f} s {kind(call.func)}")
        for all_of_them, what in ((tasks, "instances"), (calls, "timers")):
            if len(all_of_them) > STACK_MAX:
                lines.append(f"and {len(all_of_them) - STACK_MAX} more {what}")
        frames = sys._current_frames()
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            at = traceback.extract_stack(frame)[-1] if frame is not None else None
            lines.append(f"thread {thread.name} {at.filename}:{at.lineno} {at.name}" if at else f"thread {thread.name}")
        return Text("\n".join(map(printable, lines)) + "\n")

    async def jstack(self, query: Query) -> Answer:
        """Counts."""
        node, channels = self._node, self._node.channels.by_name
        overload = self._server.overload
        return {
            "sessions": node.sessions.count,
            "transactions": (await survey(self._server)).transactions,
            "tasks": sum(len(context.tasks) for context in node.services),
            "timers": len(node.timers),
            "channels": len(channels),
            "connected": sum(channel.connection is not None for channel in channels.values()),
            "connections": len(self._server.connections),
            "held_bytes": node.channels.memory.held,
            "held_bytes_max": node.channels.memory.most,
            "calls": self._node.transactions.calls,
            "calls_a_minute": self._server.management.pulse.a_minute,
            "load": round(overload.load, 3),
            "lag": round(overload.lag, 3),
            "overload": overload.state,
            "counts": dict(self._node.journal.counts),
        }

    async def distribute(self, query: Query) -> Answer:
        """The tables of dispatch: which relid, and which DialogueID on which channel, leads to which instance."""
        dispatch = self._node.dispatch
        relids = [*dispatch.minted.items(), *((key, task) for (_, key), task in dispatch.chosen.items())]

        def related(found: tuple[str, Task]) -> dict[str, Any]:
            relid, task = found
            return {"relid": told(relid, query.role), "service": task.context.name, **legs(task)}

        def leading(session: Session) -> dict[str, Any]:
            channel = uri(session.channel.name, query.role)
            return {"dialogue": session.dialogue_id, "channel": channel, "instance": instance(session)}

        pages = (
            await self._page("relids", relids, related, query),
            await self._page("dialogues", self._sessions(), leading, query),
        )
        return {**pages[0], **pages[1], "more": pages[0]["more"] or pages[1]["more"]}

    async def sessions(self, query: Query) -> Answer:
        """Rows of sessions."""
        channel, service = query.get("channel"), query.get("service")

        def row(session: Session) -> dict[str, Any] | None:
            if channel is not None and not same_name(channel, session.channel.name):
                return None
            made = session_row(session, query.role)
            return made if service in (None, made["service"]) else None

        return await self._page("sessions", self._sessions(), row, query)

    async def session(self, query: Query) -> Answer:
        """One, the other legs of its instance, and the last messages of them all, without their bodies."""
        session = self._session(query)
        others = [leg for leg in getattr(session.owner, "sessions", ()) if leg is not session]
        try:
            messages = await self._history.last(query)
        except Problem:  # it was silent for long, or nothing is kept
            messages = []
        return {
            **session_row(session, query.role),
            "legs": [session_row(leg, query.role) for leg in others[:LEGS_MAX]],
            **more(others),
            "messages": messages,
        }

    def end(self, query: Query) -> Answer:
        """Its instance ends: what is open is answered 503, calls are hung up."""
        session = self._session(query)
        finish = getattr(session.owner, "finish", None)
        if finish is None:
            raise Problem(409, NOT_NOW, "it has no instance any more, and ends by itself")
        finish(503, ENDED, ENDED)
        return {}

    async def channels(self, query: Query) -> Answer:
        """Rows of channels."""
        channels = list(self._node.channels.by_name.values())
        return await self._page("channels", channels, lambda one: channel_row(one, query.role), query)

    async def users(self, query: Query) -> Answer:
        """Rows of channels that have a connection and lead to no other node."""
        online = [one for one in self._node.channels.by_name.values() if one.connection is not None]
        page = await self._page("users", online, lambda one: channel_row(one, query.role), query)
        return {**page, "online": len(online)}

    async def channel(self, query: Query) -> Answer:
        """One."""
        channel = self._channel(query)
        made, sessions = channel_row(channel, query.role), list(channel.sessions.values())
        return {**made, **await self._page("sessions", sessions, lambda one: session_row(one, query.role), query)}

    def close(self, query: Query) -> Answer:
        """Close its connection, as one that is replaced."""
        channel = self._channel(query)
        if channel.connection is None:
            raise Problem(409, NOT_NOW, "it has no connection")
        channel.connection.close(GOING_AWAY, "closed by the operator")
        return {}

    def draining(self, query: Query) -> Answer:
        """The state."""
        drain = self._server.drain
        return {"state": drain.state, "left": drain.left, "seconds": round(drain.seconds, 1)}

    def drain(self, query: Query) -> Answer:
        """Begin."""
        if not self._server.drain.begin():
            raise Problem(409, NOT_NOW, "it drains already")
        return self.draining(query)

    def stay(self, query: Query) -> Answer:
        """Cancel."""
        if not self._server.drain.cancel():
            raise Problem(409, NOT_NOW, "there is nothing to take back")
        return self.draining(query)

    def _channel(self, query: Query) -> PeerChannel:
        channel = self._node.channels.by_name.get(canonical(query["name"]))
        if channel is None:
            raise Problem(404, BAD_PATH, "no such channel")
        return channel

    def _session(self, query: Query) -> Session:
        found = self._history.sessions(query["dialogue"], query.get("channel"))
        if not found:
            raise Problem(404, BAD_PATH, "no such session")
        if len(found) > 1:
            raise several(session.channel.name for session in found)
        return found[0]

    async def _page(
        self, name: str, items: Iterable[Any], row: Callable[[Any], dict[str, Any] | None], query: Query
    ) -> dict[str, Any]:
        """A part of the rows of these (None: it is none of them), and whether there are more."""
        limit, offset = number(query, "limit", PAGE, PAGE_MAX), number(query, "offset", 0, 2**31)
        found: list[dict[str, Any]] = []
        passed = 0
        async for item in in_turns(items, self._server.reactor, AT_ONCE):
            made = row(item)
            if made is None:
                continue
            if passed < offset:
                passed += 1
            elif len(found) < limit:
                found.append(made)
            else:
                return {name: found, "more": True}
        return {name: found, "more": False}

    def _sessions(self) -> Iterator[Session]:
        """All, while some come and go."""
        for channel in [*self._node.channels.all(), *self._server.hops]:
            yield from list(channel.sessions.values())

    def _tasks(self) -> Iterator[Task]:
        for context in self._node.services:
            yield from context.tasks


def session_row(session: Session, role: str) -> dict[str, Any]:
    """What is told of a session to `role`."""
    context = getattr(session.owner, "context", None)
    return {
        "dialogue": session.dialogue_id,
        "channel": uri(session.channel.name, role),
        "service": context.name if context is not None else None,
        "caller": uri(session.caller, role),
        "callee": uri(session.callee, role),
        "outgoing": session.outgoing,
        "state": getattr(session, "state", None),
        "transactions": len(session.transactions),
    }


def legs(task: Task) -> dict[str, Any]:
    """Its DialogueIDs."""
    return {"legs": [session.dialogue_id for session in islice(task.sessions, LEGS_MAX)], **more(task.sessions)}


def more(all_legs: Collection[Session]) -> dict[str, int]:
    """How many are not told."""
    return {"more_legs": len(all_legs) - LEGS_MAX} if len(all_legs) > LEGS_MAX else {}


def instance(session: Session) -> str | None:
    """What tells one instance from another: its service, and a number."""
    context = getattr(session.owner, "context", None)
    return f"{context.name} {id(session.owner):x}" if context is not None else None


def channel_row(channel: PeerChannel, role: str) -> dict[str, Any]:
    """What is told of a channel to `role`."""
    guest = channel.guest
    return {
        "name": uri(channel.name, role),
        "connected": channel.connection is not None,
        "resumes": channel.window is not None,
        "sessions": len(channel.sessions),
        "waiting": len(channel.waiting or ()),
        "address": guest.address if guest is not None else None,
    }


def tell(task: Task, role: str) -> str:
    """One line about an instance, for `role`."""
    some = islice(task.sessions, LEGS_MAX)
    lines = [short(f"{uri(session.channel.name, role)} {session.dialogue_id}", TEXT_MAX) for session in some]
    if len(task.sessions) > LEGS_MAX:
        lines.append(f"and {len(task.sessions) - LEGS_MAX} more")
    return f"instance of {task.context.name}: {', '.join(lines) or 'no legs'}"


def awaited(task: Task) -> list[str]:
    """Where its coroutines stand, outermost first."""
    lines = []
    for hold in task.holds:
        coroutine = getattr(hold, "coroutine", None)
        while coroutine is not None and getattr(coroutine, "cr_frame", None) is not None:
            frame = coroutine.cr_frame
            lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            coroutine = coroutine.cr_await
        lines.append(f"awaits {kind(hold if coroutine is None else coroutine)}")
    return lines


def kind(thing: object) -> str:
    """What it is. What is in it may be a secret."""
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{getattr(named, '__module__', '?')}.{getattr(named, '__qualname__', '?')}"
