"""Which addresses are public: each block of IANA's registries, its first address, its last, and their neighbours."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from gortc.transport.public import is_public

SPECIAL = [
    # https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast
    "0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/32",
    "192.0.0.171/32", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.88.99.2/32",
    "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
    "240.0.0.0/4", "255.255.255.255/32",
    # https://www.iana.org/assignments/iana-ipv6-special-registry
    "::1/128", "::/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32", "2001:1::1/128",
    "2001:1::2/128", "2001:1::3/128", "2001:2::/48", "2001:3::/32", "2001:4:112::/48", "2001:10::/28", "2001:20::/28",
    "2001:30::/28", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
    # and what else is for nobody: IPv4-compatible, IPv4-translated, site-local, multicast, what is not given out
    "::/96", "::ffff:0:0:0/96", "fec0::/10", "ff00::/8", "4000::/3", "e000::/4", "0400::/6", "200::/7",
]  # fmt: skip
BESIDE = [
    "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.1.255",
    "192.0.3.0", "192.31.195.255", "192.31.197.0", "192.52.192.255", "192.52.194.0", "192.88.98.255", "192.88.100.0",
    "192.167.255.255", "192.169.0.0", "192.175.47.255", "192.175.49.0", "198.17.255.255", "198.20.0.0",
    "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
    "2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db9::", "2001:ffff::", "2003::", "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff", "2620:4f:8001::",
    "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2606:4700::1111", "2001:4860:4860::8888",
]  # fmt: skip


@pytest.mark.proves("C-55")
@pytest.mark.parametrize("block", SPECIAL)
def test_nobody_is_called_at_a_special_address(block: str) -> None:
    network = ip_network(block)
    first, last = int(network.network_address), int(network.broadcast_address)
    kind = type(network.network_address)
    assert [str(kind(at)) for at in (first, (first + last) // 2, last) if is_public(str(kind(at)))] == []


@pytest.mark.proves("C-55")
@pytest.mark.parametrize("address", BESIDE)
def test_what_is_beside_it_is_public(address: str) -> None:
    assert is_public(address)


def carried(inner: str) -> list[str]:
    """The IPv6 addresses that lead to an IPv4 address."""
    four = int(IPv4Address(inner))
    return [
        f"::ffff:{inner}",  # RFC 4291 section 2.5.5.2
        str(IPv6Address((0x64FF9B << 96) + four)),  # RFC 6052
        str(IPv6Address((0x2002 << 112) + (four << 80) + 1)),  # RFC 3056
    ]


@pytest.mark.proves("C-55")
@pytest.mark.parametrize("block", [block for block in SPECIAL if ":" not in block])
def test_an_address_inside_another_one_counts(block: str) -> None:
    network = ip_network(block)
    for inner in (str(network.network_address), str(network.broadcast_address)):
        assert [address for address in carried(inner) if is_public(address)] == []


@pytest.mark.parametrize("address", [one for one in BESIDE if ":" not in one])
def test_a_public_one_inside_another_one(address: str) -> None:
    assert [one for one in carried(address) if not is_public(one)] == []


@pytest.mark.proves("C-55")
@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.1", "93.184.216.34"])
def test_ways_through_others(inner: str) -> None:
    """ISATAP, Teredo, and NAT64 in a prefix of somebody's own: where they lead to, others decide."""
    four = IPv4Address(inner)
    high, low = divmod(int(four), 65536)
    for address in (
        f"2606:4700::5efe:{inner}", f"2606:4700::200:5efe:{inner}", f"64:ff9b:1::{inner}", f"::{inner}",
        f"::ffff:0:{inner}", f"2001:0:4136:e378:8000:63bf:{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}", f"fe80::{inner}%eth0",
    ):  # fmt: skip
        assert not is_public(address), address


def test_the_rule_is_our_own() -> None:
    """Python's differs between its versions: to later ones 192.0.0.9 is global, and 2001:1::1 as well."""
    assert not any(map(is_public, ("192.0.0.8", "192.0.0.9", "192.0.0.10", "2001:1::1", "2001:20::1", "2002:a00:1::")))
    assert all(is_public(str(ip_address(one))) for one in ("192.0.1.1", "2001:200::1"))
