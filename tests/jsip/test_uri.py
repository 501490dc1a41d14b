"""URIs: docs/jsip.md section 2. `[prefix:]user@host[:port][;key=value][;flag]`, also without `user@`."""

from __future__ import annotations

import contextlib
import gc
import tracemalloc
from collections.abc import Callable
from urllib.parse import quote, unquote

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gortc.jsip.uri as uri_module
from gortc.jsip.uri import (
    KEPT_LENGTH,
    KEPT_MAX,
    KEPT_PARAMS,
    LENGTH_MAX,
    BadURI,
    canonical,
    is_party,
    parse,
    same_name,
)

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
    "bob@Bücher.Example": (None, "bob", "xn--bcher-kva.example", None, {}),
    "bob@snow☃man.Com": (None, "bob", "snow☃man.com", None, {}),
    "h:\uff15\uff10": ("h", None, "\uff15\uff10", None, {}),  # no port: its digits are not ASCII
    "%61@h": (None, "%61", "h", None, {}),
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


@pytest.mark.proves("M-18")
def test_an_escaped_user_is_not_too_long_either() -> None:
    """Else a small frame would make the server keep a large name."""
    assert len(parse("\U000e0001" * 85 + "@h").name) == 85 * 12 + 2
    with pytest.raises(BadURI, match="more than 1024 characters"):
        parse("\U000e0001" * 86 + "@h")


def test_the_reason_is_short_however_long_the_text() -> None:
    with pytest.raises(BadURI) as bad:
        parse("a b" * 10_000)
    assert len(str(bad.value)) < 120


@pytest.mark.proves("C-10", "C-30")
@pytest.mark.parametrize(
    ("text", "address", "name"),
    [
        ("sip:Alice@GORTC.com:5060;type=x", "Alice@gortc.com", "Alice@gortc.com"),
        ("SIPS:GORTC.com", "gortc.com", "gortc.com"),
        ("PBX:%41lice@GORTC.com", "Alice@gortc.com", "pbx:Alice@gortc.com"),
    ],
)
def test_a_channel_is_named_by_the_address_and_a_prefix_that_is_another_one(text: str, address: str, name: str) -> None:
    assert (parse(text).address, parse(text).name) == (address, name)


SAME = [
    ["alice@gortc.com", "sip:alice@gortc.com", "SIPS:alice@GORTC.com", "alice@Gortc.COM", "%61lic%65@gortc.com"],
    ["+4930@gortc.com", "%2B4930@gortc.com", "%2b4930@gortc.com", "sip:%2B%34930@gortc.com"],
    ["Jörg@gortc.com", "J%C3%B6rg@gortc.com", "J%c3%b6rg@gortc.com"],
    ["alice%40evil@gortc.com", "sip:alice%40%65vil@gortc.com"],
    ["a%00@h", "%61%00@H"],
    ["a%25@h", "a%@h"],
    ["%FF%C3@h", "%ff%c3@H"],
    ["%C2%85@h", "%c2%85@H"],
    ["a%C2%ADb@h", "a\u00adb@h"],
    ["%3Calice%3E@h", "<alice>@h"],
    ["bob@xn--bcher-kva.example", "bob@bücher.example", "sip:bob@BüCHER.example", "bob@XN--bcher-KVA.example"],
    ["bob@[2001:db8::1]", "bob@[2001:DB8:0::1]", "sip:bob@[2001:db8:0:0:0:0:0:1]"],
    ["bob@[::ffff:192.0.2.1]", "bob@[::FFFF:c000:201]"],
    ["pbx:bob@h", "PBX:%62ob@H"],
    ["gortc.com", "sip:GORTC.com"],
    ["tel:+49123", "TEL:+49123"],
    ["alice@gortc.com:5060", "alice@gortc.com:5060"],
    ["no uri", "no uri"],
]


@pytest.mark.proves("C-10", "C-90")
@pytest.mark.parametrize("spellings", SAME, ids=lambda spellings: ascii(spellings[0]))
def test_spellings_of_one_name(spellings: list[str]) -> None:
    """The first one is how it is named."""
    assert {canonical(text) for text in spellings} == {spellings[0]}
    assert all(same_name(one, other) for one in spellings for other in spellings)


