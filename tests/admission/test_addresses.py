"""Where a peer comes from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gortc.admission.addresses import HERE, HOPS_MAX, Proxies, Source, household

NETWORKS = ("127.0.0.0/8", "::1", "10.0.0.0/8")
OURS = Proxies(NETWORKS)
STANDARD = Proxies(NETWORKS, "Forwarded")


@pytest.mark.proves("C-71")
@pytest.mark.parametrize(
    ("address", "forwarded", "peer", "nearest"),
    [
        ("203.0.113.5", "", "203.0.113.5", "203.0.113.5"),
        ("203.0.113.5", "198.51.100.1", "203.0.113.5", "203.0.113.5"),  # its word does not count
        ("127.0.0.1", "203.0.113.5", "203.0.113.5", "203.0.113.5"),
        ("10.1.2.3", "6.6.6.6, 203.0.113.5", "203.0.113.5", "203.0.113.5"),  # before it: what the peer has made up
        ("127.0.0.1", "203.0.113.5,10.0.0.9, 10.0.0.8", "203.0.113.5", "203.0.113.5"),
        ("::1", "2001:db8::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "203.0.113.5", "203.0.113.5", "203.0.113.5"),
        ("::ffff:203.0.113.5", "198.51.100.1", "::ffff:203.0.113.5", "::ffff:203.0.113.5"),
        ("127.0.0.1", "::ffff:203.0.113.5", "203.0.113.5", "203.0.113.5"),
        ("", "203.0.113.5", "203.0.113.5", "203.0.113.5"),  # by a UNIX socket
        # Where nobody says, it counts as the last one who is known.
        ("127.0.0.1", "", "", "127.0.0.1"),
        ("127.0.0.1", "unknown", "", "127.0.0.1"),
        ("127.0.0.1", "unix:", "", "127.0.0.1"),  # nginx, of a peer at a UNIX socket of its own
        ("127.0.0.1", "203.0.113.5, nonsense", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.5, ", "", "127.0.0.1"),
        ("127.0.0.1", ", 203.0.113.5", "203.0.113.5", "203.0.113.5"),
        ("127.0.0.1", "203.0.113.5, unknown, 10.0.0.9", "", "10.0.0.9"),
        ("127.0.0.1", "10.0.0.9", "", "10.0.0.9"),
        ("127.0.0.1", ", ".join(["203.0.113.5", *["10.0.0.9"] * HOPS_MAX]), "", "10.0.0.9"),
        ("", "", "", HERE),
        ("", "unknown", "", HERE),
    ],
)
def test_who_is_behind_a_proxy(address: str, forwarded: str, peer: str, nearest: str) -> None:
    assert OURS.source(address, forwarded) == Source(peer, nearest)


SPELLED = {
    "203.0.113.5": "203.0.113.5",
    "203.0.113.5:5678": "203.0.113.5",
    "203.0.113.5:_hidden": "203.0.113.5",
    "2001:db8::17": "2001:db8::17",
    "2001:DB8:0::17": "2001:db8::17",
    "[2001:db8::17]": "2001:db8::17",
    "[2001:db8::17]:4711": "2001:db8::17",
    "[::ffff:203.0.113.5]:80": "203.0.113.5",
    "fe80::1%eth0": "fe80::1",
    "[fe80::1%25eth0]:80": "fe80::1",
    '"203.0.113.5:80"': "203.0.113.5",
    "  203.0.113.5\t": "203.0.113.5",
}
UNREADABLE = (
    "", " ", "unknown", "_hidden", "localhost", "203.0.113", "203.0.113.5.1", "0203.0.113.5", "203.0.113.256", "[v1.x]",
    "0xcb007105", "203.0.113.5:", "203.0.113.5:80:80", ":80", "[]", "[]:80", "[::1", "::1]", "[::1]80", "[::1]:",
    "3405803781",
    "203.0.113.5 6.6.6.6", "203.0.113.5;x", "203.0.113.5/32", "\u0662\u0660\u0663.0.113.5", '"', '""', '"203.0.113.5',
    ":::", "1:2:3:4:5:6:7:8:9", "%eth0", "http://203.0.113.5",
)  # fmt: skip


@pytest.mark.proves("C-71")
@pytest.mark.parametrize(("text", "peer"), SPELLED.items())
def test_an_address_in_any_spelling(text: str, peer: str) -> None:
    assert OURS.source("127.0.0.1", text) == Source(peer, peer)
    assert OURS.source("127.0.0.1", f"6.6.6.6, {text},10.0.0.1") == Source(peer, peer)


@pytest.mark.proves("C-71")
@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_address(text: str) -> None:
    """Nobody knows where it comes from; what stands before it is the peer's own word."""
    assert OURS.source("127.0.0.1", text) == Source("", "127.0.0.1")
    assert OURS.source("127.0.0.1", f"6.6.6.6, {text}") == Source("", "127.0.0.1")


