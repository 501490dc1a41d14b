"""A hop: the one channel to a next hop, shared by all names there. docs/jsip.md section 1, "Other domains"."""

from __future__ import annotations

from typing import Any, Final

from gortc.jsip.gate import NO_HOSTS, Guest
from gortc.transport.channels import Channels, Connection, PeerChannel, is_first
from gortc.transport.window import Window, read_own, seen

TOKEN_MAX: Final = 256
"""So many characters has a token to resume with, at most."""


class Hop(PeerChannel):
    """The channel to `route` (`gortc.transport.route.Route`). `outbound` keeps it connected while it is used.

    `dialled`: no route of the settings leads there; then `payer` is for whom it was, "" where that is nobody with
    limits. `inward`: a route has led there, so that it may be in a network of ours. `trouble` says why there is no
    connection to be had for now; meanwhile nobody waits to open a dialogue.
    """

    __slots__ = ("dialled", "inward", "outbound", "payer", "route")

    def __init__(
        self, channels: Channels, route: Any, outbound: Any, hosts: frozenset[str] = NO_HOSTS, payer: str = ""
    ) -> None:
        super().__init__(channels, route.host)
        self.elsewhere = True
        self.route = route
        self.outbound = outbound
        self.payer = payer
        self.inward = bool(hosts)
        self.stand_for(hosts)

    def stand_for(self, hosts: frozenset[str]) -> None:
        """These are the hosts that the settings have its route for, from now on. Where there are none it was dialled:
        who is there answers what it is asked, and may ask for nothing itself."""
        route = self.route
        self.dialled = not hosts
        if route.trusted and hosts:
            self.meet(None)
            return
        host, port, path = route.place
        here = f"hop:{host}:{port}{path}"  # neither a user nor an address is called so: the limits are its own
        self.meet(
            Guest(
                here,
                here,
                asserted="",
                own_from=route.own_from and not self.dialled,
                limited=route.limited or self.dialled,
                told=False,
                opens=not self.dialled,
                hosts=hosts,
            )
        )

    def refusal(self) -> int:
        """A first request waits while the first connection is made, a short time."""
        if self.trouble:
            return 503
        self.outbound.hurry(self)
        return 0

    def fail(self, reason: str) -> None:
        """No connection can be had for now: whoever waits to open a dialogue is told, somebody else may be asked."""
        self.trouble = reason
        for entry in list(self.waiting or ()):
            first = entry[1]
            if first is not None and is_first(first):
                self.take_back(entry)
                first.session.layer.below.undelivered(first, 503)

    def welcome(self, connection: Connection, data: bytes) -> None:
        """Take the first frame of a server that lets us resume. Raises ValueError where it is none."""
        name, value = read_own(data)
        fields: dict[str, object] = value if isinstance(value, dict) else {}
        token = fields.get("token")
        window = self.window
        if name not in ("new", "resumed") or not isinstance(token, str) or len(token) > TOKEN_MAX:
            raise ValueError(f"no first frame with a token: {name}")
        if name == "resumed":
            number = seen(fields.get("seen"))
            if window is None or not window.reaches(number):
                raise ValueError("nothing can be resumed from there")
            self.go_on(window, number)
        else:
            self.window = Window(self._channels.waiting_max, self._channels.unsent_max, token, self.account)
        self.arrive(connection)

    def arrive(self, connection: Connection) -> None:
        """There is a connection: send what has waited."""
        self.trouble = ""
        self.bind(connection)
        self.catch_up()

    def leave(self) -> None:
        """Its dialogues are over; others may begin."""
        super().leave()
        self._left = False

    def release(self) -> None:
        """Its last session has gone: after a while it is closed."""
        self.outbound.rest(self)
