"""Addresses: where a peer comes from, also where a proxy stands in between."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network


class Proxies:
    """The networks whose word counts in `X-Forwarded-For`: those of our own reverse proxies."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ip_network(text) for text in networks]

    def __contains__(self, address: str) -> bool:
        """Whether a proxy of ours has `address`. A UNIX socket, "", is on this machine: whoever is there is one."""
        try:
            return not address or any(_plain(address) in network for network in self._networks)
        except ValueError:
            return False

    def behind(self, address: str, forwarded: str) -> str:
        """Where a peer comes from whose connection is `address`'s: of `forwarded`, what `X-Forwarded-For` says, the
        last one that is not a proxy of ours. Each proxy appends whom it has seen; what a peer has made up stands before
        it. "" where a proxy of ours does not say.
        """
        if address not in self:
            return address
        for text in reversed(forwarded.split(",")):
            try:
                seen = str(_plain(text.strip()))
            except ValueError:
                return ""
            if seen not in self:
                return seen
        return ""


def _plain(address: str) -> object:
    """IPv4 inside IPv6 is IPv4."""
    found = ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return found if mapped is None else mapped


def household(address: str) -> str:
    """What counts as one address: of IPv6 the /64 network, which is one household's (RFC 6177)."""
    if ":" not in address:
        return address
    plain = _plain(address)
    return str(ip_network((plain, 64), strict=False)) if isinstance(plain, IPv6Address) else str(plain)
