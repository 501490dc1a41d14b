"""Public addresses: those that everybody reaches, wherever he is. A host that no route names is dialled at one only.

The lists are IANA's registries of special-purpose addresses (RFC 6890), written down here, since what Python takes for
global differs from version to version. Anycast addresses are not public: who answers there is whoever is nearest, maybe
in a network of ours.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

SPECIAL_4: Final = tuple(map(IPv4Network, (
    "0.0.0.0/8",  # RFC 791 section 3.2: this network
    "10.0.0.0/8",  # RFC 1918: private
    "100.64.0.0/10",  # RFC 6598: between a carrier's NAT and its customers
    "127.0.0.0/8",  # RFC 1122 section 3.2.1.3: loopback
    "169.254.0.0/16",  # RFC 3927: link-local; clouds tell secrets there
    "172.16.0.0/12",  # RFC 1918
    "192.0.0.0/24",  # RFC 6890: protocols' own (RFC 7335, 7600, 8880), and anycast of PCP and TURN (RFC 7723, 8155)
    "192.0.2.0/24",  # RFC 5737: documentation
    "192.31.196.0/24",  # RFC 7535: AS112, anycast
    "192.52.193.0/24",  # RFC 7450: AMT, anycast
    "192.88.99.0/24",  # RFC 7526: relays of 6to4, anycast; not used any more
    "192.168.0.0/16",  # RFC 1918
    "192.175.48.0/24",  # RFC 7534: AS112, anycast
    "198.18.0.0/15",  # RFC 2544: benchmarks
    "198.51.100.0/24",  # RFC 5737
    "203.0.113.0/24",  # RFC 5737
    "224.0.0.0/4",  # RFC 5771: multicast
    "240.0.0.0/4",  # RFC 1112 section 4: reserved; and limited broadcast (RFC 919)
)))  # fmt: skip

UNICAST_6: Final = IPv6Network("2000::/3")
"""RFC 4291 section 2.4: what IANA gives out for everybody. Beyond it are loopback, addresses with an IPv4 address
inside (RFC 4291 section 2.5.5, RFC 2765 section 2.1), NAT64's local ones (RFC 8215), discard (RFC 6666), dummy (RFC
9780), SRv6 SIDs (RFC 9602), unique local (RFC 4193), link-local, site-local (RFC 3879) and multicast."""
SPECIAL_6: Final = tuple(map(IPv6Network, (
    "2001::/23",  # RFC 2928: protocols' own: Teredo (RFC 4380), anycast, benchmarks, ORCHIDs (RFC 5180, 7343, 9374)
    "2001:db8::/32",  # RFC 3849: documentation
    "2620:4f:8000::/48",  # RFC 7534: AS112, anycast
    "3fff::/20",  # RFC 9637: documentation
)))  # fmt: skip

NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address follows
MAPPED: Final = IPv6Network("::ffff:0:0/96")  # RFC 4291 section 2.5.5.2: the same
SIX_TO_FOUR: Final = IPv6Network("2002::/16")  # RFC 3056 section 2: it follows at once
ISATAP: Final = (0x00005EFE, 0x02005EFE)  # RFC 5214 section 6.1: it follows, whatever stands before


def is_public(text: str) -> bool:
    """Whether an IP address is one that everybody reaches, and so is the one inside, where it carries one."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is None:
            isatap = int(address) >> 32 & 0xFFFFFFFF in ISATAP
            return address in UNICAST_6 and not isatap and not any(address in special for special in SPECIAL_6)
        address = inner
    return not any(address in special for special in SPECIAL_4)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that `address` leads to, where there is a way from one to the other."""
    if address in MAPPED or address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in SIX_TO_FOUR:
        return IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return None
