"""What an authenticator is: a plugin that says who a peer is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Union

from attrs import field, frozen
from twisted.logger import Logger
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from twisted.internet.defer import Deferred


class Refused(Exception):
    """A peer may not connect: the HTTP status and one line that tell it so.

    401 where it has not shown who it is, 403 where it is somebody else, 503 where nobody can tell now. The line goes to
    the peer: it must not hold a secret. `log` is for the log, where that is told more; it must not hold one either.
    """

    def __init__(self, code: int, reason: str, log: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason
        self.log = log


@frozen
class Handshake:
    """What a peer has said of itself in its opening handshake. What may be a secret is left out of its `repr`."""

    userid: str
    """The name that it asks for, as a channel has it: `alice@gortc.com`, whatever way it was spelled."""
    address: str
    """Its IP address; empty where nobody knows it: a proxy of ours, or whoever comes by a UNIX socket, does not say."""
    url: str = field(repr=False)
    """Path and query, as they were sent."""
    headers: Mapping[str, str] = field(repr=False)
    """HTTP headers, names in lower case; one that came several times has its values joined by commas."""
    token: str | None = field(default=None, repr=False)
    """Its token: of `Authorization: Bearer`, of `?token=`, or of the subprotocol `jsip.token.TOKEN`."""
    password: tuple[str, str] | None = field(default=None, repr=False)
    """User and password of `Authorization: Basic`."""
    certificate: Certificate | None = field(default=None, repr=False)
    """The certificate that it has shown, which TLS has checked."""
    home: str = ""
    """What it counts by where something is limited: never empty, and one for all who share an address."""


@frozen
class AuthContext:
    """What an authenticator gets when it is loaded."""

    name: str
    """The name of the plugin."""
    config: Mapping[str, Any]
    """Its configuration, from the setting `auth`."""
    realm: str
    """The node's own domain."""
    reactor: Any = field(repr=False)
    """Time, threads and connections."""
    log: Logger = field(repr=False)
    """Never log a token or a password."""


Ask = Callable[[Handshake], Union[str, "Deferred[str | None]", None]]
"""Says who a peer is: its name, as a userid, in any spelling; None where the handshake has nothing that this
authenticator goes by, so that the next one is asked. A Deferred may fire with either; it is cancelled when the peer has
gone. Raises, or fails with, `Refused`. Any other exception is a defect: it is logged, and the peer gets 503."""


class IAuthenticator(Interface):
    """A way to tell who a peer is. An object that provides this and `twisted.plugin.IPlugin`, in a module of
    `twisted.plugins` or `slp_plugins`, can be named in the setting `auth`. `authenticator` makes one of a function."""

    name: str = Attribute("What the setting `auth` calls it.")

    def load(context: AuthContext) -> Ask:  # noqa: N805
        """Get ready, and return the function that is asked about each peer.

        Raises ValueError, one line, where the configuration can't be followed: the server does not start.
        """