@pytest.mark.proves("C-71")
@pytest.mark.parametrize(
    ("forwarded", "peer"),
    [
        # RFC 7239 section 4
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ('For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
        ('for=192.0.2.43,FOR="198.51.100.17:80";by=10.0.0.1 , for=10.0.0.9', "198.51.100.17"),
        ("proto=https; for=192.0.2.60 ;;host=a", "192.0.2.60"),
        ('for="192.0.2\\.60"', "192.0.2.60"),
        ('host="a, for=6.6.6.6";for=192.0.2.60', "192.0.2.60"),
        ('for=192.0.2.60;host="a\\", for=6.6.6.6"', "192.0.2.60"),
        ('for=192.0.2.60;host=", for=6.6.6.6;by="', "192.0.2.60"),
        ("for=192.0.2.60:80", "192.0.2.60"),  # it should be quoted
        ("for=[2001:db8::1]:80", "2001:db8::1"),
        # A peer has left a quote open, or has escaped what comes after it.
        ('for=", for=192.0.2.60', "192.0.2.60"),
        ('for=6.6.6.6;x=", for=192.0.2.60;by=10.0.0.1', "192.0.2.60"),
        ('x="\\, for="192.0.2.60"', "192.0.2.60"),
        ('x="a, for="[2001:db8::17]:80";host="gortc.local"', "2001:db8::17"),
        ("nonsense, =, ;;, for=192.0.2.60", "192.0.2.60"),
        # It does not say.
        ("", ""),
        ("for=unknown", ""),
        ("for=_hidden", ""),
        ("for=192.0.2.60, for=unknown", ""),
        ("for=192.0.2.60, proto=http", ""),
        ("for=192.0.2.60,", ""),
        ("for=192.0.2.60;for=198.51.100.17", ""),
        ("for=192.0.2.60;For=192.0.2.60", ""),
        ("for = 192.0.2.60", ""),
        ("for", ""),
        ("for=", ""),
        ('for="192.0.2.60', ""),
        ('for=192.0.2.60"', ""),
        ("192.0.2.60", ""),
        ("xfor=192.0.2.60", ""),
        ('by="for=192.0.2.60"', ""),
    ],
)
def test_forwarded(forwarded: str, peer: str) -> None:
    assert STANDARD.source("127.0.0.1", forwarded) == Source(peer, peer or "127.0.0.1")


PIECES = ['for="', "for=", "6.6.6.6", '"', "\\", ",", ";", "=", " ", "x", "[", "]", ":", "_", "10.0.0.1"]
HEADER = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@given(HEADER, st.sampled_from(['for="[2001:db8::17]:4711"', 'by=_x;for="[2001:db8:0::17]";host="gortc.local:80"']))
def test_nothing_that_a_peer_sends_hides_it(forged: str, appended: str) -> None:
    """The proxy appends to what the peer has sent: that is what counts."""
    assert STANDARD.source("127.0.0.1", f"{forged}, {appended}") == Source("2001:db8::17", "2001:db8::17")


@given(HEADER)
def test_a_list_that_a_peer_has_begun(forged: str) -> None:
    assert OURS.source("127.0.0.1", f"{forged}, 192.0.2.60") == Source("192.0.2.60", "192.0.2.60")


@given(st.text(max_size=60), st.sampled_from([OURS, STANDARD]))
def test_whatever_it_says_there_is_an_address_to_count_by(said: str, proxies: Proxies) -> None:
    for address in ("127.0.0.1", "", "203.0.113.5"):
        assert proxies.source(address, said).home


@pytest.mark.parametrize("text", ['for="' * 3000, "for=a," * 2500, ",for=" * 3000 + '"', '\\"' * 8000, ";" * 16000])
def test_a_long_one_is_soon_read(text: str) -> None:
    """However often it leads back and forth: the answer comes, for ten times as much, too."""
    assert STANDARD.source("127.0.0.1", text) == STANDARD.source("127.0.0.1", text * 10) == Source("", "127.0.0.1")


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
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        (HERE, HERE),
    ],
)
def test_a_household_is_one(address: str, home: str) -> None:
    """Whoever has a /64 has as many addresses as he likes."""
    assert household(address) == Source(address, address).home == home


@pytest.mark.parametrize("text", ["", "alice@gortc.local", "pbx:alice@gortc.local", "2001:db8::/64", "unix", "::x"])
def test_what_is_no_address_is_its_own_household(text: str) -> None:
    """Whoever logs something about it may ask."""
    assert household(text) == text
