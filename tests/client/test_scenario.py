"""The scenario language: what a file means, and what is said, with its line, of what can't be played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gortc.client.scenario import (
    AnyOrder,
    Closed,
    Connect,
    Disconnect,
    Expect,
    Kind,
    Nothing,
    Party,
    Pause,
    Repeat,
    Scenario,
    ScenarioError,
    Send,
    Step,
    parse,
    read,
)


def one(text: str) -> Scenario:
    """The scenario in a text."""
    (scenario,) = parse(text, "x.yaml")
    return scenario


def step(text: str) -> Step:
    """One step, of alice or bob."""
    (read,) = one(f"parties: [alice, bob]\nsteps:\n  - {text}\n").steps
    return read


def said(text: str, json: bool = False) -> str:
    """What is said of a text that can't be played."""
    with pytest.raises(ScenarioError) as caught:
        parse(text, "x.yaml", json=json)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# what a file means


def test_a_whole_scenario() -> None:
    scenario = one(
        """
title: A message
source: RFC 3428
proves: [T-1, T-2]
services: {hunt400: {within: 5}}
settings: {realm: x.org}
variables: {text: hello, two: {a: [$text]}}
strict: false
parties:
  alice: {user: alice@x.org}
  bob: {connected: false}
  carol:
steps:
  - {connect: bob}
"""
    )
    assert scenario == Scenario(
        title="A message",
        parties=(Party("alice", "alice@x.org"), Party("bob", connected=False), Party("carol")),
        steps=(Connect("x.yaml:14", "bob"),),
        variables={"text": "hello", "two": {"a": ["$text"]}},
        source="RFC 3428",
        proves=("T-1", "T-2"),
        services={"hunt400": {"within": 5}},
        settings={"realm": "x.org"},
        strict=False,
    )


def test_the_least() -> None:
    assert one("steps: []") == Scenario("x.yaml", (), ())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{send: alice INVITE, to: bob}", Send("x.yaml:3", "alice", Kind("INVITE"), {}, to="bob")),
        (
            "{send: alice INVITE, to: $x, dialogue: d, Body: [1], headers: {x-y: 2, X: null}}",
            Send("x.yaml:3", "alice", Kind("INVITE"), {"Body": [1], "x-y": 2, "X": None}, "$x", "d"),
        ),
        ("{send: alice X-NEW_1}", Send("x.yaml:3", "alice", Kind("X-NEW_1"), {})),
        ("{send: alice 200}", Send("x.yaml:3", "alice", Kind("200"), {})),
        ("{send: alice 200 UPDATE}", Send("x.yaml:3", "alice", Kind("200", "UPDATE"), {})),
        (
            "{send: alice, raw: {$value: 1}, dialogue: d}",
            Send("x.yaml:3", "alice", Kind(None), {}, dialogue="d", raw={"$value": 1}),
        ),
        ("{send: alice, raw: null}", Send("x.yaml:3", "alice", Kind(None), {})),
        ("{send: alice, text: ''}", Send("x.yaml:3", "alice", Kind(None), {}, text="")),
        ("{expect: alice}", Expect("x.yaml:3", "alice", Kind(None), {}, {})),
        (
            "{expect: alice 18x INVITE, within: 1.5, optional: true, dialogue: d, save: {v: Body.0}, Body: {$re: x}}",
            Expect("x.yaml:3", "alice", Kind("18x", "INVITE"), {"Body": {"$re": "x"}}, {"v": "Body.0"}, 1.5, True, "d"),
        ),
        ("{nothing: all}", Nothing("x.yaml:3", "all")),
        ("{nothing: bob, within: 0}", Nothing("x.yaml:3", "bob", 0.0)),
        ("{pause: 0.5}", Pause("x.yaml:3", 0.5)),
        ("{repeat: 0, steps: []}", Repeat("x.yaml:3", 0, ())),
        (
            "{repeat: 2, count: n, steps: [{pause: 1}]}",
            Repeat("x.yaml:3", 2, (Pause("x.yaml:3", 1.0),), "n"),
        ),
        ("{connect: bob}", Connect("x.yaml:3", "bob")),
        ("{disconnect: bob}", Disconnect("x.yaml:3", "bob")),
        ("{closed: bob}", Closed("x.yaml:3", "bob")),
        ("{closed: bob, code: 4001, within: 3}", Closed("x.yaml:3", "bob", 4001, 3.0)),
        (
            "any_order: [{expect: bob ACK}]",
            AnyOrder("x.yaml:3", (Expect("x.yaml:3", "bob", Kind("ACK"), {}, {}),)),
        ),
    ],
)
def test_a_step(text: str, meant: Step) -> None:
    assert step(text) == meant


