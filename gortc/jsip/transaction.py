"""What the four transaction machines share. docs/jsip.md section 3.

Each is a table, `TABLE[state][event] = (next state, action)`: new state before the action, delivery upward last. A
pair that the table does not list meets one door, `Transactions.unexpected`. The tables stand below their classes,
which can then be compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gortc.jsip.message import Request, Response, response
from gortc.jsip.methods import BYE, CANCEL
from gortc.jsip.timers import TimerQueue

if TYPE_CHECKING:
    from gortc.jsip.session import Session
    from gortc.jsip.transactions import Transactions

# What happens to a transaction. Responses are classified first (`classify`), looked up after.
TRYING: Final = "100"
PROVISIONAL: Final = "1xx"
SUCCESS: Final = "2xx"
FAILURE: Final = "3xx-6xx"
ACKED: Final = "ACK"
CANCELLED: Final = "CANCEL"
EXPIRED: Final = "expired"
REFUSED: Final = "refused"  # the peer has closed its connection for the final response, and gets 500 instead

Action = Callable[[Any, Any], None]
Table = dict[str, dict[str, tuple[str, Action]]]


def classify(code: int) -> str:
    """The event that a response with `code` is."""
    if code >= 300:
        return FAILURE
    if code >= 200:
        return SUCCESS
    return PROVISIONAL if code > 100 else TRYING


class Transaction:
    """One request, its session, a state, a running timer, and the local response to one that can't be delivered."""

    __slots__ = ("key", "layer", "refusal", "request", "session", "state", "timer")

    TABLE: ClassVar[Table]
    START: ClassVar[str]
    PATIENT: ClassVar[frozenset[str]] = frozenset()
    """The states in which it waits for the peer: no time runs while that has no connection."""

    def __init__(self, layer: Transactions, request: Request, key: int) -> None:
        self.layer = layer
        self.request = request
        self.session: Session = request.session
        self.key = key
        self.state = self.START
        self.timer: TimerQueue[Transaction] | None = None
        self.refusal: Response | None = None

    def begin(self) -> None:
        """Start the first timer."""
        raise NotImplementedError

    def step(self, event: str, message: Any = None) -> None:
        """Take one event: new state first, then the action."""
        cell = self.TABLE[self.state].get(event)
        if cell is None:
            self.layer.unexpected(self, event, message)
        else:
            self.state, action = cell
            action(self, message)

    def wait(self, queue: TimerQueue[Transaction]) -> None:
        """Expire after the time of `queue`, and no longer after another one's."""
        if self.timer is not None:
            self.timer.stop(self)
        self.timer = queue
        queue.start(self)

    def expired(self) -> None:
        """Its time is up; one that waits for a peer who is away waits on, for the grace decides."""
        if self.session.channel.away and self.state in self.PATIENT:
            self.renew()
        else:
            self.step(EXPIRED)

    def renew(self) -> None:
        """Give a peer that has been away its whole time again."""
        if self.timer is not None and self.state in self.PATIENT:
            self.timer.start(self)

    def peer_gone(self) -> None:
        """The peer will not answer any more: local 408 to whoever awaits it."""
        if self.awaited:
            self.step(FAILURE, self.local(408))

    def close(self) -> None:
        """Leave no timer and no row behind."""
        assert self.timer is not None  # one runs from the beginning to here
        self.timer.stop(self)
        self.timer = None
        del self.session.transactions[self.key]

    @property
    def unfinished(self) -> bool:
        """Whether it still waits for its final response."""
        return FAILURE in self.TABLE[self.state]

    @property
    def awaited(self) -> bool:
        """Whether the service waits for the response: a request that it sent, but BYE and CANCEL."""
        return self.key > 0 and not self.request.local and self.request.method not in (BYE, CANCEL)

    def answer(self, code: int, **headers: Any) -> None:
        """Let the stack answer the (received) request with a final response."""
        self.step(classify(code), response(self.request, code, headers))

    def local(self, code: int) -> Response:
        """A response to the (sent) request that no peer sent."""
        return response(self.request, code, local=True)
