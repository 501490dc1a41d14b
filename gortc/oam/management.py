"""The management of one server: what operators load, trace and ask for, and where they ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocolFactory

from gortc.jsip.timers import Timers
from gortc.loader import Kind, Loader
from gortc.oam.apis import Apis
from gortc.oam.files import AccessLog
from gortc.oam.known import Known
from gortc.oam.pulse import Pulse
from gortc.oam.strangers import Strangers
from gortc.oam.traces import Traces
from gortc.oam.turns import ApiDoor
from gortc.service.interfaces import IServiceLogic
from gortc.settings import Settings, is_loopback, listening_host
from gortc.state import State
from gortc.watch import Watch

if TYPE_CHECKING:
    from gortc.server import Server

SERVICES = Kind(IServiceLogic, "service", "services")


class Management:
    """`services` loads services, `apis` are the API plugins, `traces` those to files, `pulse` counts calls a minute,
    `door` is where who asks waits for his turn.

    Raises ValueError, one line that names the setting, where a file can't be had.
    """

    def __init__(self, server: Server, timers: Timers) -> None:
        """`timers` are not those of calls."""
        self._server = server
        self._node = node = server.node
        state = State(node.settings.state_file)
        self.services = Loader(SERVICES, node.services, state, lambda: node.settings.services)
        self.apis = Apis(node, state, server.reactor)
        self.traces = Traces(node, timers)
        self.pulse = Pulse(lambda: node.transactions.calls, timers)
        self.door = ApiDoor(node.settings, timers, node.journal)
        self._timers = timers
        self._watch = Watch([self.services, self.apis.loader], server.reactor) if node.settings.reload else None
        self._access_log = AccessLog(node.settings.access_log if node.settings.api else "")
        self.known = Known(timers.clock, lambda: node.settings, self._access_log)
        self.strangers = Strangers(timers.clock, lambda: node.settings, self._access_log)

    def start(self) -> None:
        """Load what is to be loaded. Raises ServiceError where the settings name a missing plugin, or the one that
        decides who may do what can't be loaded."""
        self.services.start()
        if self._node.settings.api:
            self.apis.start()
        self.pulse.start()
        if self._watch is not None:
            self._watch.start()

    def tell(self) -> None:
        """Time goes by: say what was left out of the logs."""
        self.known.tell()
        self.strangers.tell()

    def configure(self, settings: Settings) -> None:
        """What can change while it runs, and is not read from the node's."""
        self.door.configure(settings)

    def stop(self) -> None:
        """No longer."""
        self.door.shut()
        self.pulse.stop()
        self.traces.stop()
        if self._watch is not None:
            self._watch.stop()
        self.apis.stop()
        self.known.stop()
        self.strangers.stop()
        self._access_log.close()

    def site(self) -> IProtocolFactory:
        """Where operators ask. Raises ValueError."""
        # Most of a start's time would go into these, also where nobody asks.
        from gortc.oam import config, health, runtime, services
        from gortc.oam.access import Access, Tokens
        from gortc.oam.history import History
        from gortc.oam.site import site

        server, settings = self._server, self._node.settings
        try:
            access = Access(Tokens(settings.api_token_file), settings.own_domains)
        except (ValueError, OSError) as error:
            raise ValueError(f"api_token_file: {error}") from None
        history = History(server)
        routes: list[Any] = [
            *history.routes(),
            *runtime.routes(server, history),
            *self.traces.routes(),
            *config.routes(server),
            *services.routes(self._node, self.services),
            *self.apis.routes(),
            *health.routes(server, is_loopback(listening_host(settings.api))),
        ]
        node, logs = self._node, (self.known, self.strangers)
        return site(routes, access, self.apis, *logs, lambda: node.settings, self._timers, node.journal, self.door)
