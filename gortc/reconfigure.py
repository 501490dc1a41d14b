"""Other settings while the server runs: what can change does, all of it or, where one of them can't be, nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve, fields, frozen
from twisted.logger import Logger

from gortc.plugins import PluginError
from gortc.service.registry import ServiceError
from gortc.settings import Settings
from gortc.transport.onward import check_routes

if TYPE_CHECKING:
    from gortc.server import Server

LIVE: Final = frozenset((
    "api_answer_max", "api_connections", "api_log_of_one", "api_request_seconds", "api_seconds", "api_write_seconds",
    "apis", "asking_seconds", "closes_per_second", "dial", "drop_log_of_one", "drop_log_per_second", "frame_max",
    "garbage_max", "garbage_seconds", "handshake_max", "handshake_seconds", "hops_max", "lag_high", "lag_low",
    "limits", "load_high", "load_low", "log_bytes_per_second", "log_level", "log_line_max", "log_per_second",
    "log_value_max", "nodes", "origins", "own_from", "proxies", "proxy_header", "requests_max", "retry_after",
    "routes", "select_by_host", "services", "trace", "trusted_nodes", "unread_max", "unsent_max", "waiting_max",
))  # fmt: skip
"""What can change; everything else needs a restart. Times of the stack do, but for `drain`."""
DRAIN: Final = "times.drain"

_log = Logger(namespace="gortc.server")


class NotApplied(Exception):
    """Nothing has changed; one line says why."""


@frozen
class Changes:
    """What is different: `live` has been applied, `restart` needs one."""

    live: tuple[str, ...]
    restart: tuple[str, ...]


def differences(old: Settings, new: Settings) -> Changes:
    """The names of the settings that differ."""
    names = [field.name for field in fields(Settings) if getattr(old, field.name) != getattr(new, field.name)]
    live = [name for name in names if name in LIVE]
    restart = [name for name in names if name not in LIVE]
    if old.times.drain != new.times.drain:
        live.append(DRAIN)
        if evolve(old.times, drain=new.times.drain) == new.times:
            restart.remove("times")
    return Changes(tuple(live), tuple(restart))


def reconfigure(server: Server, new: Settings) -> Changes:
    """Let `server` go on with the `new` settings, as far as that goes, and log what has changed. Raises NotApplied."""
    node, old = server.node, server.settings
    changes = differences(old, new)
    kept = {name: getattr(old, name) for name in changes.restart if name != "times"}
    applied = evolve(new, times=evolve(old.times, drain=new.times.drain), **kept)
    try:
        check_routes(applied)
        services = server.management.services.prepare(applied.services)
        try:
            apis = server.management.apis.loader.prepare(applied.apis) if server.settings.api else None
        except PluginError:
            services.undo()
            raise
    except (ServiceError, PluginError, ImportError, OSError, ValueError) as error:
        raise NotApplied(str(error)) from None
    server.settings = node.settings = applied
    services.apply()
    if apis is not None:
        apis.apply()
    node.configure(applied)
    server.configure(applied)
    told(changes)
    return changes


def told(changes: Changes) -> None:
    """Log it."""
    if changes.live:
        _log.info("settings have changed: {names}", names=", ".join(changes.live))
    if changes.restart:
        _log.warn("settings that have changed need a restart: {names}", names=", ".join(changes.restart))
    if not changes.live and not changes.restart:
        _log.info("no setting has changed")
