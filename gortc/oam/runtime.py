"""What runs: instances and what they await, channels, sessions, tables; and draining."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from gortc.jsip.session import Session
from gortc.oam.route import BAD_PATH, BAD_VALUE, NOT_NOW, OPERATE, READ, Answer, Problem, Query, Route, Text

if TYPE_CHECKING:
    from gortc.server import Server
    from gortc.service.task import Task
    from gortc.transport.channels import PeerChannel

GOING_AWAY = 1001  # RFC 6455 section 7.4.1
PAGE = 100
"""So many rows an answer has, where nobody asks for another number."""
PAGE_MAX = 1000
ENDED = "ended by the operator"
PAGING = {"limit": f"So many rows, {PAGE_MAX} at most; {PAGE} by default.", "offset": "After so many."}


def routes(server: Server) -> list[Route]:
    """Everything below /runtime/v1."""
    runtime = Runtime(server)
    sessions = {"channel": "Of this channel.", "service": "Of instances of this service.", **PAGING}
    base = "/runtime/v1"
    return [
        Route("GET", f"{base}/stack", READ, "Instances and what they await, timers, threads, as text.", runtime.stack),
        Route("GET", f"{base}/jstack", READ, "How many of everything are alive.", runtime.jstack),
        Route("GET", f"{base}/distribute", READ, "Which relid leads to which instance.", runtime.distribute, PAGING),
        Route("GET", f"{base}/sessions", READ, "Sessions.", runtime.sessions, sessions),
        Route(
            "GET", f"{base}/sessions/<channel>/<path:dialogue>", READ, "One, with its instance's legs.", runtime.session
        ),
        Route(
            "DELETE", f"{base}/sessions/<channel>/<path:dialogue>", OPERATE, "End it, with its instance.", runtime.end
        ),
        Route("GET", f"{base}/channels", READ, "Channels: users and next hops.", runtime.channels, PAGING),
        Route("GET", f"{base}/channels/<name>", READ, "One channel, with its sessions.", runtime.channel),
        Route("DELETE", f"{base}/channels/<name>", OPERATE, "Close its connection; it may come back.", runtime.close),
        Route("GET", f"{base}/drain", READ, "Whether the server drains, and what is left.", runtime.draining),
        Route("POST", f"{base}/drain", OPERATE, "Take no new sessions, and leave when all are over.", runtime.drain),
        Route("DELETE", f"{base}/drain", OPERATE, "Take that back.", runtime.stay),
    ]


class Runtime:
    """Of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._node = server.node

    def stack(self, query: Query) -> Answer:
        """Text for people: what each instance waits for, deepest last."""
        lines = []
        for task in self._tasks():
            lines += [tell(task), *(f"    {line}" for line in awaited(task))]
        for call in self._server.reactor.getDelayedCalls():
            lines.append(f"timer {call.getTime() - self._server.reactor.seconds():.3f} s {call.func!r}")
        frames = sys._current_frames()
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            at = traceback.extract_stack(frame)[-1] if frame is not None else None
            lines.append(f"thread {thread.name} {at.filename}:{at.lineno} {at.name}" if at else f"thread {thread.name}")
        return Text("\n".join(lines) + "\n")

    def jstack(self, query: Query) -> Answer:
        """Counts."""
        channels = self._node.channels.by_name
        overload = self._server.overload
        return {
            **self._node.census(),
            "channels": len(channels),
            "connected": sum(channel.connection is not None for channel in channels.values()),
            "connections": len(self._server.connections),
            "load": round(overload.load, 3),
            "lag": round(overload.lag, 3),
            "overload": overload.state,
            "counts": dict(self._node.journal.counts),
        }

    def distribute(self, query: Query) -> Answer:
        """The tables of dispatch."""
        dispatch = self._node.dispatch
        rows = [{"relid": relid, "service": task.context.name} for relid, task in dispatch.minted.items()]
        rows += [{"relid": key, "service": service} for service, key in dispatch.chosen]
        return page("relids", rows, query)

    def sessions(self, query: Query) -> Answer:
        """Rows of sessions."""
        found = (
            row
            for row in map(session_row, self._node.channels.sessions())
            if query.get("channel", row["channel"]) == row["channel"]
            and query.get("service", row["service"]) == row["service"]
        )
        return page("sessions", found, query)

    def session(self, query: Query) -> Answer:
        """One, and the other legs of its instance."""
        session = self._session(query)
        legs = getattr(session.owner, "sessions", {})
        return {**session_row(session), "legs": [session_row(leg) for leg in legs if leg is not session]}

    def end(self, query: Query) -> Answer:
        """Its instance ends: what is open is answered 503, calls are hung up."""
        session = self._session(query)
        finish = getattr(session.owner, "finish", None)
        if finish is None:
            raise Problem(409, NOT_NOW, "it has no instance any more, and ends by itself")
        finish(503, ENDED, ENDED)
        return {}

    def channels(self, query: Query) -> Answer:
        """Rows of channels."""
        return page("channels", map(channel_row, self._node.channels.by_name.values()), query)

    def channel(self, query: Query) -> Answer:
        """One."""
        channel = self._channel(query)
        return {**channel_row(channel), "sessions": [session_row(one) for one in channel.sessions.values()]}

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
        channel = self._node.channels.by_name.get(query["name"])
        if channel is None:
            raise Problem(404, BAD_PATH, "no such channel")
        return channel

    def _session(self, query: Query) -> Session:
        session = self._channel({"name": query["channel"]}).sessions.get(query["dialogue"])
        if session is None:
            raise Problem(404, BAD_PATH, "no such session")
        return session

    def _tasks(self) -> Iterator[Task]:
        for context in self._node.services:
            yield from context.tasks


