"""Looking up the names of hosts that are dialled: in threads of their own, a few at a time, in turn.

Users choose those names, and so who answers for them, and how slowly. The reactor's threads have other things to do: a
password is compared in one. A thread that hangs in a look-up ends when that does; nobody waits for it, nor does the end
of the server.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from gortc.admission.turns import Turns

SHARE: Final = 4
"""For one user no more than this part of all is looked up at a time."""
KINDS: Final = {socket.AF_INET: IPv4Address, socket.AF_INET6: IPv6Address}

Found = list[Any]


def in_thread(run: Callable[[], None]) -> None:
    """Run it in a thread which nobody waits for."""
    Thread(target=run, daemon=True).start()


class Lookups:
    """`most` names at a time, each in a thread; who waits, or whose thread hangs, for `seconds` has found nothing."""

    def __init__(
        self,
        reactor: Any,
        most: int,
        waiting_max: int,
        seconds: float,
        start: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        """`waiting_max` may wait; `start` runs what it is given, beside all else, or raises RuntimeError."""
        self._reactor = reactor
        self._start = start
        self._turns = Turns(most, max(1, most // SHARE), waiting_max)
        self.seconds = seconds

    def find(self, payer: str, host: str, port: int) -> Deferred[Found]:
        """The addresses of `host`, as getaddrinfo has them; none where it is not known, or not in time."""
        found: Deferred[Found] = Deferred()
        place = self._turns.take(payer)
        late = self._reactor.callLater(self.seconds, self._give_up, place, found)
        found.addBoth(_stop, late)
        place.addCallbacks(lambda _: self._begin(payer, host, port, found), lambda _: _tell(found, []))
        return found

    def _give_up(self, place: Deferred[None], found: Deferred[Found]) -> None:
        if place.called:
            _tell(found, [])  # its thread may hang; it is the payer's turn until it does not
        else:
            place.cancel()

    def _begin(self, payer: str, host: str, port: int, found: Deferred[Found]) -> None:
        def run() -> None:
            addresses: Found = []
            try:
                addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                pass
            finally:
                self._reactor.callFromThread(self._end, payer, found, addresses)

        try:
            self._start(run)
        except RuntimeError:  # there are too many threads in this process
            self._end(payer, found, [])

    def _end(self, payer: str, found: Deferred[Found], addresses: Found) -> None:
        self._turns.end(payer)
        _tell(found, addresses)


def _tell(found: Deferred[Found], addresses: Found) -> None:
    if not found.called:
        found.callback(addresses)


def _stop(addresses: Found, late: Any) -> Found:
    if late.active():
        late.cancel()
    return addresses


@implementer(IHostResolution)
class _Asked:
    """A name that is being looked up."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """As the interface has it; nobody does, and it ends in time."""


@implementer(IHostnameResolver)
class LookupResolver:
    """Resolves names by `lookups`, for `payer`."""

    def __init__(self, lookups: Lookups, payer: str, admits: Callable[[str], bool]) -> None:
        """Addresses that it does not admit are not found."""
        self._lookups = lookups
        self._payer = payer
        self._admits = admits

    def resolveHostName(  # noqa: N802
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        """As the interface has it, for TCP."""

        def tell(found: Found) -> None:
            for family, _, _, _, address in found:
                kind = KINDS.get(family)
                if kind is not None and self._admits(address[0]):
                    resolutionReceiver.addressResolved(kind("TCP", address[0], portNumber))
            resolutionReceiver.resolutionComplete()

        asked = _Asked(hostName)
        resolutionReceiver.resolutionBegan(asked)
        self._lookups.find(self._payer, hostName, portNumber).addCallback(tell)
        return asked
