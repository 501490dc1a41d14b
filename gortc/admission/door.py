"""The door: who may come in at all, before anybody is asked who he is. docs/security.md, "At the door".

A connection costs whoever makes it little, and a handshake costs us a thousand times of what it takes to turn it away.
So an address that connects far too often is turned away as it is accepted; nothing is made for a connection that has
said nothing; and handshakes are read in turn, household by household, for some time each turn of the reactor and no
longer: who is in already does not wait for who comes, nor one household for another. Who has begun one and who begins
take turns, too: most that is asked of us is asked by the first words of TLS, and who goes on does not wait behind them.
Where there is no room, whoever keeps us waiting makes some; where all wait for us, nobody else is accepted meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from gortc.admission.addresses import Proxies, household
from gortc.admission.crowd import Crowd
from gortc.admission.rounds import Rounds
from gortc.jsip.layers import Journal
from gortc.jsip.meter import Meter, renewed
from gortc.jsip.timers import Timers

if TYPE_CHECKING:
    from gortc.settings import Settings

LATE: Final = 1.0
"""Who has begun, and has kept us waiting for so long in all, in seconds, makes room where there is none."""
LOOKS: Final = 32
"""Of so many is looked whether they are late, those first who have said nothing for longest."""
REOPEN: Final = 0.25
"""So often is looked whether there is room again, in seconds, besides whenever somebody leaves."""
TELL_EVERY: Final = 1.0
"""Between two lines of the log about connections that are turned away, in seconds."""


class Door:
    """Of one server. With the setting `auth` as `loopback` it is `open`: nothing is limited.

    A connection at the door has `take_turn()`, which reads what it says, `begun`, whether it has said anything before,
    `is_silent()`, whether nothing of it is there to be read, either, `owed`, for how long it has kept us waiting since,
    and `give_up()`, which ends it at once.
    """

    flood = "handshake flood"
    """What it is called where there are too many."""

    def __init__(
        self, settings: Settings, timers: Timers, journal: Journal, worked: Callable[[], float] = perf_counter
    ) -> None:
        """`worked()` tells how long a turn has taken, in seconds."""
        self.open = settings.auth == "loopback"
        self.timers = timers
        self._journal = journal
        self._worked = worked
        self._crowd: Crowd[Any] = Crowd()
        self._silent: dict[Any, None] = {}
        """Who has said nothing yet, the oldest first."""
        self._owing: dict[Any, float] = {}
        """Who has begun and is to go on, and since when we wait for that; the one for whom we wait longest is first."""
        self._outside: dict[Any, None] = {}
        """Ports that accept nobody until there is room."""
        self._begun: Rounds[Any] = Rounds()
        self._beginners: Rounds[Any] = Rounds()
        self._next = [self._begun, self._beginners]
        self._turns = timers.queue(0, give_turns)
        self._soon, self._later = timers.queue(0, reopen), timers.queue(REOPEN, reopen)
        self._accepts: Meter | None = None
        self._end = 0.0
        self._told_at: dict[str, float] = {}
        self.files = sys.maxsize
        """So many connections may be open, at the door and beyond: each is a file. With more, who comes is let in only
        where somebody makes room."""
        self.connections = 0
        """So many are."""
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """What holds for who comes from now on."""
        self._proxies = Proxies(settings.proxies)
        self.seconds = settings.handshake_seconds
        """So long may a connection be at the door."""
        limits = settings.limits
        self._room = limits.handshaking
        self._turn = limits.turn
        self._accepts = renewed(self._accepts, self.timers, limits.accepts)

    def __len__(self) -> int:
        """How many connections are at the door."""
        return len(self._crowd)

    def admits(self, address: str) -> bool:
        """Whether another connection of `address` is taken; those of our proxies are other people's."""
        if self._accepts is None or self._accepts.take(household(address)) == 0.0 or address in self._proxies:
            return True
        self._journal.counts["connection reset"] += 1
        self._tell("connection flood", address, "it connects too often")
        return False

    def lacks_files(self, address: str) -> bool:
        """Whether another connection, of `address`, can't be taken: the files that are left are not the door's, and
        nobody is there who could make room."""
        if self.connections < self.files or len(self._crowd):
            return False
        self.no_files(1, address)
        return True

    def no_files(self, connections: int, address: str = "") -> None:
        """So many were closed as they came, for no more files may be open."""
        self._journal.counts["connection refused, no files"] += connections
        self._tell("no files", address, "connections are closed as they come: let more files be open")

    def _tell(self, reason: str, address: str, why: str) -> None:
        """Once a second at most: there may be thousands."""
        now = self.timers.clock.seconds()
        if now - self._told_at.get(reason, -TELL_EVERY) >= TELL_EVERY:
            self._told_at[reason] = now
            self._journal.note(reason, address, why)

    def began(self, one: Any, address: str, silent: bool = False) -> None:
        """A connection that has its handshake to make, of `address` as far as is known ("": not at all)."""
        self._crowd.add(one, self._home(one, address))
        if self._is_full(1):
            # Where nobody should go it came by a UNIX socket, whose port accepts all.
            last = self._who_should_go() or self._crowd.oldest_of_most()
            self._journal.note(self.flood, last.address, f"{len(self._crowd) - 1} others are in theirs")
            self.done(last)
            last.give_up()
        if silent and one in self._crowd:
            self._silent[one] = None

    def done(self, one: Any) -> None:
        """It is not at the door any more, whatever came of it."""
        self._crowd.remove(one)
        self._silent.pop(one, None)
        self._owing.pop(one, None)
        if self._outside and self not in self._soon:
            self._soon.start(self)

    # room

    def has_room(self) -> bool:
        """Whether another one may be accepted: there is room, or somebody would make some."""
        if not self._is_full(0) or not len(self._crowd):
            return True
        return self._who_should_go() is not None

    def wait(self, port: Any) -> None:
        """There is none: `port` accepts nobody, but the system keeps whoever comes. It is told to `reopen()`."""
        self._outside[port] = None
        self._journal.counts["door full"] += 1
        self._later.start(self)

    def reopen(self) -> None:
        """There may be room again."""
        self._soon.stop(self)
        self._later.stop(self)
        ports, self._outside = self._outside, {}
        for port in ports:
            port.reopen()

    def _is_full(self, more: int) -> bool:
        """With one that has come, `more` is 1; before it has, 0."""
        return not self.open and (len(self._crowd) >= self._room + more or self.connections >= self.files + more)

    def _who_should_go(self) -> Any:
        """Of the household that has most there, the oldest one: whoever is honest is through in a moment, and whoever
        has one does not make room for who has more. Where all have one, who keeps us waiting; None where nobody does:
        they wait for us."""
        if self._crowd.most > 1:
            return self._crowd.oldest_of_most()
        while self._silent:
            one = next(iter(self._silent))
            if one.is_silent():
                return one
            del self._silent[one]  # it will knock
        now = self.timers.clock.seconds()
        for one, since in islice(self._owing.items(), LOOKS):
            if one.owed + now - since > LATE:
                return one
        return None

    def is_to_go_on(self, one: Any) -> None:
        """`one` has been read, and has more to say before it can be let in."""
        if one in self._crowd:
            self._owing[one] = self.timers.clock.seconds()

    def is_with_us(self, one: Any) -> None:
        """`one` has said what we have waited for; it waits for us."""
        self._silent.pop(one, None)
        since = self._owing.pop(one, None)
        if since is not None:
            one.owed += self.timers.clock.seconds() - since

    def _home(self, one: Any, address: str) -> Hashable:
        """A proxy is no household: each of its connections is somebody else's."""
        return one if address in self._proxies else household(address)

    # turns

    def knock(self, one: Any, ahead: bool = False) -> bool:
        """`one` has something to say. Whether it may at once, for nobody waits; else it waits for its turn, behind the
        others of its household, or `ahead` of them."""
        self.is_with_us(one)
        now = self._worked()
        if self not in self._turns:  # the first one, this turn of the reactor
            self._turns.start(self)
            self._end = now + self._turn
        if not self.waiting and now < self._end:
            return True
        (self._begun if one.begun else self._beginners).add(one, self._home(one, one.address), ahead)
        return False

    @property
    def waiting(self) -> int:
        """How many have something to say, and wait for their turn."""
        return len(self._begun) + len(self._beginners)

    def leave(self, one: Any) -> None:
        """It waits no longer, where it did."""
        self._begun.drop(one)
        self._beginners.drop(one)

    def give_turns(self) -> None:
        """The reactor has taken a turn. One each household, and so on, until all that is to be read is read, or it has
        taken long enough."""
        if self.waiting:
            self._turns.start(self)  # what is left of the time is for who knocks in this one
        self._end = self._worked() + self._turn
        while self.waiting:
            one = (self._next[0] or self._next[1]).take()
            self._next.reverse()
            try:
                one.take_turn()
            except Exception:  # it must not keep the others from theirs
                self._journal.failed()
                one.give_up()
            if self._worked() >= self._end:
                break

    def shut(self) -> None:
        """The server stops: whoever is at the door is sent away."""
        self._outside.clear()
        for queue in (self._turns, self._soon, self._later):
            queue.stop(self)
        for one in (*self._begun, *self._beginners):
            self.leave(one)
        for one in list(self._crowd):
            self.done(one)
            one.give_up()


def give_turns(door: Door) -> None:
    """Who waits at `door` may take theirs."""
    door.give_turns()


def reopen(door: Door) -> None:
    """There may be room at `door`."""
    door.reopen()
