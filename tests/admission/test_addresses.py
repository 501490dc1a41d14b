"""Where a peer comes from."""

from __future__ import annotations

import pytest

from gortc.admission.addresses import Proxies, household

OURS = Proxies(("127.0.0.0/8", "::1", "10.0.0.0/8"))


@pytest.mark.proves("C-71")
@pytest.mark.parametrize(
    ("address", "forwarded", "peer"),
    [
        ("203.0.113.5", "", "203.0.113.5"),
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),  # its word does not count
        ("127.0.0.1", "", ""),
        ("127.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.1.2.3", "6.6.6.6, 203.0.113.5", "203.0.113.5"),  # what stands before it, the peer has made up
        ("127.0.0.1", "203.0.113.5,10.0.0.9, 10.0.0.8", "203.0.113.5"),
        ("127.0.0.1", "10.0.0.9", ""),
        ("127.0.0.1", "unknown", ""),
        ("127.0.0.1", "203.0.113.5:1234", ""),
        ("127.0.0.1", "203.0.113.5, nonsense", ""),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("::ffff:203.0.113.5", "198.51.100.1", "::ffff:203.0.113.5"),
        ("127.0.0.1", "::ffff:203.0.113.5", "203.0.113.5"),
        ("", "203.0.113.5", "203.0.113.5"),  # by a UNIX socket
        ("", "", ""),
    ],
)
def test_who_is_behind_a_proxy(address: str, forwarded: str, peer: str) -> None:
    assert OURS.behind(address, forwarded) == peer


def test_no_address_is_no_proxy() -> None:
    assert "nonsense" not in OURS
    assert "fe80::1%eth0" not in OURS
    assert "203.0.113.5" not in Proxies(())
    assert "" in Proxies(())


@pytest.mark.parametrize(
    ("address", "home"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("", ""),
    ],
)
def test_a_household_is_one(address: str, home: str) -> None:
    """Whoever has a /64 has as many addresses as he likes."""
    assert household(address) == home