APART = [
    # the user: its case, and what an escape keeps from being read as something else
    "alice@gortc.com", "Alice@gortc.com", "ALICE@gortc.com", "aliCe@gortc.com", "alice @gortc.com",
    "alice%20@gortc.com", "alice%40gortc.com", "alice%40gortc.com@gortc.com", "sip%3Aalice@gortc.com",
    "alice%3B@gortc.com", "alice%2C@gortc.com", "alice%00@gortc.com", "alice%0A@gortc.com", "alice%2561@gortc.com",
    "%2561lice@gortc.com", "%E1lice@gortc.com", "álice@gortc.com", "a\u0301lice@gortc.com", "\u0430lice@gortc.com",
    "alice\u200b@gortc.com",
    # the host
    "gortc.com", "alice@gortc.com.", "alice@gortc.com..", "alice@gortc", "alice@gortc%2Ecom", "alice@gortc\u3002com",
    "alice@gortc\uff0ecom", "alice@gortc\uff61com", "alice@\uff47ortc.com", "alice@gortc.co\u217f", "k@k.de",
    "k@\u212a.de", "s@s.de", "s@\u017f.de", "i@i.de", "i@\u0130.de", "i@\u0131.de", "x@strasse.de", "x@straße.de",
    "x@STRASSE.example", "x@stra\u1e9ee.example", "x@bücher.example", "x@BÜCHER.example", "x@bu\u0308cher.example",
    "x@xn--.example", "x@xn--strae-oqa.example", "x@192.0.2.1", "x@[::ffff:192.0.2.1]", "x@[::192.0.2.1]",
    # another prefix, a port, parameters
    "pbx:alice@gortc.com", "tel:alice@gortc.com", "sipx:alice@gortc.com", "s:alice@gortc.com", "alice@gortc.com:5060",
    "alice@gortc.com:5061", "alice@gortc.com;transport=ws", "sip:alice@gortc.com;lr",
    # no URI
    "Alice <alice@gortc.com>", "<sip:alice@gortc.com>", "", "sip:", "sip:sip:alice@gortc.com", "alice@gortc.com ",
]  # fmt: skip


@pytest.mark.proves("C-10", "C-90", "C-91", "C-92")
def test_names_that_are_apart() -> None:
    same = [(one, other) for one in APART for other in APART if one is not other and same_name(one, other)]
    assert same == []


@pytest.mark.proves("C-90", "C-91", "C-92")
@given(st.text(st.characters(exclude_categories=[])) | st.text("%@:;,.aA0142FfCcBb é\u017f\u212a\u3002[]", max_size=20))
def test_the_spelling_of_a_name_is_its_own(text: str) -> None:
    """Nothing is read out of it that was not in it: it has the same parts, and its own spelling is itself."""
    name = canonical(text)
    assert canonical(name) == name
    assert same_name(text, name)
    if name != text:
        uri, again = parse(text), parse(name)
        assert (again.host, again.port, again.params) == (uri.host, None, {})
        assert (again.user is None) == (uri.user is None)


@pytest.mark.proves("C-91")
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).map(lambda user: user + "ö"))
def test_a_user_is_the_same_escaped_or_not(user: str) -> None:
    escaped = "".join(f"%{octet:02x}" for octet in user.encode())
    name = canonical(f"{escaped}@h")
    assert unquote(name.removesuffix("@h")) == user
    assert same_name(f"{quote(user, safe='')}@h", name)
    if not set(user) & set("@:;, %"):
        assert same_name(f"{user}@h", name)


@pytest.mark.proves("C-92")
@given(st.text(st.characters(min_codepoint=128), min_size=1, max_size=5), st.text("abksiABKSI-.", max_size=3))
def test_a_host_beyond_ascii_is_no_other_hosts(odd: str, plain: str) -> None:
    """What a host becomes in ASCII stands for that host and no other; or it becomes nothing in ASCII."""
    with contextlib.suppress(BadURI):
        host = parse(f"x@{plain}{odd}").host
        if host.isascii():
            lower = "".join(char.lower() if char.isascii() else char for char in plain + odd)
            labels = [
                label[4:].encode().decode("punycode") if label[:4] == "xn--" else label for label in host.split(".")
            ]
            assert ".".join(labels) == lower


