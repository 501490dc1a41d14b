"""The settings of a server: one frozen, validated object, with a documented default for everything."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from attrs import Attribute, field, frozen
from twisted.internet.endpoints import _parse as parse_endpoint

from gortc.jsip.times import Times
from gortc.jsip.uri import BadURI, parse
from gortc.service.registry import Use
from gortc.transport.route import Route

LEVELS = ("debug", "info", "warn", "error", "critical")
FORMATS = ("text", "json")
AUTH = ("loopback", "none")


class SettingsError(ValueError):
    """A setting that can't be; the text is one line that names it."""


def _check(instance: object, attribute: Attribute[Any], value: Any) -> None:
    """Run one attribute's rule; rules are functions of the value that return what is wrong, or None."""
    wrong = attribute.metadata["rule"](value)
    if wrong:
        raise SettingsError(f"{attribute.name}: {wrong}")


def _setting(default: Any, rule: Any) -> Any:
    return field(default=default, validator=_check, metadata={"rule": rule}, kw_only=True)


def _host(value: Any) -> str | None:
    try:
        uri = parse(value) if isinstance(value, str) else None
    except BadURI:
        uri = None
    return None if uri is not None and uri.text.lower() == uri.host else f"{value!r} is not a host name"


def _hosts(value: Any) -> str | None:
    if not isinstance(value, (tuple, list)):
        return "must be a tuple of host names"
    return next(filter(None, map(_host, value)), None)


def _endpoints(value: Any) -> str | None:
    if not isinstance(value, (tuple, list)) or not value:
        return "must be a tuple of endpoint strings, at least one"
    for text in value:
        try:
            listening_host(text)
        except (ValueError, TypeError, IndexError, KeyError):
            return f"{text!r} is not an endpoint such as tcp:8080:interface=127.0.0.1"
    return None


def _texts(value: Any) -> str | None:
    ok = isinstance(value, (tuple, list)) and all(isinstance(text, str) for text in value)
    return None if ok else "must be a tuple of strings"


def _path(value: Any) -> str | None:
    return None if isinstance(value, str) and value.startswith("/") else "must be a path such as /rtc"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be True or False"


def _positive(value: Any) -> str | None:
    ok = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
    return None if ok else "must be more than 0"


def _one_of(*choices: str) -> Any:
    return lambda value: None if value in choices else f"must be one of {', '.join(choices)}, not {value!r}"


def _times(value: Any) -> str | None:
    if not isinstance(value, Times):
        return "must be a Times object"
    if value.back_off_min > value.back_off_max:
        return "back_off_min is more than back_off_max"
    return "session_min is more than session_max" if value.session_min > value.session_max else None


