"""Channels: one a userid, whatever connection carries it at the moment. docs/jsip.md section 1.

A channel outlives its connection: what its dialogues send meanwhile waits, within limits, and goes out in order when
the peer is back. A peer that does not come back in its grace has left its dialogues.
"""

from __future__ import annotations

from collections import deque
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final, Iterator, Protocol

from gortc.jsip.gate import Guest
from gortc.jsip.layers import Channel, Journal, Owner, Reader
from gortc.jsip.memory import Account, Held, Memory
from gortc.jsip.message import Message, Request
from gortc.jsip.meter import Meter, renewed
from gortc.jsip.methods import CANCEL, FREE
from gortc.jsip.timers import Timers
from gortc.jsip.uri import URI, parse
from gortc.transport.frames import fitted
from gortc.transport.waiting import Entry, Waiting
from gortc.transport.window import OWN, Window, opened, read_own, resumed, seen

if TYPE_CHECKING:
    from gortc.jsip.session import Session

REPLACED: Final = 4001
"""The close code of a connection that another one under the same name has replaced."""
POLICY: Final = 1008
"""RFC 6455 section 7.4.1: the peer violates a policy; here, it keeps sending garbage."""
TOO_LARGE: Final = 1009
"""RFC 6455 section 7.4.1: a message is too large to be taken."""
REFUSALS: Final = {
    1003: (400, "the peer can't take the message"),
    1007: (400, "the peer can't read the message"),
    TOO_LARGE: (413, "the message is too large for the peer"),
}
"""RFC 6455 section 7.4.1: the codes with which a peer closes its connection for one message that it was sent; and what
whoever has sent that is told. (1008 is for a peer that keeps sending what it should not.)"""

SHARE: Final = 4
"""One part of so many is the most that what is sent for one user takes of the room to wait; one more is left free by
what comes back where there is no room."""
BURST: Final = 8
"""So many times as much may wait when a stall has only just begun: who gets much in a turn of the reactor may read it
all, but its socket is not tried before the next one."""
BEGINS: Final = 0.05
"""So long a stall has only just begun, in seconds."""
ABSENT: Final = 2048
"""A channel whose peer is away takes so many bytes."""

ORDERLY: Final = frozenset((1000, 1001))
"""RFC 6455 section 7.4.1: the peer has done what it came for, or its page is left."""


class Elsewhere(Protocol):
    """What leads to other nodes (`gortc.transport.outbound.Outbound`)."""

    def route(self, uri: URI, owner: Owner | None = None) -> Channel | None:
        """The channel for a first request to a host that is not ours, of `owner`'s; None where there is no way to
        it."""

    def sessions(self) -> Iterator[Session]:
        """Every session of every hop."""


class Connection(Protocol):
    """What a channel needs of a WebSocket connection."""

    def send(self, data: bytes) -> bool:
        """Write one text frame; False where the connection is closing."""

    def hush(self, seconds: float) -> None:
        """Read nothing for so long."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake."""

    def drop_slow(self) -> None:
        """End it at once: what may not be lost waits, and there is no room."""


