"""A server: a node with its sockets, as a Twisted service."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Collection
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.usage import UsageError

from gortc.admission.admission import AuthError, load
from gortc.admission.door import Door
from gortc.admission.interfaces import Ask, IAuthenticator
from gortc.descriptors import fit, open_files
from gortc.drain import REASON, Drain
from gortc.jsip.timers import Clock, Timers
from gortc.node import Node
from gortc.oam.budget import TOLD
from gortc.oam.log import Level, Observer, observer
from gortc.oam.management import Management
from gortc.oam.systemd import Systemd
from gortc.overload import Overload
from gortc.plugins import find
from gortc.reconfigure import Changes, NotApplied, reconfigure
from gortc.service.registry import ServiceError
from gortc.settings import Settings
from gortc.signals import signals
from gortc.transport.listening import listening
from gortc.transport.onward import check_routes
from gortc.transport.outbound import Outbound
from gortc.transport.websocket import RtcFactory

GOING_AWAY = 1001  # RFC 6455 section 7.4.1: a server going down

_log = Logger(namespace="gortc.server")


class StartFailed(SystemExit, Exception):
    """The server can't start; one line says why.

    In the foreground it ends the program with that line; as an Exception, too, it reaches the command that waits for
    its daemon.
    """


class Server(Service):
    """Listens, and loads the services. `log_file` is None where somebody else observes the log.

    `clock` is the calls' time where that is not the reactor's: a test's, which then plays an hour in no time.
    `reread()` reads the configuration again; it raises UsageError.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Any = None,
        log_file: str | None = None,
        clock: Clock | None = None,
        reread: Callable[[], Settings] | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self.settings = settings
        self.node = Node(settings, clock or reactor)
        self.ports: list[IListeningPort] = []
        self.api_ports: list[IListeningPort] = []
        self.reactor = self._reactor = reactor
        self._level = Level(settings.log_level)
        self.log: Observer | None = None
        self._log_file = log_file
        self._reread = reread
        self._systemd = Systemd(reactor)

    def setServiceParent(self, parent: Any) -> None:  # noqa: N802
        """Bring the log's format and level along to the application."""
        if isinstance(parent, Componentized) and self._log_file is not None:
            settings = self.settings
            self.log = observer(self._level, settings.log_format, self._log_file, settings)
            parent.setComponent(ILogObserver, self.log)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:  # noqa: N802
        """Listen, while a low port can still be had. Raises StartFailed."""
        super().privilegedStartService()
        timers = Timers(self._reactor, self.node.timers.failed)  # pings; the node's own count calls only
        asks = self._authenticators()
        self._factory = factory = RtcFactory(self.node.channels, self.settings, timers, self._reactor, asks)
        self.overload = Overload(self.node.gate, self.settings, timers, self.node.journal)
        self._log_beats = timers.queue(TOLD, tell_log)
        try:
            check_routes(self.settings)
        except (OSError, ValueError) as error:
            raise StartFailed(f"gortc: {error}") from None
        self.node.channels.outbound = self._outbound = Outbound(
            self.node.channels, self.settings, timers, self._reactor
        )
        try:
            self.management = Management(self, timers)
        except ValueError as error:
            raise StartFailed(f"gortc: {error}") from None
        self.drain = Drain(self.node, timers, factory.connections, self._stop_listening)
        factory.door.files = fit(open_files(), self.settings.limits.handshaking)
        door = None if factory.door.open else factory.door
        for text in self.settings.rtc:
            self._listen(text, factory, self.ports, door)
        if self.settings.api:
            try:
                site = self.management.site()
            except ValueError as error:
                raise StartFailed(f"gortc: {error}") from None
            self._listen(self.settings.api, site, self.api_ports, None if door is None else self.management.door)

    def _listen(
        self, text: str, factory: IProtocolFactory, ports: list[IListeningPort], door: Door | None = None
    ) -> None:
        failed: list[Any] = []
        try:
            opened: Deferred[IListeningPort] = listening(self._reactor, text, door).listen(factory)
            opened.addCallbacks(ports.append, lambda failure: failed.append(failure.value))
        except (ValueError, OSError) as error:
            failed.append(error)
        if failed:
            why = failed[0]
            reason = why.socketError if isinstance(why, CannotListenError) else why
            raise StartFailed(f"gortc: can't listen on {text}: {reason}")

    @property
    def connections(self) -> Collection[Any]:
        """The open ones (`gortc.transport.websocket.RtcProtocol`)."""
        return self._factory.connections

    @property
    def hops(self) -> Collection[Any]:
        """The channels to other nodes (`gortc.transport.hop.Hop`)."""
        return self._outbound.hops.values()

    def _authenticators(self) -> dict[str, Ask]:
        """Those that say who a peer is. Raises StartFailed."""
        wanted = self.settings.authenticators
        if not wanted:
            return {}
        try:
            return load(wanted, find(IAuthenticator, "authenticator"), self.settings.realm, self._reactor)
        except AuthError as error:
            raise StartFailed(f"gortc: {error}") from None

    def configure(self, settings: Settings) -> None:
        """Go on with other settings, as far as they can change while it runs (`gortc.reconfigure`)."""
        self._level.set(settings.log_level)
        if self.log is not None:
            self.log.configure(settings)
        self._factory.configure(settings)
        self.overload.settings = settings
        self._outbound.configure(settings)
        self.management.configure(settings)

    def reload(self) -> Changes:
        """Read the configuration again, and go on with what it says. Raises NotApplied; then nothing has changed."""
        if self._reread is None:
            raise NotApplied("there is no configuration to read again")
        try:
            new = self._reread()
        except (UsageError, SystemExit) as error:
            raise NotApplied(str(error).removeprefix("gortc: ")) from None
        return reconfigure(self, new)

    def hang_up_signal(self) -> None:
        """SIGHUP."""
        self._systemd.reloading()
        try:
            self.reload()
        except NotApplied as error:
            _log.error("the configuration can't be followed, so nothing has changed: {error}", error=error)
        finally:  # systemd waits for it, whatever happens
            self._systemd.ready(", ".join(self.urls()))

    def startService(self) -> None:  # noqa: N802
        """Load the services; say where we are. Raises StartFailed where the settings name a missing one."""
        super().startService()
        try:
            self.management.start()
        except ServiceError as error:
            raise StartFailed(f"gortc: {error}") from None
        names = sorted(context.name for context in self.node.services)
        _log.info("services: {services}", services=", ".join(names))
        for url in self.urls():
            _log.info("listening on {url}", url=url)
        for url in self.api_urls():
            _log.info("management on {url}", url=url)
        self.overload.start()
        self._log_beats.start(self)
        self._reactor.callWhenRunning(self._running)
        spare_the_collector()

    def _running(self) -> None:
        """The reactor turns."""
        signals.mind(self, self._reactor)
        self._systemd.ready(", ".join(self.urls()))

    def tell_log(self) -> None:
        """Say what the log has left out."""
        self.node.drops.tell()
        self.management.tell()
        if self.log is not None:
            self.log.tell()
        self._log_beats.start(self)

    def urls(self) -> list[str]:
        """Where peers connect."""
        return [f"{url(port, 'ws')}{self.settings.path}?userid=USERID" for port in self.ports]

    def api_urls(self) -> list[str]:
        """Where operators ask."""
        return [url(port, "http") for port in self.api_ports]

    def stopService(self) -> Deferred[Any]:  # noqa: N802
        """Stop listening, end the calls, and wait until the connections have gone, two seconds at most."""
        super().stopService()
        signals.forget(self)
        self._systemd.stopping("stopping")
        self._systemd.gone()
        self.overload.stop()
        self._log_beats.stop(self)
        self.management.stop()
        stops = self._stop_listening()
        stops += [port.stopListening() for port in self.api_ports]
        self.node.stop()
        stops += self._outbound.stop(GOING_AWAY, REASON)
        self._factory.door.shut()
        for connection in list(self._factory.connections):
            stops.append(connection.gone())
            if connection.channel is None:  # its handshake is not done
                connection.dropConnection(abort=True)
            else:
                connection.close(GOING_AWAY, REASON)
        return DeferredList([stop for stop in stops if stop is not None])

    def _stop_listening(self) -> list[Any]:
        ports, self.ports = self.ports, []
        return [port.stopListening() for port in ports]


def tell_log(server: Server) -> None:
    """It is time to."""
    server.tell_log()


def url(port: IListeningPort, scheme: str) -> str:
    """Where a port listens."""
    address: Any = port.getHost()
    if not hasattr(address, "port"):
        return f"{scheme}+unix:{os.fsdecode(address.name)}"
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{scheme}{'s' if getattr(port, '_type', '') == 'TLS' else ''}://{host}:{address.port}"


def spare_the_collector() -> None:
    """Calls leave no cycles, so the cyclic collector has little to find: let it look seldom, at little at a time, and
    never at what the start has made (bench/pauses.py)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 400)
