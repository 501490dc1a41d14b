"""An endpoint: the stack of a node at the other end of the wire, with one channel, to its server.

What the stack does for a service on a server it does here for a user: CSeqs, ACKs, a 200 that crosses a CANCEL, all the
times, the session timer.
"""

from __future__ import annotations

from gortc.dispatch import DEFAULT
from gortc.jsip.layers import Channel, Owner
from gortc.jsip.syntax import Trace
from gortc.jsip.timers import Clock
from gortc.jsip.uri import parse
from gortc.node import Node
from gortc.service.interfaces import IServiceLogic
from gortc.settings import Settings
from gortc.transport.channels import Connection


class Endpoint(Node):
    """The node of one user, `user@host`: every call that comes is for `logic`, every call that goes leaves by the
    connection to the server; while there is none, its requests come back with 480.

    `trace(direction, channel, headers)` is given each message; the direction is `>` or `<`. Raises BadURI and
    SettingsError where `user` is no such name.
    """

    def __init__(self, user: str, logic: IServiceLogic, clock: Clock, trace: Trace | None = None) -> None:
        super().__init__(Settings(realm=parse(user).host), clock)
        self._server = self.settings.realm  # the channel's name
        self.sessions.route = self._route
        self.syntax.trace = trace
        self.services.load(logic, DEFAULT, {})

    def connect(self, connection: Connection) -> None:
        """`connection` is the one to the server from now on."""
        self.channels.connect(self._server, connection)

    def receive(self, connection: Connection, data: bytes) -> None:
        """Take a text frame of the server's."""
        channel = self.channels.by_name.get(self._server)
        if channel is not None:
            self.channels.receive(channel, connection, data)

    def lost(self, connection: Connection) -> None:
        """The connection has gone: so have the calls."""
        channel = self.channels.by_name.get(self._server)
        if channel is not None:
            self.channels.lost(channel, connection)
        self.stop()
        if channel is not None:
            channel.end_grace()

    def _route(self, uri: str, owner: Owner | None = None) -> Channel:
        parse(uri)
        return self.channels.route(self._server)