def session_row(session: Session) -> dict[str, Any]:
    """What is told of a session."""
    context = getattr(session.owner, "context", None)
    return {
        "dialogue": session.dialogue_id,
        "channel": session.channel.name,
        "service": context.name if context is not None else None,
        "caller": session.caller,
        "callee": session.callee,
        "outgoing": session.outgoing,
        "state": getattr(session, "state", None),
        "transactions": len(session.transactions),
    }


def channel_row(channel: PeerChannel) -> dict[str, Any]:
    """What is told of a channel."""
    guest = channel.guest
    return {
        "name": channel.name,
        "connected": channel.connection is not None,
        "resumes": channel.window is not None,
        "sessions": len(channel.sessions),
        "waiting": len(channel.waiting or ()),
        "address": guest.address if guest is not None else None,
    }


def tell(task: Task) -> str:
    """One line about an instance."""
    legs = ", ".join(f"{session.channel.name} {session.dialogue_id}" for session in task.sessions)
    return f"instance of {task.context.name}: {legs or 'no legs'}"


def awaited(task: Task) -> list[str]:
    """Where its coroutines stand, outermost first."""
    lines = []
    for hold in task.holds:
        coroutine = getattr(hold, "coroutine", None)
        while coroutine is not None and getattr(coroutine, "cr_frame", None) is not None:
            frame = coroutine.cr_frame
            lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            coroutine = coroutine.cr_await
        lines.append(f"awaits {coroutine!r}" if coroutine is not None else f"awaits {hold!r}")
    return lines


def page(name: str, rows: Iterable[dict[str, Any]], query: Query) -> dict[str, Any]:
    """A part of `rows`, and whether there are more."""
    limit, offset = number(query, "limit", PAGE, PAGE_MAX), number(query, "offset", 0, 2**31)
    found = list(islice(rows, offset, offset + limit + 1))
    return {name: found[:limit], "more": len(found) > limit}


def number(query: Query, name: str, default: int, most: int) -> int:
    """A field that is a number. Raises Problem."""
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > most:
        raise Problem(400, BAD_VALUE, f"{name} must be a number from 0 to {most}")
    return int(text)
