"""Addresses: where a peer comes from, also where a proxy stands in between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import islice
from typing import Final

from attrs import frozen

HERE: Final = "unix"
"""What stands for the address of whoever comes by a UNIX socket, and for all for whom nobody there speaks."""
HOPS_MAX: Final = 32
"""So many proxies may stand one behind the other."""
FORWARDED: Final = "forwarded"

_NODE: Final = re.compile(r"\[([^\]]*)\](?::[\w.-]+)?|([\d.]+)(?::[\w.-]+)?|([\dA-Fa-f:.]+(?:%.*)?)", re.ASCII)
_VALUE: Final = r'"(?:[^"\\]|\\.)*"|[^\s",;=\\]*'
# No spaces in it: to look for pairs in a run of them would take the square of its length.
_PAIR: Final = re.compile(rf"([\w!#$%&'*+.^`|~-]+)=({_VALUE})", re.ASCII)
_ELEMENT: Final = re.compile(rf"\s*(?:{_PAIR.pattern}\s*)?(?:;\s*(?:{_PAIR.pattern}\s*)?)*", re.ASCII)
_ELEMENT_MAX: Final = 512
"""About so long an element of `Forwarded` may be, in characters: more is not searched for its beginning."""


@frozen
class Source:
    """Where a peer comes from."""

    address: str
    """Its address; "" where a proxy of ours does not say, so that nobody knows."""
    nearest: str
    """The nearest to it that is known, whose it counts as: its own address, or that of the proxy that does not say."""

    @property
    def home(self) -> str:
        """What limits go by."""
        return household(self.nearest)


class Proxies:
    """Our own reverse proxies, whose word counts in one header: `Forwarded` (RFC 7239), or one that lists addresses, as
    `X-Forwarded-For` does."""

    def __init__(self, networks: Sequence[str], header: str = "X-Forwarded-For") -> None:
        self.header = header
        self._networks = [ip_network(text) for text in networks]
        self._read = _forwarded if header.lower() == FORWARDED else _listed

    def __contains__(self, address: str) -> bool:
        """Whether a proxy of ours has `address`. A UNIX socket, "", is on this machine: whoever is there is one."""
        try:
            return not address or any(_plain(address) in network for network in self._networks)
        except ValueError:
            return False

    def source(self, address: str, said: str) -> Source:
        """Where a peer comes from whose connection is `address`'s: of what the header has `said`, the last one that is
        not a proxy of ours. Each proxy appends whom it has seen; what a peer has made up stands before it.
        """
        if address not in self:
            return Source(address, address)
        nearest = address or HERE
        for seen in islice(self._read(said), HOPS_MAX):
            if not seen:
                break
            nearest = seen
            if seen not in self:
                return Source(seen, seen)
        return Source("", nearest)


def _listed(text: str) -> Iterator[str]:
    """The addresses of a list, from its end on; "" where there is none that can be read."""
    for node in reversed(text.split(",")):
        yield _address(_unquoted(node.strip()))


def _forwarded(text: str) -> Iterator[str]:
    """The same of `Forwarded` (RFC 7239 section 4).

    Each element is looked for from its end on. A peer may have left a quote open; read from the start, it would swallow
    what our proxy has appended. An element cut short at a comma inside its quotes has one quote too many.
    """
    end = len(text)
    while end >= 0:
        start = end
        found = None
        while found is None and start >= 0:
            start = text.rfind(",", max(0, end - _ELEMENT_MAX), start)
            found = _ELEMENT.fullmatch(text, start + 1, end)
        if found is None:
            yield ""
            return
        pairs = [(pair[1].lower(), pair[2]) for pair in _PAIR.finditer(text, start + 1, end)]
        nodes = [value for name, value in pairs if name == "for"]
        # "Each parameter MUST NOT occur more than once per forwarded-element."
        yield _address(_unquoted(nodes[0])) if len(nodes) == 1 else ""
        end = start


def _unquoted(value: str) -> str:
    """RFC 9110 section 5.6.4."""
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if len(value) > 1 and value[0] == value[-1] == '"' else value


def _address(node: str) -> str:
    """That of a node (RFC 7239 section 6), with or without its port; "" where it is `unknown`, `_hidden`, or none."""
    found = _NODE.fullmatch(node)
    try:
        return str(_plain(found[1] or found[2] or found[3] or "")) if found else ""
    except ValueError:
        return ""


def _plain(address: str) -> object:
    """IPv4 inside IPv6 is IPv4; a zone is this machine's own name for a link."""
    found = ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return found if mapped is None else mapped


def household(address: str) -> str:
    """What counts as one address: of IPv6 the /64 network, which is one household's (RFC 6177). What is none, such as a
    network already, stays what it is."""
    if ":" not in address:
        return address
    try:
        plain = _plain(address)
    except ValueError:
        return address
    return str(ip_network((plain, 64), strict=False)) if isinstance(plain, IPv6Address) else str(plain)