def test_each_step_knows_its_line() -> None:
    scenario = one("parties: [a]\nsteps:\n  - repeat: 2\n    steps:\n      - pause: 1\n\n      - connect: a\n")
    (repeat,) = scenario.steps
    assert isinstance(repeat, Repeat)
    assert [repeat.where, *(inner.where for inner in repeat.steps)] == ["x.yaml:3", "x.yaml:5", "x.yaml:7"]


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "yes",
        "on",
        "Off",
        "Null",
        "0400",
        "1:30",
        "2026-01-31",
        "1_000",
        "0x1F",
        ".5",
        "+1",
        ".inf",
        "NaN",
        "1e400",
    ],
)
def test_what_json_would_not_read_as_a_value_is_text(text: str) -> None:
    assert step(f"{{send: alice 200, Body: {text}}}") == Send("x.yaml:3", "alice", Kind("200"), {"Body": text})


@pytest.mark.parametrize("text", ["1", "true", "null", "~", ""])
def test_what_is_quoted_is_text(text: str) -> None:
    for quoted in (f"'{text}'", f'"{text}"'):
        assert step(f"{{send: alice 200, Body: {quoted}}}") == Send("x.yaml:3", "alice", Kind("200"), {"Body": text})


def test_what_json_would_read_is_its_value() -> None:
    read = step("{send: alice 200, Body: [true, false, null, ~, 0, -1, 1.0, 1e2, 18446744073709551616]}")
    assert isinstance(read, Send)
    body = read.headers["Body"]
    assert body == [True, False, None, None, 0, -1, 1.0, 100.0, 2.0**64]
    assert [type(value) for value in body[4:]] == [int, int, float, float, float]


def test_blocks_anchors_and_escapes_are_yamls() -> None:
    scenario = one('variables:\n  sdp: &sdp |\n    v=0\n    o=-\n  again: *sdp\n  smile: "\\ud83d\\ude00"\nsteps: []\n')
    assert scenario.variables == {"sdp": "v=0\no=-\n", "again": "v=0\no=-\n", "smile": "\U0001f600"}


def test_a_party_may_have_a_name_that_yaml_takes_for_a_word() -> None:
    assert one("parties: [no, on]\nsteps: [{connect: no}]").parties == (Party("no"), Party("on"))


