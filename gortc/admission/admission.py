"""Admission: lets a peer in, or says why not. docs/jsip.md section 1, "Who may connect"; docs/security.md.

What costs least comes first: whoever asks too often is told so before anybody is asked who he is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from gortc.admission.addresses import Proxies, Source, household
from gortc.admission.interfaces import Ask, AuthContext, Handshake, IAuthenticator, Refused
from gortc.admission.tries import TooMany as TooMany
from gortc.admission.tries import Tries
from gortc.jsip.gate import Guest
from gortc.jsip.layers import Journal
from gortc.jsip.meter import Meter, renewed
from gortc.jsip.timers import Timers
from gortc.jsip.uri import parse, same_name

if TYPE_CHECKING:
    from gortc.settings import Settings

SILENT_MAX: Final = 16
"""So many proxies that do not say for whom they connect are named in the log."""

_log = Logger(namespace="gortc.admission")


class AuthError(Exception):
    """The setting `auth` can't be followed; one line says why."""


class Admission:
    """Of one server. With the setting `auth` as `loopback` it lets everybody in, and nothing is limited."""

    def __init__(self, settings: Settings, timers: Timers, journal: Journal, asks: Mapping[str, Ask]) -> None:
        """`asks` are the loaded authenticators, in the order in which they are asked."""
        self._open = settings.auth == "loopback"
        self._asks = asks
        self._journal = journal
        self._timers = timers
        self._domains = settings.own_domains
        self._addresses: Counter[str] = Counter()
        self._handshakes: Meter | None = None
        self._tries = Tries(timers)
        self._logins: Meter | None = None
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """What holds for who comes from now on."""
        self._proxies = Proxies(settings.proxies, settings.proxy_header)
        self._silent: set[str] = set()
        self._nodes = frozenset(settings.nodes)
        self._trusted = frozenset(settings.trusted_nodes)
        self._own_from = settings.own_from
        limits = settings.limits
        self._connections_max = limits.connections
        self._handshakes = renewed(self._handshakes, self._timers, limits.handshakes)
        self._tries.configure(limits.failures)
        self._logins = renewed(self._logins, self._timers, limits.logins)

    # connections

    def enter(self, address: str) -> None:
        """One more connection of `address`. Raises TooMany."""
        if self._open or not address:
            return
        home = household(address)
        self._addresses[home] += 1
        if self._addresses[home] > self._connections_max:
            raise TooMany("too many connections from your address")

    def leave(self, address: str) -> None:
        """One less."""
        if self._open or not address:
            return
        home = household(address)
        self._addresses[home] -= 1
        if not self._addresses[home]:
            del self._addresses[home]

    def is_proxy(self, address: str) -> bool:
        """Whether a proxy of ours has `address`: for whom it connects, the handshake is to say."""
        return address in self._proxies

    def source(self, address: str, headers: Mapping[str, str]) -> Source:
        """Where a peer comes from whose connection is `address`'s."""
        source = self._proxies.source(address, headers.get(self._proxies.header.lower(), ""))
        if not source.address and not self._open:
            self._journal.counts["proxy does not say"] += 1
            self._name(source.nearest)
        return source

    def _name(self, proxy: str) -> None:
        """Once, and not for each of its peers."""
        if proxy in self._silent or len(self._silent) >= SILENT_MAX:
            return
        self._silent.add(proxy)
        _log.warn(
            "{proxy} is one of `proxies`, and does not say by {header} where a peer comes from: all such peers count "
            "as one address; let it set that header, or take it out of `proxies`",
            proxy=proxy,
            header=self._proxies.header,
        )

    # who it is

    async def admit(self, handshake: Handshake) -> Guest | None:
        """Who the peer is, and what holds for it; None where it may do anything. Raises Refused."""
        if self._open:
            return None
        home = handshake.home
        _take(self._handshakes, home, "too many handshakes from your address")
        if not self._asks:  # auth is none: it is whoever it says, and nothing that it asserts counts
            _take(self._logins, handshake.userid, "you connect too often")
            return Guest(handshake.userid, home, asserted="", limited=True)
        await self._tries.begin(home)
        failed = False
        try:
            await self._authenticate(handshake)
            guest = self._guest(handshake.userid, home)
        except Refused as refused:
            failed = refused.code in (401, 403)
            raise
        finally:  # also where the peer has gone meanwhile: it has learnt nothing
            self._tries.end(home, failed)
        _take(self._logins, handshake.userid, "you connect too often")
        return guest

    async def _authenticate(self, handshake: Handshake) -> None:
        for name, ask in self._asks.items():
            try:
                who: Any = ask(handshake)
                if isinstance(who, Deferred):
                    who = await who
            except (Refused, CancelledError):
                raise
            except Exception:
                self._journal.counts["authenticator failure"] += 1
                _log.failure("authenticator {name} failed", name=name)
                raise Refused(503, "nobody can tell who you are now") from None
            if who is None:
                continue
            if not (isinstance(who, str) and same_name(who, handshake.userid)):
                raise Refused(403, f"you are {who}")
            return
        raise Refused(401, "say who you are: by a token, a password or a certificate")

    def _guest(self, name: str, home: str) -> Guest:
        """Users have names in our domains, without a prefix: with one, a user would be another one as well. Who has
        another name is a node, and must be known as one."""
        uri = parse(name)
        if uri.user and uri.host in self._domains and name == uri.address:
            return Guest(name, home, asserted=name, own_from=self._own_from, limited=True)
        if name not in self._nodes:
            raise Refused(403, "users have names in the server's own domains, and this is no node that it knows")
        trusted = name in self._trusted
        return Guest(name, home, asserted=None if trusted else name, told=trusted)


def _take(meter: Meter | None, key: str, reason: str) -> None:
    """Take a token. Raises TooMany where there is none."""
    wait = 0.0 if meter is None else meter.take(key)
    if wait > 0.0:
        raise TooMany(reason, wait)


def check(auth: Mapping[str, Any], found: Mapping[str, IAuthenticator]) -> None:
    """Raises AuthError where `auth` names an authenticator that was not `found`."""
    for name in auth:
        if name not in found:
            raise AuthError(f"auth: no authenticator is named {name!r}; there are {', '.join(sorted(found))}")


def load(
    auth: Mapping[str, Mapping[str, Any]], found: Mapping[str, IAuthenticator], realm: str, reactor: Any
) -> dict[str, Ask]:
    """Load the authenticators that the settings name, out of those that were `found`. Raises AuthError."""
    check(auth, found)
    asks = {}
    for name, config in auth.items():
        context = AuthContext(name, config, realm, reactor, Logger(namespace=f"auth.{name}"))
        try:
            asks[name] = found[name].load(context)
        except (ValueError, OSError) as error:
            raise AuthError(f"auth: {name}: {error}") from None
    return asks