class PeerChannel(Channel):
    """The channel of one name; `connection` is None while the peer is away.

    `window` is there where the peer may resume, `waiting` what could not be sent, `stalled` whether the peer does not
    read what was sent to it.
    """

    __slots__ = (
        "_channels", "_closed_with", "_held", "_left", "_refused", "_settles_at", "_strikes",
        "_told_lost",
        "absent", "connection", "stalled", "waiting", "window",
    )  # fmt: skip

    def __init__(self, channels: Channels, name: str) -> None:
        super().__init__(name)
        self._channels = channels
        self.connection: Connection | None = None
        self.window: Window | None = None
        self.stalled = False
        self._settles_at = 0.0
        """Until then its stall has only just begun."""
        self.waiting: Waiting | None = None
        self._held: Held | None = None
        self.absent: Held | None = None
        """What it takes while its peer is away."""
        self._told_lost = False
        self._left = False
        self._strikes: deque[float] | None = None
        self._closed_with = 0
        """The code with which the peer has closed its last connection."""
        self._refused: tuple[bytes, int, str] | None = None

    # down

    def send(self, data: bytes) -> int:
        """Send one message's text; 480 while the peer is away, or does not read."""
        connection = self.connection
        if connection is None or self.stalled or not connection.send(data):
            return 480
        if self.window is not None:
            self.window.keep(data)
        return 0

    def hold(self, data: bytes, message: Message | None) -> int:
        """Keep what could not be sent until the peer is back, or reads: 0, or the code that says why not.

        A CANCEL and the INVITE that it means and that waits still go together.
        """
        request = message if type(message) is Request else None
        if self._left:
            return 480
        if request is not None:
            if is_first(request) and self.connection is None:
                refusal = self.refusal()
                if refusal:
                    return refusal
            elif request.method == CANCEL and self._withdraw(request):
                return 487
        waiting = self.waiting
        if waiting is None:
            waiting = self.waiting = self._new_waiting()
        asker = None if request is None else limited_asker(request)
        if not self._has_room(waiting, len(data), request, asker):
            self._channels.journal.note("no room to wait", self.name, message or data)
            if self.connection is not None and (request is None or request.method in FREE):
                self.connection.drop_slow()  # what can't come back is lost, and the peer should know
            return 480
        waiting.add(fitted(data), request, asker)
        self._settle()
        return 0

    def _new_waiting(self) -> Waiting:
        return Waiting(self._channels.unsent_max // self._channels.waiting_max)

    def _has_room(self, waiting: Waiting, size: int, request: Request | None, asker: Channel | None) -> bool:
        """Whether a message of `size` bytes may wait, too.

        A request that comes back where it may not leaves some room for what would be lost: answers, and what ends a
        call. And nobody's requests take all of it, for others have something to say to this peer as well.
        """
        channels = self._channels
        begins = self.connection is not None and self.stalled and channels.clock.seconds() < self._settles_at
        many = BURST if begins else 1
        most, most_bytes = many * channels.waiting_max, many * channels.unsent_max
        account = self.account
        number, all_bytes = waiting.fresh + 1, waiting.fresh_size + size
        if self.window is not None and self.connection is None:  # all of it goes out at once, and is kept then
            number, all_bytes = number + len(self.window), all_bytes + self.window.size
        ends = request is not None and request.method in FREE
        if not ends and account is not None and account.is_over():
            return False
        if request is not None and not ends:
            if asker is not None:
                share = waiting.share(asker)
                if share and share + size > channels.unsent_max // SHARE:
                    return False
            most, most_bytes = most - most // SHARE, most_bytes - most_bytes // SHARE
        return number <= most and all_bytes <= most_bytes

    def _settle(self) -> None:
        """What waits counts as the peer's, as long as it does."""
        waiting, account = self.waiting, self.account
        if waiting is None or not len(waiting):
            self._held = self.waiting = None
        elif self._held is not None:
            self._held.add(waiting.size - self._held.size)
        elif account is not None:
            self._held = account.hold(waiting.size)

    def refusal(self) -> int:
        """The code that a first request comes back with at once; 0 where it may wait."""
        return 480

    def _withdraw(self, cancel: Request) -> bool:
        """Take the INVITE that `cancel` means from what waits, where it does."""
        invite = cancel.related
        waiting = self.waiting
        entry = None if invite is None or waiting is None else waiting.of(invite)
        if invite is None or entry is None:
            return False
        self.take_back(entry)
        invite.session.layer.below.undelivered(invite, 487)
        return True

    def drop_waiting(self) -> None:
        """Nobody will come for it."""
        self.waiting = None
        self._settle()

    def take_back(self, entry: Entry) -> None:
        """It is not to be sent."""
        waiting = self.waiting
        if waiting is not None:
            waiting.remove(entry)
            self._settle()

    def meet(self, guest: Guest | None) -> None:
        """Who is at its other end, from now on."""
        if guest is not None and self.guest is not None:
            guest.wait_until = self.guest.wait_until
        self.guest = guest
        self.trusted = guest is None or guest.told
        if guest is None or not guest.limited:
            self.account = None
        elif self.account is None:
            self.account = Account(self._channels.memory)

    def bind(self, connection: Connection) -> None:
        """`connection` carries it from now on; another one that did is closed as replaced."""
        old, self.connection = self.connection, connection
        self.stalled = False
        self._channels.memory.connections += old is None
        self._closed_with = 0
        self._channels.stay(self)
        if old is not None and old is not connection:
            old.close(REPLACED, "replaced")

    def closed_by_peer(self, connection: Connection, code: int) -> None:
        """The peer has closed `connection` with `code`."""
        if self.connection is connection:
            self._closed_with = code

    def go_on(self, window: Window, number: int) -> None:
        """A peer has resumed that has our messages up to `number`: the others wait, in front of all else.

        Where it has closed its last connection for a message, that is the first one it does not have. It is not sent
        again: the peer would close this connection for it as well, and so for ever.
        """
        window.confirm(number)
        refusal = REFUSALS.get(self._closed_with)
        if refusal is not None:
            culprit = window.take_out()
            if culprit is not None:
                code, reason = refusal
                self._refused = culprit, code, reason
        missed = window.missed(number)
        if missed:
            if self.waiting is None:
                self.waiting = self._new_waiting()
            self.waiting.add_before(missed)
            self._settle()

    def catch_up(self) -> None:
        """The peer is back: send what has waited, and let time run again for its dialogues."""
        back = self._send_waiting()
        refused, self._refused = self._refused, None
        if refused is not None:  # what its sender does now comes behind what was sent before
            data, code, reason = refused
            self._channels.above.refused(self, data, code, reason)
        if not back:
            return
        told, self._told_lost = self._told_lost, False
        if told:
            for session in list(self.sessions.values()):
                if not session.over:
                    session.peer_resumed()

    def stall(self, stalled: bool) -> None:
        """The peer does not read what was sent to it, or it does again: then it gets what waits."""
        if stalled and not self.stalled:
            self._settles_at = self._channels.clock.seconds() + BEGINS
        self.stalled = stalled
        if not stalled:
            self._send_waiting()

    def _send_waiting(self) -> bool:
        """Send what waits, as far as the peer reads; False where it has gone again."""
        waiting = self.waiting
        while waiting is not None and len(waiting):
            data, request, _, again = waiting.first()
            if len(data) > self._channels.frame_max:
                waiting.take()
                self._channels.above.outgrown(self, data)
            elif self.send(data) == 0:
                waiting.take()
                if not again:
                    self._channels.above.gone_out(self, data, request)
            else:
                break
            if waiting is not self.waiting:  # it has left meanwhile
                return False
        self._settle()
        return self.connection is not None

    def tell_lost(self) -> None:
        """Tell the owners of its dialogues that the peer has lost its connection."""
        if self._told_lost:  # it was back for a moment only
            return
        self._told_lost = True
        for session in list(self.sessions.values()):
            if not session.over:
                session.peer_lost()

    def leave(self) -> None:
        """The peer has not come back: so end its dialogues, and what waits is told to whoever sent it."""
        self.drop_waiting()
        self.window = None
        self._left = True
        for session in list(self.sessions.values()):
            if not session.over:
                session.peer_gone()

    # up

    def receive_own(self, data: bytes) -> None:
        """One of the channel's own frames: the peer confirms what it has."""
        window = self.window
        try:
            name, value = read_own(data)
            if name != "seen" or window is None or not window.confirm(seen(value)):
                raise ValueError(f"can't be: {name}")
        except ValueError as bad:
            self._channels.journal.note("bad message", self.name, bad)
            self.garbage()

    def confirm(self) -> None:
        """It is time to tell the peer how far its messages have come."""
        if self.window is not None and self.connection is not None:
            confirmation = self.window.confirmation()
            if confirmation is not None:
                self.connection.send(confirmation)

    def hush(self, seconds: float) -> None:
        """It asks too often."""
        if self.connection is not None:
            self.connection.hush(seconds)

    def garbage(self) -> None:
        """Count a bad message; too many in their time close the connection with 1008."""
        channels = self._channels
        now = channels.clock.seconds()
        if self._strikes is None:
            self._strikes = deque(maxlen=channels.garbage_max)
        strikes = self._strikes
        strikes.append(now)
        full = len(strikes) == channels.garbage_max and now - strikes[0] <= channels.garbage_seconds
        if full and self.connection is not None:
            channels.journal.note("closed for garbage", self.name, len(strikes))
            self._strikes = None
            self.connection.close(POLICY, "too many bad messages")

    @property
    def away(self) -> bool:
        """Whether the peer has no connection at the moment."""
        return self.connection is None

    @property
    def closed(self) -> bool:
        """Whether the peer is away because it has closed its connection in an orderly way."""
        return self._closed_with in ORDERLY

    def end_grace(self) -> None:
        """It is over."""
        self._channels.end_grace(self)

    def release(self) -> None:
        """Its last session has gone; so does the channel of a peer who is away and whom nothing awaits."""
        if self.connection is None and self.window is None and not self.waiting:
            self._channels.forget(self)


class Nowhere(Channel):
    """Where messages to an unreachable peer go: each comes back with the same code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"(nowhere, {code})")
        self._code = code

    def send(self, data: bytes) -> int:
        """Nothing can be sent."""
        return self._code

    def hold(self, data: bytes, message: Message | None) -> int:
        """Nobody will be back."""
        return self._code

    @property
    def leads_nowhere(self) -> bool:
        """That is what it is for."""
        return True

    def garbage(self) -> None:
        """Nothing can be received."""

    def release(self) -> None:
        """It stays for the next one."""


class Channels:
    """All channels of a node, by name, and where a first request goes."""

    def __init__(self, timers: Timers, journal: Journal, above: Reader, settings: Any) -> None:
        """`settings` is `gortc.settings.Settings`."""
        self.clock = timers.clock
        self.journal = journal
        self.memory = Memory(settings.limits)
        self.frames: Meter | None = None
        """What each user, and next hop, with limits has sent."""
        self._timers = timers
        self.configure(settings)
        self.grace: float = settings.times.grace
        self.by_name: dict[str, PeerChannel] = {}
        self.above = above
        self.outbound: Elsewhere | None = None
        self._domains: frozenset[str] = settings.own_domains
        self._offline = Nowhere(480)
        self._unknown = Nowhere(404)
        self.besieged = Nowhere(480)
        """Where it goes what is too much for a user."""
        self.besieged.trouble = "too many others ask for this user"
        self._lost = timers.queue(0, tell_lost)  # not at once: somebody may be in the midst of sending
        self._graced = timers.queue(self.grace, end_grace)

    def configure(self, settings: Any) -> None:
        """What a peer may cost, from now on."""
        self.garbage_max: int = settings.garbage_max
        self.garbage_seconds: float = settings.garbage_seconds
        self.waiting_max: int = settings.waiting_max
        self.unsent_max: int = settings.unsent_max
        self.frame_max: int = settings.frame_max
        self._routed: frozenset[str] = frozenset(settings.routes)
        self.memory.configure(settings.limits)
        self.frames = renewed(self.frames, self._timers, settings.limits.frames)

    def spend(self, channel: PeerChannel, number: int) -> float:
        """`channel`'s peer, which has limits, has sent so many frames, on whatever connection. In how many seconds it
        may send more; 0.0: at once."""
        frames, guest = self.frames, channel.guest
        return 0.0 if frames is None or guest is None else frames.spend(guest.name, number)

    def of(self, name: str) -> PeerChannel:
        """The channel of `name`, made where there is none; `connect` binds it."""
        channel = self.by_name.get(name)
        if channel is None:
            channel = self.by_name[name] = PeerChannel(self, name)
        return channel

    def connect(self, name: str, connection: Connection) -> PeerChannel:
        """Bind `connection`, of a plain peer, to the channel `name`; one that was bound to it is closed as replaced.

        What has waited goes out.
        """
        channel = self.of(name)
        channel.bind(connection)
        channel.window = None
        channel.catch_up()
        return channel

    def resume(self, name: str, connection: Connection, token: str, number: int) -> PeerChannel:
        """The same for a peer that may resume: with the `token` of an earlier connection and the `number` of the last
        message that it has seen, or with no token.

        It is told whether it has resumed. Then what it missed goes out again, and what has waited.
        """
        channel = self.of(name)
        window = channel.window
        reason = None
        if token:
            if window is None or not same(token, window.token):
                reason = "unknown token"
            elif not window.reaches(number):
                reason = "out of window"
            else:
                channel.go_on(window, number)
        channel.bind(connection)
        if token and window is not None and reason is None:
            self.journal.counts["resumed"] += 1
            connection.send(resumed(window, self.grace))
        else:
            if reason is not None:
                self.journal.note("not resumed", name, reason)
            channel.window = window = Window(self.waiting_max, self.unsent_max, account=channel.account)
            connection.send(opened(window, self.grace, reason))
        channel.catch_up()
        return channel

    def receive(self, channel: PeerChannel, connection: Connection, data: bytes) -> None:
        """Take a text frame, unless another connection has replaced the one it came from."""
        if channel.connection is not connection:
            return
        if len(data) > self.frame_max:  # a socket's frame has told so by its head, unless the limit has changed since
            connection.close(TOO_LARGE, "too large")
            return
        window = channel.window
        if window is not None:
            if data.startswith(OWN):
                channel.receive_own(data)
                return
            confirmation = window.take()
            if confirmation is not None:
                connection.send(confirmation)
        self.above.receive(channel, data)

    def lost(self, channel: PeerChannel, connection: Connection) -> None:
        """`connection` has gone; its dialogues wait for the next one of that name, as long as the grace is."""
        if channel.connection is connection:
            channel.connection = None
            self.memory.connections -= 1
            if channel.sessions or (
                (channel.window is not None or channel.waiting is not None) and not self.memory.is_scarce()
            ):
                self._lost.start(channel)
                self._graced.start(channel)
                if channel.account is not None:
                    channel.absent = channel.account.hold(ABSENT)
            else:
                self.forget(channel)

    def stay(self, channel: PeerChannel) -> None:
        """The peer is back in its grace."""
        channel.absent = None
        self._lost.stop(channel)
        self._graced.stop(channel)

    def forget(self, channel: PeerChannel) -> None:
        """Drop a channel that has neither a connection nor a session."""
        if self.by_name.get(channel.name) is channel:
            del self.by_name[channel.name]
            channel.drop_waiting()
            self.stay(channel)

    def end_grace(self, channel: PeerChannel) -> None:
        """A peer has not come back in its grace."""
        if channel.sessions:
            self.journal.note("peer gone", channel.name, f"{len(channel.sessions)} dialogues")
        channel.leave()
        self.forget(channel)

    def all(self) -> list[Channel]:
        """Every channel, those that lead nowhere too, next hops apart."""
        return [*self.by_name.values(), self._offline, self._unknown, self.besieged]

    def sessions(self) -> Iterator[Session]:
        """Every session of every channel."""
        for channel in self.all():
            yield from channel.sessions.values()
        if self.outbound is not None:
            yield from self.outbound.sessions()

    def route(self, text: str, owner: Owner | None = None) -> Channel:
        """The channel for a first request to the URI `text`, of `owner`'s: a connected user's, a next hop's,
        else 480 or 404.

        Raises BadURI.
        """
        uri = parse(text)
        channel = self.by_name.get(uri.name)
        if channel is not None and channel.connection is not None and uri.name not in self._routed:
            return channel
        if uri.host in self._domains:
            return self._offline
        hop = None if self.outbound is None else self.outbound.route(uri, owner)
        return self._unknown if hop is None else hop


def is_first(message: Request) -> bool:
    """Whether it opens a dialogue of ours."""
    return message.session.outgoing and message.cseq == 1


def limited_asker(request: Request) -> Channel | None:
    """For which user with limits `request` is sent; None where it is for nobody, or for many."""
    owner = request.session.owner
    asker = None if owner is None else owner.asker
    if asker is None or asker.elsewhere or asker.guest is None or not asker.guest.limited:
        return None
    return asker


def tell_lost(channel: PeerChannel) -> None:
    """A peer has lost its connection."""
    channel.tell_lost()


def end_grace(channel: PeerChannel) -> None:
    """The grace of a peer is over."""
    channel.end_grace()


def same(one: str, other: str) -> bool:
    """Whether two tokens are the same; how long it takes says nothing about where they differ."""
    return compare_digest(one.encode(), other.encode())