def _services(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return "must be a dict: name -> None, a dict, or Use(plugin, config)"
    for name, want in value.items():
        if not (want is None or isinstance(want, (Mapping, Use))):
            return f"{name!r} must be None, a dict, or Use(plugin, config), not {want!r}"
    return None


def _routes(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return "must be a dict: host -> Route(url)"
    for host, route in value.items():
        if _host(host) or host != host.lower():
            return f"{host!r} is not a host name in lower case"
        if not isinstance(route, Route):
            return f"{host!r} must be a Route, not {route!r}"
    return None


def _log_file(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "must be a file name, or - for standard output"


@frozen
class Settings:
    """Every setting with its default. Raises SettingsError, one line that names the setting."""

    realm: str = _setting("gortc.local", _host)
    """The node's own domain: users are `NAME@REALM`."""
    domains: tuple[str, ...] = _setting((), _hosts)
    """Further domains that are this node's own."""
    rtc: tuple[str, ...] = _setting(("tcp:8080:interface=127.0.0.1",), _endpoints)
    """Where to listen for WebSocket connections: Twisted endpoint strings."""
    path: str = _setting("/rtc", _path)
    """The path of the WebSocket URL."""
    origins: tuple[str, ...] = _setting((), _texts)
    """Web origins that may connect besides pages of the server's own host, such as https://app.example.com."""
    auth: str = _setting("loopback", _one_of(*AUTH))
    """`loopback`: peers are not asked who they are, so listen on loopback only. `none`: listen anywhere, on purpose."""
    services: Mapping[str, Any] = _setting({}, _services)
    """Name -> a dict (the service's configuration), Use(plugin, config) (loaded under this name), None (not loaded)."""
    routes: Mapping[str, Route] = _setting({}, _routes)
    """Host -> Route: how other domains are reached."""
    dial: bool = _setting(False, _flag)
    """Whether hosts without a route are dialled, at wss://HOST and `path`. Never at private or loopback addresses."""
    hops_max: int = _setting(100, _positive)
    """So many hosts without a route may be dialled at the same time; a first request to a further one gets 503."""
    select_by_host: bool = _setting(False, _flag)
    """Whether the first label of the Router's or Request-URI's host selects a service of that name."""
    log_level: str = _setting("info", _one_of(*LEVELS))
    """The least level that is logged."""
    log_format: str = _setting("text", _one_of(*FORMATS))
    """How an event is written: a line of text, or a line of JSON."""
    log_file: str = _setting("-", _log_file)
    """Where the log goes; - is standard output."""
    trace: bool = _setting(False, _flag)
    """Whether each message is logged."""
    frame_max: int = _setting(65536, _positive)
    """The largest frame and message taken, in bytes; a larger one closes the connection with 1009."""
    handshake_seconds: float = _setting(10.0, _positive)
    """How long a peer may take for its opening handshake."""
    handshake_max: int = _setting(16384, _positive)
    """The largest opening handshake taken, in bytes."""
    unsent_max: int = _setting(1048576, _positive)
    """So many bytes may wait for a peer that does not read them; then its connection is closed. So many may wait for
    one that has no connection, too."""
    waiting_max: int = _setting(1024, _positive)
    """So many messages may wait for a peer that has no connection; a further request gets 480. So many that a peer has
    not confirmed are kept for it to resume, too."""
    requests_max: int = _setting(100, _positive)
    """So many requests of a peer may be open in one dialogue; a further one gets 503."""
    unread_max: int = _setting(64, _positive)
    """So many requests of a leg may wait for its service to read them; a further one gets 480."""
    garbage_max: int = _setting(20, _positive)
    """So many bad messages in `garbage_seconds` close a connection with 1008."""
    garbage_seconds: float = _setting(10.0, _positive)
    """See `garbage_max`."""
    closes_per_second: int = _setting(500, _positive)
    """So many connections a second are closed when a drained server leaves, so that not all come back at once."""
    drop_log_per_second: int = _setting(10, _positive)
    """At most so many lines a second about dropped messages; the rest are counted only."""
    times: Times = _setting(Times(), _times)
    """Every time of the stack."""

    def __attrs_post_init__(self) -> None:
        """Peers that nobody asks who they are may come from this machine only."""
        if self.auth == "loopback":
            for text in self.rtc:
                if not is_loopback(listening_host(text)):
                    raise SettingsError(
                        f"rtc: {text!r} listens beyond loopback, where anybody could be anybody: "
                        "say auth none (--auth none) if that is meant"
                    )

    @property
    def own_domains(self) -> frozenset[str]:
        """The realm and the further domains, in lower case."""
        return frozenset(host.lower() for host in (self.realm, *self.domains))


def listening_host(text: str) -> str:
    """The interface that a server endpoint string listens on; "" is every one, a path for a UNIX socket.

    Raises ValueError, TypeError, IndexError or KeyError where it is no such string.
    """
    args, options = parse_endpoint(text)
    kind = args[0].lower()
    if kind in ("tcp", "tcp4", "tcp6", "ssl"):
        port = int(options["port"] if "port" in options else args[1])
        if not 0 <= port <= 65535:
            raise ValueError(text)
        return str(options.get("interface", args[2] if len(args) > 2 else ""))
    if kind == "unix":
        return str(options.get("address", args[1] if len(args) > 1 else ""))
    raise ValueError(text)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    if host.startswith(("/", ".")):  # a UNIX socket
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
