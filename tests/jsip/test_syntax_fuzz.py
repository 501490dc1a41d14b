"""The syntax under anything at all: bytes, frames that are almost right, sequences of them. docs/jsip.md section 2.

What should become of a frame is worked out a second time here (`verdict`), from the page and by another JSON reader,
and compared with what does. Nothing may raise but BadMessage, BadURI and BadName.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address
from typing import Any, cast

import orjson
import pytest
import txaio.tx
from hypothesis import given, settings
from hypothesis import strategies as st

from gortc.jsip.layers import Journal
from gortc.jsip.message import CSEQ_MAX, Message, Request, Response, answer_headers, encode
from gortc.jsip.methods import ACK, CANCEL, METHODS
from gortc.jsip.syntax import DEPTH_MAX, Syntax, read
from gortc.jsip.transactions import Transactions
from gortc.jsip.uri import LENGTH_MAX, BadURI, parse
from gortc.service.task import Task
from gortc.transport.names import BadName, channel_name
from tests.jsip.kit import Stage
from tests.torture.lines import Exchange
from tests.transport.kit import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, frames

Json = dict[str, Any]
Pairs = list[tuple[str, Any]]

FEW = max(100, settings().max_examples // 4)
"""So many examples where there is less to find, or where each one is a whole node."""

# JSON values, and messages.

I64, U64 = 2**63, 2**64
integers = st.integers(-I64, U64 - 1) | st.sampled_from([0, 1, -1, CSEQ_MAX, CSEQ_MAX + 1, I64, U64 - 1, -I64])
floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=6,
)
strings = texts.filter(bool) | st.sampled_from(["alice@gortc.local", "d1", "\0", " ", "\u2028\U0010ffff", "x" * 300])
odd_names = texts | st.sampled_from(["type", "CSEQ", "Body ", "", "__proto__", "X-[]", "\0", "Content-Type", "Reason"])

RESERVED = frozenset(
    (
        "Type", "Request-URI", "Code", "Desc", "From", "To", "DialogueID", "CSeq", "RelatedID", "Router", "Expire",
        "Max-Forwards", "Body",
    )
)  # fmt: skip


def whole(least: int, most: int = CSEQ_MAX) -> st.SearchStrategy[int | float]:
    """Integers, at their limits too, some of them written as 1.0."""
    numbers = st.integers(least, most) | st.sampled_from([least, most])
    return numbers | numbers.map(float).filter(lambda number: number <= most)


URI_TEXT = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"], exclude_characters="@:;,=[]")
users = st.text(URI_TEXT, min_size=1, max_size=6) | st.sampled_from(["alice", "%00", "5060", "[x]", "="])
hosts = st.text(URI_TEXT, min_size=1, max_size=6) | st.sampled_from(
    ["gortc.local", "[2001:DB8::1]", "H", "8080", "\u0130", "B\u00fccher.GORTC"]
)
params = st.lists(
    st.text(URI_TEXT, min_size=1, max_size=3) | st.sampled_from(["lr", "x=", "x=1", "type=a=b", "@:[=", "u@h:1"]),
    max_size=4,
)


@st.composite
def uris(draw: st.DrawFn) -> str:
    """Texts that follow the grammar."""
    prefix = draw(st.sampled_from(["", "", "sip:", "A1+.-:", "x:"]))
    user = draw(st.just("") | users.map(lambda text: f"{text}@"))
    port = draw(st.sampled_from(["", "", "", ":0", ":5060", ":65535", ":00080"]))
    return prefix + user + draw(hosts) + port + "".join(f";{param}" for param in draw(params))


named = {"From": strings, "To": strings, "DialogueID": strings, "CSeq": whole(1)}
more = st.dictionaries(odd_names.filter(lambda name: name not in RESERVED), values, max_size=2)
bodies = st.fixed_dictionaries({}, optional={"Body": values})


def requests() -> st.SearchStrategy[Json]:
    """Requests without a fault."""
    methods = st.sampled_from(sorted(METHODS))
    router = uris() | st.builds("{} ,{}".format, uris(), uris())
    optional = {"Router": router, "Expire": whole(0), "Max-Forwards": whole(0), "RelatedID": whole(1)}
    made = st.fixed_dictionaries({"Type": methods, "Request-URI": uris(), **named}, optional=optional)
    return st.builds(lambda *parts: {name: value for part in parts for name, value in part.items()}, made, more, bodies)


def responses() -> st.SearchStrategy[Json]:
    """Responses without a fault."""
    made = st.fixed_dictionaries(
        {"Type": st.just("RESPONSE"), "Code": whole(100, 699), **named},
        optional={"Desc": values, "Request-URI": values},
    )
    return st.builds(lambda *parts: {name: value for part in parts for name, value in part.items()}, made, more, bodies)


messages = requests() | responses()


# Messages that are almost right.

wrong_values = (
    values
    | st.sampled_from(
        ["INVITE", "ACK", "CANCEL", "RESPONSE", "invite", "PUBLISH", "", " ", "a b", "1", 0, 1, 1.5, True]
    )
    | st.sampled_from([CSEQ_MAX + 1, float(CSEQ_MAX + 1), -0.0, 99, 700, 1e300, [], {}, None, float("nan"), math.inf])
    | st.sampled_from(["\ud800", "x\udfff"])
    | st.integers(DEPTH_MAX - 3, DEPTH_MAX + 3).map(lambda levels: json.loads("[" * levels + "]" * levels))
)


NAMES: Json = {"From": "alice@gortc.local", "To": "service@gortc.local", "DialogueID": "d1", "CSeq": 1}
ASKED: Json = {
    "Request-URI": "service@gortc.local", "RelatedID": 1, "Router": "gortc.local", "Expire": 300, "Max-Forwards": 70,
}  # fmt: skip
FAIR: list[Json] = [
    *({"Type": method, **NAMES, **ASKED, "Body": {"a": [1, "b"]}} for method in sorted(METHODS)),
    *({"Type": "RESPONSE", "Code": code, "Desc": "OK", **NAMES, "Body": "v=0"} for code in (100, 180, 200, 486)),
]
"""One of each kind: what is broken below."""

touched = st.sampled_from(
    [
        "Type", "Type", "Request-URI", "Router", "Expire", "Max-Forwards", "RelatedID", "Code", "Body", "CSeq", "From",
        "To", "DialogueID", "Desc",
    ]
)  # fmt: skip
CHANGES = ("drop", "replace", "replace", "repeat", "rename", "exchange", "retype")


@st.composite
def almost(draw: st.DrawFn) -> bytes:
    """A message's text with a few headers taken away, replaced, exchanged, repeated, renamed, or of another type."""
    pairs: Pairs = list(draw(st.sampled_from(FAIR)).items())
    for _ in range(draw(st.integers(0, 2))):
        name = draw(touched)
        change = draw(st.sampled_from(CHANGES))
        at = next((number for number, pair in enumerate(pairs) if pair[0] == name), None)
        if at is None or change == "repeat":
            pairs.append((name, draw(wrong_values)))
        elif change == "drop":
            del pairs[at]
        elif change == "replace":
            pairs[at] = (name, draw(wrong_values))
        elif change == "rename":
            pairs[at] = (draw(touched | odd_names), pairs[at][1])
        elif change == "exchange":
            other = draw(st.integers(0, len(pairs) - 1))
            pairs[at], pairs[other] = (name, pairs[other][1]), (pairs[other][0], pairs[at][1])
        else:
            value = pairs[at][1]
            whole_as = [float(value), -value, value * 10**20] if type(value) is int else [{name: value}]
            pairs[at] = (name, draw(st.sampled_from([str(value), [value], None, True, *whole_as])))
    return written(pairs, draw(st.booleans()), draw(st.sampled_from(["", " ", "\t\r\n"])))


