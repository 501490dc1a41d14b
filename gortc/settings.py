"""The settings of a server: one frozen, validated object, with a documented default for everything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import quote

from attrs import Attribute, field, frozen
from twisted.internet.endpoints import _parse as parse_endpoint

from gortc.admission.limits import Limits, Rate
from gortc.jsip.times import Times
from gortc.jsip.uri import BadURI, parse
from gortc.service.registry import Use
from gortc.transport.names import BadName, channel_name
from gortc.transport.route import Route

LEVELS = ("debug", "info", "warn", "error", "critical")
FORMATS = ("text", "json")
DROP_LOG_OF_ONE = Rate(0.2, 5)
MOST = 2**53
"""No number is larger, so what is reckoned with it is exact, and finite."""
LOOPBACK = "loopback"
NONE = "none"


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
    ok = (
        uri is not None
        and uri.host.isascii()
        and (uri.prefix, uri.user, uri.port, uri.params) == (None, None, None, {})
    )
    return None if ok else f"{value!r} is not a host name"


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


def _api(value: Any) -> str | None:
    if value == "":
        return None
    wrong = _endpoints((value,))
    if wrong is None and not value.lower().startswith(("tls:", "ssl:")) and not is_loopback(listening_host(value)):
        return f"{value!r} listens beyond loopback, where tokens would go in the clear: use tls:"
    return wrong


def _file_name(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "must be a file name"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be a string"


def _texts(value: Any) -> str | None:
    ok = isinstance(value, (tuple, list)) and all(isinstance(text, str) and text.isprintable() for text in value)
    return None if ok else "must be a tuple of strings that can be printed"


def _path(value: Any) -> str | None:
    return None if isinstance(value, str) and value.startswith("/") else "must be a path such as /rtc"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be True or False"


def _positive(value: Any) -> str | None:
    ok = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= MOST
    return None if ok else f"must be more than 0, and {MOST} at most"


def _count(value: Any) -> str | None:
    return _positive(value) or (None if isinstance(value, int) else "must be an integer")


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
        if _host(host):
            return f"{host!r} is not a host name"
        if host != parse(host).host:  # a look-up finds one spelling
            return f"{host!r} must be written {parse(host).host}"
        if not isinstance(route, Route):
            return f"{host!r} must be a Route, not {route!r}"
    return None


def _auth(value: Any) -> str | None:
    if isinstance(value, str) and value:
        return None
    if not isinstance(value, Mapping) or not value:
        return "must be loopback, none, the name of an authenticator, or a dict: name -> its configuration"
    for name, config in value.items():
        if not isinstance(config, Mapping):
            return f"{name!r} must be a dict, not {config!r}"
        if name in (LOOPBACK, NONE):
            return f"{name!r} stands alone"
    return None


def _names(value: Any) -> str | None:
    if not isinstance(value, (tuple, list)):
        return "must be a tuple of userids"
    for name in value:
        try:
            spelled = channel_name(quote(name)) if isinstance(name, str) else None
        except (BadName, UnicodeEncodeError):  # the latter of half an emoji
            spelled = None
        if spelled is None:
            return f"{name!r} is not a userid"
        if spelled != name:  # a look-up finds one spelling
            return f"{name!r} must be written {spelled}"
    return None


def _networks(value: Any) -> str | None:
    if not isinstance(value, (tuple, list)):
        return "must be a tuple of addresses or networks"
    for text in value:
        try:
            ok = isinstance(text, str) and ip_network(text)
        except ValueError:
            ok = False
        if not ok:
            return f"{text!r} is not an address or network such as 10.0.0.0/8"
    return None


def _header(value: Any) -> str | None:
    ok = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9-]+", value)
    return None if ok else "must be the name of a header such as X-Forwarded-For"


def _limits(value: Any) -> str | None:
    return None if isinstance(value, Limits) else "must be a Limits object"


def _size(least: int) -> Any:
    wrong = f"must be an integer from {least} to {MOST}"
    return lambda value: None if type(value) is int and least <= value <= MOST else wrong


def _a_rate(value: Any) -> str | None:
    return None if isinstance(value, Rate) else "must be a Rate object"


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
    auth: str | Mapping[str, Mapping[str, Any]] = _setting(LOOPBACK, _auth)
    """Who says who a peer is: authenticators by name, each with its configuration, in the order in which they are
    asked. `loopback`: nobody; listen on loopback only. `none`: nobody, and listen anywhere all the same."""
    nodes: tuple[str, ...] = _setting((), _names)
    """The userids of other nodes: names outside our own domains that may connect, where they are authenticated."""
    trusted_nodes: tuple[str, ...] = _setting((), _names)
    """Those of `nodes` whose `P-Asserted-Identity` counts."""
    own_from: bool = _setting(True, _flag)
    """Whether the From of a user that is authenticated must be its own name; another one gets 403."""
    proxies: tuple[str, ...] = _setting(("127.0.0.0/8", "::1"), _networks)
    """The addresses of our own reverse proxies, who say where a peer comes from. Where one does not, all for whom it
    connects count as one address."""
    proxy_header: str = _setting("X-Forwarded-For", _header)
    """The header by which they say so, each of which sets it or adds to it. `Forwarded` is read as RFC 7239 has it, any
    other one as a list of addresses."""
    limits: Limits = _setting(Limits(), _limits)
    """What a peer may ask for."""
    services: Mapping[str, Any] = _setting({}, _services)
    """Name -> a dict (the service's configuration), Use(plugin, config) (loaded under this name), None (not loaded)."""
    routes: Mapping[str, Route] = _setting({}, _routes)
    """Host -> Route: how other domains are reached."""
    dial: bool = _setting(False, _flag)
    """Whether hosts without a route are dialled, at wss://HOST and `path`. Never at private or loopback addresses."""
    hops_max: int = _setting(100, _count)
    """So many hosts without a route may be dialled at the same time; a first request to a further one gets 503."""
    lookups_max: int = _setting(20, _count)
    """So many names of hosts without a route are looked up at the same time, each in a thread; a quarter of them for
    one user."""
    api: str = _setting("tcp:2539:interface=127.0.0.1", _api)
    """Where the management API listens: an endpoint string; empty: nowhere."""
    api_token_file: str = _setting("gortc.token", _file_name)
    """The file of its tokens; made where there is none."""
    api_seconds: float = _setting(10.0, _positive)
    """How long an API plugin may take for an answer; then it is 504."""
    api_connections: int = _setting(100, _count)
    """So many connections the management API has that have shown no good token, and as many that have; for one more,
    one of the same is dropped: of who has the most."""
    api_request_seconds: float = _setting(10.0, _positive)
    """How long a client may take, from its first word on, until all of its request is there."""
    api_write_seconds: float = _setting(30.0, _positive)
    """How long a client that has shown a good token may take to read its answer."""
    api_answer_max: int = _setting(4194304, _count)
    """So many bytes of messages one answer has at most, and so many has a ladder."""
    access_log: str = _setting("", _text)
    """The file of its requests, a line of JSON each; empty: none."""
    api_log_of_one: Rate = _setting(Rate(20, 2000), _a_rate)
    """So many lines each, in the log and in the access log, of what the tokens of one name and role have looked at,
    have changed, and were refused."""
    apis: Mapping[str, Any] = _setting({}, _services)
    """API plugins, as `services`: name -> a dict, Use(plugin, config) or None."""
    state_file: str = _setting("gortc.state", _file_name)
    """What is loaded and removed while the server runs is kept in this file, and is so again after a restart."""
    reload: bool = _setting(False, _flag)
    """Whether services are loaded again when their files change."""
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
    log_value_max: int = _setting(500, _size(80))
    """A value in a line of the log has so many characters at most."""
    log_line_max: int = _setting(8192, _size(1024))
    """An event in the log has so many bytes at most, with its traceback."""
    log_per_second: int = _setting(100, _count)
    """So many lines a second of one kind; the rest are told as a number."""
    log_bytes_per_second: int = _setting(32768, _size(1024))
    """The log grows by so many bytes a second, and by no more in the long run."""
    drop_log_per_second: int = _setting(10, _count)
    """So many lines a second about what was dropped for one reason, and so many tracebacks from one place."""
    drop_log_of_one: Rate = _setting(DROP_LOG_OF_ONE, _a_rate)
    """Such lines of one channel or address."""
    trace_bytes: int = _setting(16777216, _size(0))
    """So many bytes of the last messages are kept, to show what a call did; 0: none."""
    trace_folder: str = _setting("traces", _file_name)
    """Where the files are that operators have the messages of a user or number written to."""
    trace_file_max: int = _setting(67108864, _count)
    """The largest such file, in bytes; then it ends."""
    frame_max: int = _setting(65536, _count)
    """The largest message taken and sent, in bytes; a larger one closes its connection with 1009, or is not sent."""
    handshake_seconds: float = _setting(10.0, _positive)
    """How long a peer may take for its opening handshake."""
    asking_seconds: float = _setting(30.0, _positive)
    """How long a peer whose opening handshake is whole may be asked about, its turn included; then it gets 503."""
    handshake_max: int = _setting(16384, _count)
    """The largest opening handshake taken, in bytes; and a next hop's answer to ours."""
    unsent_max: int = _setting(1048576, _count)
    """So many bytes may wait for a peer that has no connection, or does not read. What does not fit comes back; what
    can't come back closes the connection."""
    waiting_max: int = _setting(1024, _count)
    """So many messages may wait for a peer that has no connection, or does not read; a further request gets 480. So
    many that a peer has not confirmed are kept for it to resume, too."""
    requests_max: int = _setting(100, _count)
    """So many requests of a peer may be open in one dialogue; a further one gets 503."""
    unread_max: int = _setting(64, _count)
    """So many requests of a leg may wait for its service to read them; a further one gets 480."""
    garbage_max: int = _setting(20, _count)
    """So many bad messages in `garbage_seconds` close a connection with 1008."""
    garbage_seconds: float = _setting(10.0, _positive)
    """See `garbage_max`."""
    closes_per_second: int = _setting(500, _count)
    """So many connections a second are closed when a drained server leaves, so that not all come back at once."""
    load_high: float = _setting(0.97, _positive)
    """Above this part of its time at work, where what is due is `lag_low` late as well, the server turns a part of new
    sessions away (503); more than 1.0: never."""
    load_low: float = _setting(0.85, _positive)
    """Below it, and below `lag_low`, all are taken again."""
    lag_high: float = _setting(0.25, _positive)
    """Where what is due comes late by so many seconds, it does so whatever the load is."""
    lag_low: float = _setting(0.05, _positive)
    """See `load_high`."""
    retry_after: int = _setting(2, _count)
    """How long, in seconds, whoever is turned away is told to wait: from 1 to twice as long, by chance."""
    times: Times = _setting(Times(), _times)
    """Every time of the stack."""

    def __attrs_post_init__(self) -> None:
        """Peers that nobody asks who they are may come from this machine only."""
        if self.auth == LOOPBACK:
            for text in self.rtc:
                if not is_loopback(listening_host(text)):
                    raise SettingsError(
                        f"rtc: {text!r} listens beyond loopback, where anybody could be anybody: let `auth` say who "
                        "peers are, or say auth none (--auth none) if that is meant"
                    )
        for name in self.trusted_nodes:
            if name not in self.nodes:
                raise SettingsError(f"trusted_nodes: {name!r} is none of `nodes`")
        for host in self.routes:
            if host in self.own_domains:  # whoever is there would speak for our own users
                raise SettingsError(f"routes: {host!r} is a domain of our own")
        if self.load_low > self.load_high:
            raise SettingsError("load_low: is more than load_high")
        if self.lag_low > self.lag_high:
            raise SettingsError("lag_low: is more than lag_high")

    @property
    def authenticators(self) -> Mapping[str, Mapping[str, Any]]:
        """Those of `auth`, with their configuration; none where nobody is asked."""
        if isinstance(self.auth, str):
            return {} if self.auth in (LOOPBACK, NONE) else {self.auth: {}}
        return self.auth

    @property
    def own_domains(self) -> frozenset[str]:
        """The realm and the further domains, as hosts compare."""
        return frozenset(parse(host).host for host in (self.realm, *self.domains))


def listening_host(text: str) -> str:
    """The interface that a server endpoint string listens on; "" is every one, a path for a UNIX socket.

    Raises ValueError, TypeError, IndexError or KeyError where it is no such string.
    """
    args, options = parse_endpoint(text)
    kind = args[0].lower()
    if kind in ("tcp", "tcp4", "tcp6", "ssl", "tls"):
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