def test_several_scenarios_of_a_file() -> None:
    assert [found.title for found in parse("title: a\nsteps: []\n---\ntitle: b\nsteps: []\n", "x.yaml")] == ["a", "b"]
    assert [found.title for found in parse("- {title: a, steps: []}\n- {steps: []}\n", "x.yaml")] == ["a", "x.yaml"]


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "call.yaml"
    path.write_text("\ufeffsteps: [{say: x}]", encoding="utf-8")
    with pytest.raises(ScenarioError, match=rf"^{path}:1: a step says one of send, expect, "):
        read(path)
    path.write_text("steps: []")
    assert [found.title for found in read(str(path))] == ["call.yaml"]
    path.write_bytes(b"steps: [\xff]")
    with pytest.raises(ScenarioError, match=rf"^{path}: not UTF-8: "):
        read(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nowhere.yaml")


def test_a_file_of_json(tmp_path: Path) -> None:
    path = tmp_path / "call.json"
    path.write_text('{"parties": ["alice"], "steps": [{"connect": "alice"}, {"pause": -1}]}')
    with pytest.raises(ScenarioError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: scenario 1, step 2: pause is so many seconds, not -1"
    path.write_text('{"title": "", "parties": ["alice"], "steps": [{"connect": "alice"}]}')
    (scenario,) = read(path)
    assert scenario.title == ""
    assert scenario.steps == (Connect(f"{path}: scenario 1, step 1", "alice"),)


# kinds


@pytest.mark.parametrize(
    ("kind", "message", "fits"),
    [
        (Kind(None), {}, True),
        (Kind("INVITE"), {"Type": "INVITE"}, True),
        (Kind("INVITE"), {"Type": "BYE"}, False),
        (Kind("200"), {"Type": "RESPONSE", "Code": 200}, True),
        (Kind("200", "BYE"), {"Type": "RESPONSE", "Code": 200}, True),
        (Kind("18x"), {"Type": "RESPONSE", "Code": 183}, True),
        (Kind("2xx"), {"Type": "RESPONSE", "Code": 202}, True),
        (Kind("2xx"), {"Type": "RESPONSE", "Code": 300}, False),
        (Kind("2xx"), {"Type": "RESPONSE", "Code": 2000}, False),
        (Kind("2xx"), {"Type": "RESPONSE"}, False),
        (Kind("200"), {"Type": "INVITE", "Code": 200}, False),
        (Kind("RESPONSE"), {"Type": "RESPONSE", "Code": 603}, True),
    ],
)
def test_a_kind_fits(kind: Kind, message: dict[str, Any], fits: bool) -> None:
    assert kind.fits(message) is fits


def test_a_kind_in_words() -> None:
    assert [str(kind) for kind in (Kind(None), Kind("BYE"), Kind("18x", "INVITE"))] == [
        "a message",
        "BYE",
        "18x INVITE",
    ]


# what can't be played


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "x.yaml: there is no scenario in it"),
        ("# nothing", "x.yaml: there is no scenario in it"),
        ("[]", "x.yaml: there is no scenario in it"),
        ("---\n", "x.yaml: scenario 1: a scenario is an object with `steps`"),
        ("hello", "x.yaml: scenario 1: a scenario is an object with `steps`"),
        ("\ntitle: x", "x.yaml:2: a scenario is an object with `steps`"),
        ("- {send: alice INVITE}", "x.yaml:1: a scenario is an object with `steps`"),
        ("steps: []\n---\nhello", "x.yaml: scenario 2: a scenario is an object with `steps`"),
        ("a: b: c", "x.yaml:1: not YAML: mapping values are not allowed here"),
        ("a:\n\t- b", "x.yaml:2: not YAML: found character '\\t' that cannot start any token"),
        ("steps: [*x]", "x.yaml:1: not YAML: found undefined alias 'x'"),
        (
            "steps: []\ntitle: \x00",
            "x.yaml: not YAML: unacceptable character #x0000: special characters are not allowed",
        ),
        ("steps: []\ntitle: !!python/name x", "x.yaml:2: not YAML: tag:yaml.org,2002:python/name has no meaning here"),
        ("steps: []\ntitle: !!int x", "x.yaml:2: not YAML: tag:yaml.org,2002:int has no meaning here"),
        ('steps: []\ntitle: "\\ud83d"', "x.yaml:2: not YAML: half a character"),
        ("steps: []\n1: x", "x.yaml:2: not YAML: a name is text, not 1"),
        ("? [a]\n: b", "x.yaml:1: not YAML: a name is text, not ['a']"),
        ("steps: []\ntitle: a\nsteps: []", "x.yaml:3: not YAML: 'steps' is there twice"),
        ("&x [*x]", "x.yaml: nested too deeply"),
        ("steps: " + "[" * 300 + "]" * 300, "x.yaml: nested too deeply"),
        ("steps: " + "[" * 3000 + "]" * 3000, "x.yaml: nested too deeply"),
        (
            "steps: []\nname: x",
            "x.yaml:1: 'name' has no meaning here; known are parties, proves, services, settings, source, steps, "
            "strict, title, variables",
        ),
        ("steps: {}", "x.yaml:1: steps must be a list, not {}"),
        ("steps:", "x.yaml:1: steps must be a list, not None"),
        ("steps: [hello]", "x.yaml:1, step 1: a step must be an object, not 'hello'"),
        ("{steps: [], title: 5}", "x.yaml:1: title must be text, not 5"),
        ("{steps: [], source: [x]}", "x.yaml:1: source must be text, not ['x']"),
        ("{steps: [], proves: C-1}", "x.yaml:1: proves must be a list, not 'C-1'"),
        ("{steps: [], proves: [1]}", "x.yaml:1: proves must be text, not 1"),
        ("{steps: [], services: []}", "x.yaml:1: services must be an object, not []"),
        ("{steps: [], settings: x}", "x.yaml:1: settings must be an object, not 'x'"),
        ("{steps: [], strict: yes}", "x.yaml:1: strict must be true or false, not 'yes'"),
        ("{steps: [], variables: [x]}", "x.yaml:1: variables must be an object, not ['x']"),
        ("{steps: [], variables: {$x: 1}}", "x.yaml:1: variables: '$x' is no variable's name"),
        ("{steps: [], variables: {realm: x}}", "x.yaml:1: variables: $realm has its value already"),
        ("{steps: [], parties: [a], variables: {a: 1}}", "x.yaml:1: variables: $a has its value already"),
        (
            "{steps: [], variables: {a: [{$re: x}]}}",
            "x.yaml:1: a: $re says what is expected; it can't be sent",
        ),
        ("{steps: [], parties: alice}", "x.yaml:1: parties must be an object, not 'alice'"),
        ("{steps: [], parties: [a, 5]}", "x.yaml:1: a party can't be called 5"),
        ("{steps: [], parties: [true]}", "x.yaml:1: a party can't be called True"),
        ("{steps: [], parties: [a b]}", "x.yaml:1: a party can't be called 'a b'"),
        ("{steps: [], parties: [all]}", "x.yaml:1: a party can't be called 'all'"),
        ("{steps: [], parties: [play]}", "x.yaml:1: a party can't be called 'play'"),
        ("{steps: [], parties: [{a: b}]}", "x.yaml:1: a party can't be called {'a': 'b'}"),
        ("{steps: [], parties: [a, a]}", "x.yaml:1: there are two parties called 'a'"),
        ("{steps: [], parties: {a: b}}", "x.yaml:1: party a must be an object, not 'b'"),
        ("{steps: [], parties: {a: 0}}", "x.yaml:1: party a must be an object, not 0"),
        (
            "{steps: [], parties: {a: {name: b}}}",
            "x.yaml:1: party a: 'name' has no meaning here; known are connected, user",
        ),
        ("{steps: [], parties: {a: {user: 5}}}", "x.yaml:1: party a: user must be text, not 5"),
        ("{steps: [], parties: {a: {connected: no}}}", "x.yaml:1: party a: connected must be true or false, not 'no'"),
        ("{steps: [{connect: a}]}", "x.yaml:1: 'a' is no party; there are none"),
    ],
)
def test_no_scenario(text: str, error: str) -> None:
    assert said(text) == error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "x.yaml:1: not JSON: Input is a zero-length, empty document"),
        ('{\n"steps": [}', "x.yaml:2: not JSON: unexpected character, expected a JSON value"),
        ('{"steps": ' + "[" * 300 + "]" * 300 + "}", "x.yaml: nested too deeply"),
        ('[{"steps": []}, 5]', "x.yaml: scenario 2: a scenario is an object with `steps`"),
    ],
)
def test_no_scenario_in_json(text: str, error: str) -> None:
    assert said(text, json=True) == error


