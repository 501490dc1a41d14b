"""URIs: docs/jsip.md section 2. `[prefix:]user@host[:port][;key=value][;flag]`, also without `user@`."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gortc.jsip.uri import BadURI, parse

Parts = tuple[str | None, str | None, str, int | None, dict[str, str | None]]

READ: dict[str, Parts] = {
    "alice@gortc.com": (None, "alice", "gortc.com", None, {}),
    "gortc.com": (None, None, "gortc.com", None, {}),
    "Recv_INVITE": (None, None, "recv_invite", None, {}),
    "Alice@GORTC.com": (None, "Alice", "gortc.com", None, {}),
    "sip:alice@gortc.com": ("sip", "alice", "gortc.com", None, {}),
    "sip:gortc.com": ("sip", None, "gortc.com", None, {}),
    "a1+.-:alice@gortc.com": ("a1+.-", "alice", "gortc.com", None, {}),
    "sip:alice@gortc.com:5060": ("sip", "alice", "gortc.com", 5060, {}),
    "gortc.com:8080": (None, None, "gortc.com", 8080, {}),
    "gortc:8080": (None, None, "gortc", 8080, {}),
    "gortc:8080;type=x": (None, None, "gortc", 8080, {"type": "x"}),
    "gortc:80800000": ("gortc", None, "80800000", None, {}),  # no port has so many digits
    "gortc:8080:80": ("gortc", None, "8080", 80, {}),
    "gortc:a8080": ("gortc", None, "a8080", None, {}),
    "sip:5060@gortc.com": ("sip", "5060", "gortc.com", None, {}),
    "400@gortc.com:0": (None, "400", "gortc.com", 0, {}),
    "400@gortc.com:65535": (None, "400", "gortc.com", 65535, {}),
    "alice@[2001:db8::1]": (None, "alice", "[2001:db8::1]", None, {}),
    "[::1]:8080": (None, None, "[::1]", 8080, {}),
    "sip:alice@[::FFFF:192.0.2.1]:5061;lr": ("sip", "alice", "[::ffff:192.0.2.1]", 5061, {"lr": None}),
    "alice@192.0.2.1": (None, "alice", "192.0.2.1", None, {}),
    "h;a=1;b;c=": (None, None, "h", None, {"a": "1", "b": None, "c": ""}),
    "h;z=1;a=2;m": (None, None, "h", None, {"z": "1", "a": "2", "m": None}),
    "h;a=1;a=2": (None, None, "h", None, {"a": "1"}),
    "h;a=b=c": (None, None, "h", None, {"a": "b=c"}),
    "imas.gortc.com;type=imas": (None, None, "imas.gortc.com", None, {"type": "imas"}),
    "h;relid=room@42:1": (None, None, "h", None, {"relid": "room@42:1"}),
    "münchen@gortc.com": (None, "münchen", "gortc.com", None, {}),
}


@pytest.mark.proves("M-17", "M-19")
@pytest.mark.parametrize(("text", "parts"), READ.items())
def test_read_and_printed_back_as_it_was_read(text: str, parts: Parts) -> None:
    uri = parse(text)
    assert (uri.prefix, uri.user, uri.host, uri.port, uri.params) == parts
    assert list(uri.params) == list(parts[4])
    assert str(uri) == uri.text == text


BAD = [
    "", " ", "@", "alice@", "@gortc.com", "a@b@c", "a b@c", "alice@b c", "a,b", "alice@gortc.com,b", ";type=x", "h;",
    "h;;a", "h;=1", "h:", "a@h:123456", "h:65536", "sip:", ":alice@h", "a@h:80:90", "alice@[::1", "[::1", "[]", "[xyz]",
    "alice@::1", "h\n", "h\x00", "h;a=b c", "h;a\t", "a\x7f@h", "1sip:alice@h", "h;a=1,b",
]  # fmt: skip


@pytest.mark.proves("M-17")
@pytest.mark.parametrize("text", BAD)
def test_bad(text: str) -> None:
    with pytest.raises(BadURI) as bad:
        parse(text)
    assert "\n" not in str(bad.value)


def test_the_reason_is_short_however_long_the_text() -> None:
    with pytest.raises(BadURI) as bad:
        parse("a b" * 10_000)
    assert len(str(bad.value)) < 120


@pytest.mark.proves("C-10")
def test_a_channel_is_named_by_the_address_and_its_prefix() -> None:
    uri = parse("sip:Alice@GORTC.com:5060;type=x")
    assert (uri.address, uri.name) == ("Alice@gortc.com", "sip:Alice@gortc.com")
    assert (parse("GORTC.com").address, parse("GORTC.com").name) == ("gortc.com", "gortc.com")


def test_uris_are_equal_as_their_texts_are() -> None:
    assert parse("alice@gortc.com") == parse("alice@gortc.com")
    assert parse("alice@gortc.com") != parse("alice@gortc.com;a")
    assert len({parse("h"), parse("h"), parse("h;a")}) == 2


@pytest.mark.proves("M-19")
@given(st.text(max_size=40))
def test_whatever_is_read_prints_back(text: str) -> None:
    with contextlib.suppress(BadURI):
        assert str(parse(text)) == text


token = st.from_regex(r"[A-Za-z0-9_.!~-]{1,8}", fullmatch=True)


@pytest.mark.proves("M-17")
@given(
    st.none() | token, token, st.none() | st.integers(0, 65535), st.dictionaries(token, st.none() | token, max_size=4)
)
def test_whatever_follows_the_grammar_is_read(
    user: str | None, host: str, port: int | None, params: dict[str, str | None]
) -> None:
    text = (f"{user}@" if user else "") + host + ("" if port is None else f":{port}")
    text += "".join(f";{key}" if value is None else f";{key}={value}" for key, value in params.items())
    uri = parse(text)
    assert (uri.user, uri.host, uri.port, uri.params) == (user, host.lower(), port, params)