@pytest.mark.parametrize(
    ("party", "text", "yes"),
    [
        ("alice", "sip:alice@H", True), ("sip:alice", "alice@h", True), ("%61lice", "alice@h", True),
        ("+4930", "%2B4930@h", True), ("%2B4930", "+4930@h;user=phone", True), ("alice@H", "sip:alice@h:5060", True),
        ("NODE7", "node7", True), ("Alice", "alice@h", False), ("alice", "pbx:alice@h", False), ("h", "alice@h", False),
        ("alice@h", "alice@g", False), ("", "alice@h", False), ("alice@h", "Alice <alice@h>", False),
    ],
)  # fmt: skip
def test_a_party_with_its_host_or_without(party: str, text: str, yes: bool) -> None:
    assert is_party(party, text) is yes


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


@pytest.mark.proves("C-92")
def test_a_host_that_takes_long_to_look_up_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers choose what is looked up: a name of ever so many labels or characters beyond ASCII is not."""
    asked: list[str] = []
    monkeypatch.setattr(idna, "alabel", asked.append)
    for many in (
        "\u00e9." * 490 + "n", "\u00e9." * 5 + "n", "\u00e9" * 60 + ".n", "\u00e9" + ".n" * 127,
        "a" * 59 + "\u00e9", "\u3042" * 65 + ".n", ".".join(["\u3042" * 13] * 5), ".".join(["\u3042" * 22] * 3),
        ".".join(["\u3042" * 30] * 8),
    ):  # fmt: skip
        assert not parse(f"x@{many}").host.isascii()
    assert asked == []


@pytest.mark.proves("C-92")
@pytest.mark.parametrize(
    "host", ["\u00e9." * 4 + "n", ".".join(["\u30c6\u30b9\u30c8" * 7] * 3), "\u00e9" * 40, "a" * 50 + "\u00fc.example"]
)
def test_a_host_that_may_be(host: str) -> None:
    labels = parse(f"x@{host}").host.split(".")
    assert ".".join(map(idna.ulabel, labels)) == host


def test_what_is_escaped_is_not_more_than_a_uri_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """To escape takes its time: nothing is that would be too long anyway, and ASCII takes none."""
    escaped: list[str] = []

    def escape(text: str, *args: str, **options: str) -> str:
        escaped.append(text)
        return quote(text, *args, **options)

    monkeypatch.setattr(uri_module, "quote", escape)
    for user in ("#" * 1015, "\U000e0001a" * 500, "%FFa" * 255):
        with contextlib.suppress(BadURI):
            parse(f"{user}@x")
    assert len(escaped) < 2 * LENGTH_MAX / 3
    assert sum(map(len, escaped)) < 2 * LENGTH_MAX / 3


def worst(number: int) -> str:
    """A text of which as much as can be is kept."""
    return f"{number}@\U0001f600".ljust(KEPT_LENGTH - 3 * KEPT_PARAMS, "\U0001f600") + "".join(
        f";{chr(0x1F300 + at)}=" for at in range(KEPT_PARAMS)
    )


@pytest.mark.parametrize(
    "made",
    [
        lambda at: f"a{at}@x" + "".join(f";{chr(0x1F300 + other)}" for other in range(500)),
        lambda at: f"a{at}@x" + "".join(f";{chr(0x1F300 + other)}" for other in range(KEPT_PARAMS)),
        worst,
        lambda at: f"a{at}@x" + "".join(f";{chr(0x1F300 + other)}" for other in range(60)),
        lambda at: f"pbx:{at}\U0001f600".ljust(85, "\U000e0001") + "@h",
        lambda at: f"{at}".ljust(1000, "\U0001f600") + "@h",
        lambda at: f"{at}\U0001f600".ljust(100, "\u3042"),
    ],
)
def test_what_is_kept_takes_some_megabytes(made: Callable[[int], str]) -> None:
    """Whatever is said: peers choose it."""
    for at in range(2 * KEPT_MAX):
        parse(f"a@h{at}")  # what was kept before is not any more
    gc.collect()
    tracemalloc.start()
    try:
        for at in range(5000):
            with contextlib.suppress(BadURI):
                parse(made(at))
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 6_000_000


def test_what_is_said_again_is_not_read_again() -> None:
    """As long as not too much else is said meanwhile."""
    assert parse("a@again") is parse("a@again")
    one = parse("a@again")
    for at in range(KEPT_MAX):
        parse(f"a@again{at}")
    assert parse("a@again") is not one
    assert parse("a@again;" + "x" * KEPT_LENGTH) is not parse("a@again;" + "x" * KEPT_LENGTH)


def test_brackets_without_an_address_are_compared_as_they_are() -> None:
    assert parse("a@[1.A]").host == "[1.a]"