NO_WORDS = "is not `PARTY METHOD` or `PARTY CODE [METHOD]`"
NO_SEND = "send says `PARTY METHOD`, `PARTY CODE [METHOD]` or `PARTY` with raw or text"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "{say: x}",
            "a step says one of send, expect, any_order, nothing, pause, repeat, connect, disconnect, closed",
        ),
        (
            "{send: alice BYE, expect: bob BYE}",
            "a step says one of send, expect, any_order, nothing, pause, repeat, connect, disconnect, closed",
        ),
        ("{send: }", f"None {NO_WORDS}"),
        ("{send: 5}", f"5 {NO_WORDS}"),
        ("{send: ''}", f"'' {NO_WORDS}"),
        ("{send: [alice]}", f"['alice'] {NO_WORDS}"),
        ("{send: alice  BYE}", f"'alice  BYE' {NO_WORDS}"),
        ("{send: alice bye}", f"'alice bye' {NO_WORDS}"),
        ("{send: alice 20}", f"'alice 20' {NO_WORDS}"),
        ("{send: alice 700}", f"'alice 700' {NO_WORDS}"),
        ("{send: alice 18X}", f"'alice 18X' {NO_WORDS}"),
        ("{send: alice 200 invite}", f"'alice 200 invite' {NO_WORDS}"),
        ("{send: alice BYE 200}", f"'alice BYE 200' {NO_WORDS}"),
        ("{send: carol BYE}", "'carol' is no party; there are alice, bob"),
        ("{send: all BYE}", "'all' is no party; there are alice, bob"),
        ("{send: alice}", NO_SEND),
        ("{send: alice, raw: 1, text: x}", NO_SEND),
        ("{send: alice BYE, raw: {}}", NO_SEND),
        ("{send: alice BYE, text: x}", NO_SEND),
        ("{send: alice, raw: {}, to: bob}", "'to' has no meaning here; known are dialogue, raw, send"),
        ("{send: alice, raw: {}, Body: x}", "'Body' has no meaning here; known are dialogue, raw, send"),
        ("{send: alice, text: x, dialogue: d}", "'dialogue' has no meaning here; known are send, text"),
        ("{send: alice, text: 5}", "text must be text, not 5"),
        ("{send: alice, raw: {a: $}}", "'$': after $ comes a name or {name} (a dollar sign is written $$)"),
        ("{send: alice, raw: {$re: x}}", "$re says what is expected; it can't be sent"),
        ("{send: alice 18x}", "18x is no code that can be sent"),
        ("{send: alice 200, to: bob}", "a response opens no dialogue; there is no `to`"),
        ("{send: alice INVITE, to: 400}", "to must be text, not 400"),
        ("{send: alice INVITE, to: [bob]}", "to must be text, not ['bob']"),
        ("{send: alice INVITE, to: {a: b}}", "to must be text, not {'a': 'b'}"),
        ("{send: alice INVITE, to: $}", "'$': after $ comes a name or {name} (a dollar sign is written $$)"),
        ("{send: alice INVITE, dialogue: [d]}", "dialogue must be text, not ['d']"),
        (
            "{send: alice INVITE, body: x}",
            "'body' has no meaning here; known are dialogue, headers, raw, send, text, to",
        ),
        ("{send: alice INVITE, headers: [x]}", "headers must be an object, not ['x']"),
        ("{send: alice INVITE, headers: {$x: 1}}", "no header is called $x"),
        ("{send: alice INVITE, Body: {$re: x}}", "Body: $re says what is expected; it can't be sent"),
        ("{expect: alice INVITE, Body: {$re: '('}}", "Body: $re: '(' is no regular expression: "),
        ("{expect: alice INVITE, headers: {x: {$is: 1}}}", "x: $is is not known; there are $re, $type and $value"),
        (
            "{expect: alice INVITE, to: bob}",
            "'to' has no meaning here; known are dialogue, expect, headers, optional, save, within",
        ),
        ("{expect: alice INVITE, within: 5s}", "within is so many seconds, not '5s'"),
        ("{expect: alice INVITE, within: true}", "within is so many seconds, not True"),
        ("{expect: alice INVITE, within: }", "within is so many seconds, not None"),
        ("{expect: alice INVITE, optional: yes}", "optional must be true or false, not 'yes'"),
        ("{expect: alice INVITE, dialogue: 5}", "dialogue must be text, not 5"),
        ("{expect: alice INVITE, save: CSeq}", "save must be an object, not 'CSeq'"),
        ("{expect: alice INVITE, save: {$c: CSeq}}", "save: '$c' is no variable's name"),
        ("{expect: alice INVITE, save: {alice: CSeq}}", "save: $alice has its value already"),
        ("{expect: alice INVITE, save: {c: 5}}", "save: c must be text, not 5"),
        ("{any_order: []}", "any_order is a list of expect steps"),
        ("{any_order: [{pause: 1}]}", "any_order is a list of expect steps"),
        ("{any_order: {expect: bob}}", "steps must be a list, not {'expect': 'bob'}"),
        ("{any_order: [{expect: bob}], within: 5}", "'within' has no meaning here; known are any_order"),
        ("{nothing: carol}", "'carol' is no party; there are alice, bob"),
        ("{nothing: }", "None is no party; there are alice, bob"),
        ("{nothing: [alice]}", "['alice'] is no party; there are alice, bob"),
        ("{nothing: all, within: -1}", "within is so many seconds, not -1"),
        ("{pause: -1}", "pause is so many seconds, not -1"),
        ("{pause: -0.5}", "pause is so many seconds, not -0.5"),
        ("{pause: }", "pause is so many seconds, not None"),
        ("{pause: 1, Body: x}", "'Body' has no meaning here; known are pause"),
        ("{repeat: 2}", "steps must be a list, not None"),
        ("{repeat: -1, steps: []}", "repeat says how many times, not -1"),
        ("{repeat: true, steps: []}", "repeat must be a whole number, not True"),
        ("{repeat: 1.5, steps: []}", "repeat must be a whole number, not 1.5"),
        ("{repeat: 2, count: 5, steps: []}", "count: 5 is no variable's name"),
        ("{repeat: 2, count: play, steps: []}", "count: $play has its value already"),
        ("{connect: all}", "'all' is no party; there are alice, bob"),
        ("{disconnect: 5}", "5 is no party; there are alice, bob"),
        ("{closed: carol}", "'carol' is no party; there are alice, bob"),
        ("{closed: bob, code: '1000'}", "code must be a whole number, not '1000'"),
        ("{closed: bob, code: true}", "code must be a whole number, not True"),
        ("{closed: bob, within: x}", "within is so many seconds, not 'x'"),
    ],
)
def test_no_step(text: str, error: str) -> None:
    assert said(f"parties: [alice, bob]\nsteps:\n  - pause: 0\n  - {text}\n").startswith(f"x.yaml:4: {error}")


def test_a_step_within_steps() -> None:
    inner = "      - any_order:\n          - {expect: a}\n          - {expect: b}\n"
    assert said(f"parties: [a]\nsteps:\n  - repeat: 1\n    steps:\n{inner}") == "x.yaml:7: 'b' is no party; there are a"
    json = '{"parties": ["a"], "steps": [{"pause": 1}, {"repeat": 1, "steps": [{"connect": "b"}]}]}'
    assert said(json, json=True) == "x.yaml: scenario 1, step 2, step 1: 'b' is no party; there are a"