def written(pairs: Iterable[tuple[str, Any]], escape: bool, blank: str) -> bytes:
    """The JSON text of these headers, in this order, repeated ones as well; NaN as JavaScript would like it."""

    def text(value: Any) -> str:
        return json.dumps(value, ensure_ascii=escape)

    inner = f"{blank},{blank}".join(f"{text(name)}{blank}:{blank}{text(value)}" for name, value in pairs)
    return f"{blank}{{{blank}{inner}{blank}}}{blank}".encode("utf-8", "surrogatepass")


@st.composite
def mutated(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """Bits flipped, an end cut off, pieces repeated, taken out, or put in from elsewhere."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, min(len(data), at + 12)))
        change = draw(st.sampled_from(["flip", "cut", "repeat", "remove", "put in", "splice"]))
        if change == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "cut":
            del data[at:]
        elif change == "repeat":
            data[at:at] = data[at:end]
        elif change == "remove":
            del data[at:end]
        elif change == "put in":
            data[at:at] = draw(st.binary(max_size=4))
        elif change == "splice":
            other = draw(originals)
            data[at:] = other[draw(st.integers(0, len(other))) :]
    return bytes(data)


fair = st.sampled_from([json.dumps(headers).encode() for headers in FAIR])
anything = st.one_of(
    almost(), almost(), almost(), almost(), almost(), mutated(fair), mutated(almost()), st.binary(max_size=40),
    values.map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


# What should become of a frame, by the page.

TAKEN, DROPPED = "taken", "dropped"
EXPIRING = ("INVITE", "SUBSCRIBE", "REGISTER", "UPDATE")
Verdict = frozenset[str | int]
"""What may become of it: it is taken, dropped, or answered with a code. More than one where the page leaves it open."""


def verdict(data: bytes) -> Verdict:
    """What should become of a frame."""
    headers = plain_json(data)
    if not isinstance(headers, dict):
        return halved(data)
    kind = headers.get("Type")
    readable = all(isinstance(headers.get(name), str) and headers[name] for name in ("From", "To", "DialogueID"))
    readable = readable and is_whole(headers.get("CSeq"), 1)
    deep = levels(headers) > DEPTH_MAX
    if not readable:
        return frozenset((DROPPED,))
    if kind == "RESPONSE":
        return frozenset((TAKEN if is_whole(headers.get("Code"), 100, 699) and not deep else DROPPED,))
    refused: set[str | int] = {DROPPED if kind == ACK else 400}
    if not isinstance(kind, str):
        return frozenset(refused)
    if kind not in METHODS:
        return frozenset((400, 405) if deep else (405,))
    bad = deep or not isinstance(headers.get("Request-URI"), str) or not isinstance(headers.get("Router", ""), str)
    limits = {"Expire": 0, "Max-Forwards": 0, **({"RelatedID": 1} if kind in (ACK, CANCEL) else {})}
    wrong = {name for name in limits if name in headers and not is_whole(headers[name], limits[name])}
    left_open = {name for name in wrong if is_whole(headers[name], limits[name], None)}  # the page names no most
    if kind not in EXPIRING:
        left_open |= wrong & {"Expire"}  # nor what it is where it has no place
    if bad or wrong - left_open:
        return frozenset(refused)
    return frozenset({TAKEN, *refused} if left_open else {TAKEN})


HALF = "\ue000"
"""Nobody says this in these tests."""


def without_halves(data: bytes) -> bytes:
    """The text with `HALF` for each half of a surrogate pair, found character by character."""
    text, made, at = data.decode("utf-8", "surrogateescape"), [], 0
    while at < len(text):
        size = 1
        if text[at] == "\\":
            size = 6 if text[at + 1 : at + 2] == "u" else 2
            code = number_of(text[at + 2 : at + 6]) if size == 6 else 0
            after = number_of(text[at + 8 : at + 12]) if text[at + 6 : at + 8] == "\\u" else 0
            if 0xD800 <= code < 0xDC00 <= after < 0xE000:
                size = 12
            elif 0xD800 <= code < 0xE000:
                made.append(HALF)
                at += size
                continue
        made.append(text[at : at + size])
        at += size
    return "".join(made).encode("utf-8", "surrogateescape")


def number_of(digits: str) -> int:
    """What four hexadecimal digits say, 0 where they are none."""
    return int(digits, 16) if re.fullmatch(r"[0-9a-fA-F]{4}", digits) else 0


def halved(data: bytes) -> Verdict:
    """What should become of what is no JSON: where that is half a surrogate pair's fault, it is refused."""
    headers = plain_json(without_halves(data))
    if not isinstance(headers, dict):
        return frozenset((DROPPED,))
    readable = all(isinstance(headers.get(name), str) and headers[name] for name in ("From", "To", "DialogueID"))
    if not readable or not is_whole(headers.get("CSeq"), 1):
        return frozenset((DROPPED,))
    if headers.get("Type") in ("RESPONSE", ACK) or any(HALF in headers[name] for name in ("From", "To", "DialogueID")):
        return frozenset((DROPPED,))
    return frozenset((400,))


def plain_json(data: bytes) -> Any:
    """The value of a JSON text, None where it is none, by Python's own reader, which must be told to be strict."""

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    def check(value: Any) -> Any:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()  # no 1e400, no half surrogate pair
        return value

    try:
        return check(
            json.loads(data.decode(), parse_constant=refuse, object_pairs_hook=lambda pairs: dict(check(pairs)))
        )
    except (ValueError, RecursionError):
        return None


def is_whole(value: Any, least: int, most: int | None = CSEQ_MAX) -> bool:
    """Whether it is an integer in this range, 1.0 as well."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        return False
    return least <= value and (most is None or value <= most)


def levels(value: Any) -> int:
    """How deep it is nested."""
    if not isinstance(value, (dict, list)):
        return 0
    return 1 + max(map(levels, value.values() if isinstance(value, dict) else value), default=0)


class Above:
    """In place of the transactions: what the syntax hands up, and the channel that it writes to."""

    def __init__(self) -> None:
        self.name = "alice@gortc.local"
        self.trusted = True
        self.guest = self.account = None
        self.taken: list[Message] = []
        self.sent: list[Json] = []
        self.strikes = 0
        self.journal = Journal()
        self.syntax = Syntax(self.journal)
        self.syntax.above = cast(Transactions, self)

    def receive(self, channel: Any, message: Message) -> None:
        """A message that could be read."""
        self.taken.append(message)

    def send(self, data: bytes) -> int:
        """An answer."""
        self.sent.append(json.loads(data))
        return 0

    def garbage(self) -> None:
        """A bad one."""
        self.strikes += 1

    def feed(self, data: bytes) -> str | int:
        """One frame: what has become of it."""
        self.syntax.receive(cast(Any, self), data)
        assert "stack failure" not in self.journal.counts
        excused = not self.strikes and not self.taken  # half a surrogate pair
        assert plain_json(data) is None or not excused
        assert len(self.taken) + self.strikes + excused == 1
        assert sum(self.journal.counts.values()) == self.strikes + excused
        if self.taken:
            assert not self.sent
            return TAKEN
        if not self.sent:
            assert self.journal.counts["bad message"] == 1
            return DROPPED
        (answer,) = self.sent
        assert self.journal.counts["bad request"] == 1
        code: int = answer["Code"]
        return code


@pytest.mark.plain
@pytest.mark.proves(
    "M-1", "M-2", "M-3", "M-5", "M-6", "M-7", "M-8", "M-20", "M-21", "M-22", "M-23", "M-24", "M-25", "M-27", "M-28"
)
@settings(deadline=None)
@given(anything)
def test_what_becomes_of_a_frame_is_what_the_contract_says(data: bytes) -> None:
    above = Above()
    assert above.feed(data) in verdict(data)
    for answer in above.sent:
        headers = plain_json(data) or plain_json(without_halves(data))
        assert {name: answer[name] for name in ("From", "To", "DialogueID", "CSeq")} == {
            name: headers[name] for name in ("From", "To", "DialogueID", "CSeq")
        }
        assert (answer["Type"], type(answer["CSeq"])) == ("RESPONSE", int)
        assert 0 < len(answer["Reason"]) < 200
        assert answer["Desc"] == {400: "Bad Request", 405: "Method Not Allowed"}[answer["Code"]]
        assert ("Allow" in answer) == (answer["Code"] == 405)
        assert verdict(orjson.dumps(answer)) == {TAKEN}


@pytest.mark.proves("M-13", "M-20")
@settings(deadline=None, max_examples=FEW)
@given(messages, st.booleans(), st.sampled_from(["", " ", "\r\n\t"]), st.integers(100, 699))
def test_what_is_written_is_read_the_same(headers: Json, escape: bool, blank: str, code: int) -> None:
    data = written(headers.items(), escape, blank)
    message = read(orjson.loads(data))
    assert message.headers == headers == json.loads(data)
    assert kind_of(message) == (headers["Type"], headers.get("Code", 0) if headers["Type"] == "RESPONSE" else 0)
    assert message.cseq == message.headers["CSeq"] == headers["CSeq"]
    assert type(message.headers["CSeq"]) is int
    encode(message)
    first = message.data
    assert first is not None
    again = read(orjson.loads(first))
    encode(again)
    assert again.data == first  # to write is to be read and written the same for ever
    assert same(again.headers, message.headers)
    assert (kind_of(again), again.cseq, again.body, again.dialogue_id, again.carried) == (
        kind_of(message), message.cseq, message.body, message.dialogue_id, message.carried,
    )  # fmt: skip
    assert list(again.headers) == list(headers)
    answer = read(orjson.loads(orjson.dumps(answer_headers(message.headers, code))))
    assert (kind_of(answer), answer.cseq) == (("RESPONSE", code), message.cseq)
    assert answer.headers["Desc"]


def kind_of(message: Message) -> tuple[str, int]:
    """Type and Code."""
    if isinstance(message, Request):
        return message.method, message.code
    assert isinstance(message, Response)
    return "RESPONSE", message.code


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal types all the way down: 1 is not 1.0, nor is it true."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


# URIs.


@pytest.mark.proves("M-17", "M-19")
@settings(deadline=None, max_examples=FEW)
@given(uris())
def test_a_uri_of_the_grammar_is_read_and_prints_back(text: str) -> None:
    assert str(parse(text)) == text
    assert taken_apart(text) == parts(text)


@pytest.mark.proves("M-18", "M-19")
@settings(deadline=None, max_examples=FEW)
@given(
    st.text(max_size=40)
    | mutated(uris().map(str.encode)).map(lambda data: data.decode("utf-8", "replace"))
    | st.integers(LENGTH_MAX - 2, LENGTH_MAX + 2).map(lambda size: "h;" + "x" * (size - 2))
)
def test_any_text_is_a_uri_that_prints_back_or_a_bad_one(text: str) -> None:
    try:
        uri = parse(text)
    except BadURI as bad:
        reason = str(bad)
    else:
        reason = ""
    if reason:
        assert len(reason) < 500
        assert "\n" not in reason
        return
    assert len(text) <= LENGTH_MAX
    assert not re.search(r"[\s,\x00-\x1f\x7f]", text)
    assert str(uri) == uri.text == text
    assert uri == parse(str(uri))
    assert taken_apart(text) == parts(text)


Parts = tuple[str | None, str | None, str, int | None, dict[str, str | None]]


def parts(text: str) -> Parts:
    """What the parser has found."""
    uri = parse(text)
    host = uri.host if text.isascii() else ".".join(map(label_text, uri.host.split(".")))
    return uri.prefix, uri.user, host, uri.port, dict(uri.params)


def label_text(label: str) -> str:
    """What an A-label stands for."""
    return label[4:].encode().decode("punycode") if label.startswith("xn--") else label


def taken_apart(text: str) -> Parts:
    """The same by hand: parameters off, then what is before the @, then brackets and the port."""
    address, *flags = text.split(";")
    before, at, host = address.rpartition("@")
    user = prefix = None
    if at:
        head, colon, tail = before.rpartition(":")
        prefix, user = (head if colon else None), tail
    elif not host.startswith("["):
        head, colon, tail = host.partition(":")
        if colon and (not tail.isascii() or not tail.isdigit() or len(tail) > 5):
            prefix, host = head, tail
    name, closed, port = host.rpartition("]:") if host.startswith("[") else host.rpartition(":")
    if not closed:
        name, port = host, ""
    elif closed == "]:":
        name += "]"
    found: dict[str, str | None] = {}
    for flag in flags:
        key, equals, value = flag.partition("=")
        found.setdefault(key, value if equals else None)
    name = re.sub("[A-Z]", lambda capital: capital[0].lower(), name)
    if name.startswith("["):  # the same where the bits are (RFC 5954 section 4.2)
        with contextlib.suppress(ValueError):
            bits = IPv6Address(name[1:-1])
            name = f"[{bits}]" if bits.ipv4_mapped is None else f"[::ffff:{bits.ipv4_mapped}]"
    return prefix, user, name, int(port) if port else None, found


@pytest.mark.proves("C-10", "C-11")
@settings(deadline=None, max_examples=FEW)
@given(st.text(max_size=30) | uris() | mutated(uris().map(str.encode)).map(lambda data: data.decode("latin-1")))
def test_any_userid_names_a_channel_or_is_a_bad_one(userid: str) -> None:
    with contextlib.suppress(BadName):
        name = channel_name(userid)
        assert 0 < len(name) <= 300
        assert not re.search(r"[\x00-\x20\x7f,;]", name)
        assert parse(name).name == name


# A whole node.


def meeting(headers: Json, dialogue: str, cseq: int, related: int, without: set[str]) -> Json:
    """A fair message in one of a few dialogues under a low CSeq, so that messages meet, `without` some headers."""
    made = {**headers, "DialogueID": dialogue, "CSeq": cseq}
    if "RelatedID" in made:
        made["RelatedID"] = related
    return {name: value for name, value in made.items() if name not in without}


invites = st.sampled_from([headers for headers in FAIR if headers["Type"] == "INVITE"])
meetings = st.builds(
    meeting,
    invites | st.sampled_from(FAIR),
    st.sampled_from(["d1", "d2"]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sets(st.sampled_from(["RelatedID", "Expire", "Body", "Router", "Max-Forwards"])),
)
meeting_frames = meetings.map(orjson.dumps)
reactions = st.dictionaries(st.sampled_from(sorted(METHODS)), st.sampled_from([180, 200, 302, 486]), max_size=12)


def answering(code: int) -> Callable[[Task, Any], None]:
    """A reaction: answer with `code`."""
    return lambda task, message: task.answer(message, code)


@pytest.mark.proves("M-24", "M-25", "M-27", "M-28", "M-31")
@settings(deadline=None, max_examples=FEW)
@given(
    reactions, st.lists(meeting_frames | mutated(meeting_frames) | anything, min_size=1, max_size=8), st.integers(0, 70)
)
def test_no_sequence_of_frames_hurts_a_node(codes: dict[str, int], sequence: list[bytes], pause: int) -> None:
    with Stage(garbage_max=1000) as stage:
        stage.probe.reactions = {kind: answering(code) for kind, code in codes.items()}
        alice = stage.person("alice")
        for data in sequence:
            alice.inbox.clear()
            counts = stage.node.journal.counts.copy()
            alice.send(data)
            expected = verdict(data)
            heard = [(message["Type"], message.get("Code")) for message in alice.inbox]
            if expected == {DROPPED}:
                assert heard == []
                assert stage.node.journal.counts - counts == {"bad message": 1}
            elif expected <= {400, 405}:
                assert heard in [[("RESPONSE", code)] for code in expected]
                assert stage.node.journal.counts - counts == {"bad request": 1}
        stage.advance(pause)
        assert "stack failure" not in stage.node.journal.counts
        for task in list(stage.probe.tasks):
            task.finish()
        stage.advance(1000)
        stage.probe.reactions = {"OPTIONS": answering(200)}
        alice.inbox.clear()
        talk = stage.person("bob").open("OPTIONS", "service")  # somebody else has noticed nothing
        talk.expect(200)
        alice.expect_nothing()
        stage.node.journal.counts.clear()
        stage.forget()


# The same below: frames of RFC 6455 that are almost right.


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """What a peer may write: frames of all kinds, good ones and bad ones, some of them mutated."""
    data = b"".join(
        frame(
            draw(meeting_frames | mutated(meeting_frames) | st.binary(max_size=130)),
            draw(st.sampled_from([TEXT, TEXT, TEXT, TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE, 3])),
            fin=draw(st.sampled_from([True, True, True, False])),
            mask=draw(st.sampled_from([b"\x01\x02\x03\x04", b"\x01\x02\x03\x04", b"\0\0\0\0", b""])),
        )
        for _ in range(draw(st.integers(1, 4)))
    )
    return draw(st.just(data) | mutated(st.just(data)))


@pytest.mark.plain
@pytest.mark.proves("M-31")
@settings(deadline=None, max_examples=FEW)
@given(streams(), st.integers(0, 30))
def test_no_stream_of_bytes_hurts_a_node(data: bytes, split: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        exchange = Exchange()
        patch.setattr(txaio.tx.config, "loop", exchange.clock)
        alice, bob = exchange.connect("alice@gortc.local"), exchange.connect("bob@gortc.local")
        alice.send(data, split)
        assert "stack failure" not in exchange.journal.counts
        for opcode, payload in frames(alice.transport.value()):
            if opcode == TEXT:
                assert verdict(payload) == {TAKEN}
            elif opcode == CLOSE and payload:
                assert int.from_bytes(payload[:2], "big") in range(1000, 5000)
        question = {"Type": "OPTIONS", **NAMES, "Request-URI": "gortc.local"}
        bob.send(frame(orjson.dumps(question)))
        (answer,) = [json.loads(payload) for opcode, payload in bob.take() if opcode == TEXT]
        assert (answer["Code"], answer["DialogueID"]) == (200, "d1")
        for wire in (alice, bob):
            wire.lose()
        exchange.advance(1000)
        assert not any(exchange.node.census().values()), exchange.node.census()
