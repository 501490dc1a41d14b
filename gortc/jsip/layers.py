"""What a storey of the stack knows of its neighbours: a channel below, an owner and dispatch above."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gortc.jsip.gate import Guest
    from gortc.jsip.memory import Account, Held
    from gortc.jsip.message import Message, Request, Response
    from gortc.jsip.session import Session


class Channel:
    """One peer, or the place where messages to an unreachable one go."""

    __slots__ = ("account", "elsewhere", "guest", "name", "sessions", "trouble", "trusted")

    def __init__(self, name: str) -> None:
        self.name = name
        self.elsewhere = False
        """Whether it leads to another node: first requests there say how many hops they may make."""
        self.trusted = True
        """Whether it may be told who somebody is (RFC 3325)."""
        self.guest: Guest | None = None
        """Who is at its other end, where that is not to be trusted in all."""
        self.account: Account | None = None
        """What is held for it, where that is limited."""
        self.trouble = ""
        """Why nothing can be delivered, for the `Reason` of a local response; empty where there is nothing to say."""
        self.sessions: dict[str, Session] = {}
        """The session table of this peer: DialogueID -> session. A DialogueID means something on its channel only."""

    def send(self, data: bytes) -> int:
        """Send one message's text. Returns 0, or the code that says why it can't be delivered."""
        raise NotImplementedError

    def hold(self, data: bytes, message: Message | None) -> int:
        """Keep what `send` could not send until it can. Returns 0, or the code that says why it can't be kept."""
        raise NotImplementedError

    @property
    def away(self) -> bool:
        """Whether the peer has no connection at the moment, so that no time runs against it."""
        return False

    @property
    def leads_nowhere(self) -> bool:
        """Whether nobody is at its other end, and never will be."""
        return False

    @property
    def closed(self) -> bool:
        """Whether the peer is away because it has closed its connection, rather than lost it."""
        return False

    def hush(self, seconds: float) -> None:
        """Read nothing of it for so long."""

    def garbage(self) -> None:
        """Note a bad message; too many close the connection."""

    def release(self) -> None:
        """Its last session has gone."""


class Reader(Protocol):
    """The storey above a channel."""

    def receive(self, channel: Channel, data: bytes) -> None:
        """Take one text frame of `channel`, whose UTF-8 was checked."""

    def gone_out(self, channel: Channel, data: bytes, message: Message | None) -> None:
        """A message that had to wait has gone out; None for a response."""

    def refused(self, channel: Channel, data: bytes, code: int, reason: str) -> None:
        """The peer has closed its connection for a message of ours, which is not sent again.

        A request comes back with `code`.
        """

    def outgrown(self, channel: Channel, data: bytes) -> None:
        """The same for one that has waited, and is too large by now: the limit has come down."""


class Owner:
    """Whoever a session belongs to: a task."""

    __slots__ = ()

    def receive(self, message: Request | Response) -> None:
        """Take one message or event of a session."""
        raise NotImplementedError

    def left(self, session: Session) -> None:
        """`session` is over: what is told about it is TERM, once."""
        raise NotImplementedError

    @property
    def asker(self) -> Channel | None:
        """Whose first request has made it; None where nobody's has."""
        return None

    @property
    def payer(self) -> Held | None:
        """What is held for whose first request has made it."""
        return None

    def rings_on(self, time: float) -> bool:
        """Whether an INVITE of its own waits for an answer, and may wait for longer than one that has begun to at
        `time`, on the clock."""
        return False


class Dispatch:
    """The storey above the stack."""

    def receive(self, message: Request | Response) -> None:
        """Find an owner for a session that has none, and give it the message."""
        raise NotImplementedError


class Journal:
    """What the stack says of itself: counts by reason, and a line where something is dropped.

    The node gives the two callables; both must not raise.
    """

    def __init__(
        self,
        line: Callable[[str, str, object], None] = lambda reason, channel, detail: None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """`line(reason, channel, detail)` logs, rate-limited; `detail` is a message, or says what there was instead.
        `failed()` logs the exception being handled."""
        self.counts: Counter[str] = Counter()
        self.failed = failed
        self._line = line

    def note(self, reason: str, channel: str, detail: object) -> None:
        """Count `reason` and log it."""
        self.counts[reason] += 1
        self._line(reason, channel, detail)
