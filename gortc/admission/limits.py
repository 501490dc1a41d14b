"""How much a peer may ask for: the setting `limits`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, frozen

from gortc.jsip.methods import FREE, METHODS


def _more_than_0(instance: object, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ValueError(f"{attribute.name} must be more than 0, not {value!r}")


def _at_least_1(instance: object, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{attribute.name} must be an integer from 1, not {value!r}")


def _rate(instance: object, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, Rate):
        raise ValueError(f"{attribute.name} must be a Rate or None, not {value!r}")


def _rates(instance: object, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{attribute.name} must be a dict: method -> Rate")
    for method, rate in value.items():
        if method not in METHODS or method in FREE:
            raise ValueError(f"{attribute.name}: {method!r} is no method that can be limited")
        _rate(instance, attribute, rate)


@frozen
class Rate:
    """A token bucket: so many `per_second`, and so many at once where none came for a while."""

    per_second: float = field(validator=_more_than_0)
    burst: int = field(validator=_at_least_1)


METHOD_RATES: Mapping[str, Rate | None] = {
    "INVITE": Rate(5, 50),
    "MESSAGE": Rate(20, 200),
    "REGISTER": Rate(1, 20),
    "SUBSCRIBE": Rate(5, 50),
    "OPTIONS": Rate(5, 50),
    "INFO": Rate(50, 200),
    "UPDATE": Rate(10, 50),
    "PRACK": Rate(10, 50),
    "NOTIFY": Rate(20, 200),
}


@frozen
class Limits:
    """What a peer may ask for. With `auth="loopback"` none of it holds for who connects, nor, but for those of
    connections, for nodes. Next hops that are not trusted have limits in any case.

    None instead of a Rate: no limit. Raises ValueError where a field can't be.
    """

    accepts: Rate | None = field(default=Rate(100, 1000), validator=_rate)
    """Connections of one address; more are reset as they are accepted, without an answer."""
    turn: float = field(default=0.005, validator=_more_than_0)
    """So many seconds opening handshakes may take at a time, and as many what is asked of the management API; then
    everything else has its turn."""
    handshaking: int = field(default=1000, validator=_at_least_1)
    """So many connections may be in their opening handshake; for one more, the oldest of the address that has most of
    them is dropped."""
    connections: int = field(default=1000, validator=_at_least_1)
    """So many connections of one address; a further one gets 429."""
    handshakes: Rate | None = field(default=Rate(50, 500), validator=_rate)
    """Opening handshakes of one address; more get 429."""
    failures: Rate | None = field(default=Rate(0.2, 20), validator=_rate)
    """Handshakes of one address that fail to say who it is (401, 403); after them it gets 429."""
    logins: Rate | None = field(default=Rate(1, 20), validator=_rate)
    """Connections of one user, each of which replaces the one before; more get 429."""
    frames: Rate | None = field(default=Rate(200, 2000), validator=_rate)
    """Frames of one user, or next hop; it is read no faster."""
    requests: Rate | None = field(default=Rate(200, 2000), validator=_rate)
    """Requests that open a dialogue, of one address; more get 503."""
    methods: Mapping[str, Rate | None] = field(default=METHOD_RATES, validator=_rates)
    """Requests of one user, by their method; more get 503. Where a method is not named, `frames` is its limit."""
    dialogues: int = field(default=100, validator=_at_least_1)
    """So many dialogues that one user has opened may be open; a further request for one gets 503."""
    called: int = field(default=100, validator=_at_least_1)
    """So many dialogues that others have opened to one user may be open; a further one gets 480. Who has as many of
    them as are left gets no more."""
    ringing: int = field(default=5, validator=_at_least_1)
    """So many calls of one user may ring at one other user at the same time; a further one gets 480."""
    dials: int = field(default=10, validator=_at_least_1)
    """So many hosts without a route may be dialled for one user at the same time; a first request to a further one
    gets 503."""
    memory: int = field(default=25_165_824, validator=_at_least_1)
    """So many bytes may be held for all users: open requests, calls, what waits for them. Nobody gets more than a
    quarter of what is free."""
    memory_connection: int = field(default=16_384, validator=_at_least_1)
    """So many bytes more for each connection that there is; they are its user's, whatever others take."""
    memory_user: int = field(default=4_194_304, validator=_at_least_1)
    """So many bytes may be held for one user; further requests get 503."""
