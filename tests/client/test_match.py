"""Patterns and variables: what matches, what is said where it doesn't, what is sent, what can't be meant."""

from __future__ import annotations

from typing import Any

import pytest

from gortc.client.match import BadPattern, check, differences, fill


def wrong(pattern: Any, value: Any, **variables: Any) -> list[str]:
    """What differs."""
    return list(differences(pattern, value, variables, {}))


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("hello", "hello"),
        (1, 1),
        (1, 1.0),
        (0.1, 0.1),
        (2**63, float(2**63)),
        (2**53, 2**53),
        (True, True),
        ([], []),
        ([1, "a", None], [1, "a", None]),
        ({}, {"Body": "x"}),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 1, "d": 2}], "e": 3}, "f": 4}),
        ({"Reason": None}, {"Body": None}),
        ({"Body": {"$value": None}}, {"Body": None}),
        ({"Body": {"$value": {"$re": "x"}}}, {"Body": {"$re": "x"}}),
        ({"$value": {"a": [1, {"b": True}]}}, {"a": [1.0, {"b": True}]}),
        ({"$value": "$name"}, "$name"),
        ({"$type": "string"}, ""),
        ({"$type": "integer"}, 2**70),
        ({"$type": "number"}, 1),
        ({"$type": "number"}, 1.5),
        ({"$type": "boolean"}, False),
        ({"$type": "array"}, []),
        ({"$type": "object"}, {}),
        ({"$type": "null"}, None),
        ({"$type": "any"}, None),
        ({"$type": "any"}, True),
        ({"$re": "^v=0"}, "v=0\r\n"),
        ("$$name", "$name"),
    ],
)
def test_it_matches(pattern: Any, value: Any) -> None:
    check(pattern)
    assert wrong(pattern, value) == []


@pytest.mark.parametrize(
    ("pattern", "value", "said"),
    [
        ("hello", "bye", ["it should be 'hello', but is 'bye'"]),
        (1, True, ["it should be 1, but is True"]),
        (True, 1, ["it should be True, but is 1"]),
        (False, 0, ["it should be False, but is 0"]),
        (1, "1", ["it should be 1, but is '1'"]),
        ({"a": 1}, [1], ["it is no object but [1]"]),
        ([1], [1, 2], ["it is no array of 1 but [1, 2]"]),
        ([1], "1", ["it is no array of 1 but '1'"]),
        ([1, 2], [1, 3], ["1 should be 2, but is 3"]),
        ({"a": 1, "b": 2, "c": 3}, {"b": 3, "c": 3}, ["a is missing", "b should be 2, but is 3"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ["a.0.b should be 1, but is 2"]),
        ({"a": {"b": [1]}}, {"a": {"b": {}}}, ["a.b is no array of 1 but {}"]),
        ({"a": {"b": {}}}, {"a": {"b": "x"}}, ["a.b is no object but 'x'"]),
        ({"a": {"b": None}}, {"a": {"b": None}}, ["a.b should not be there, but is None"]),
        ({"a": {"$value": None}}, {}, ["a is missing"]),
        ({"a": {"$value": None}}, {"a": False}, ["a should be None, but is False"]),
        ([None], [0], ["0 should be None, but is 0"]),
        ({"$value": {"a": 1}}, {"a": 1, "b": 2}, ["it should be {'a': 1}, but is {'a': 1, 'b': 2}"]),
        ({"$value": [1, True]}, [1, 1], ["it should be [1, True], but is [1, 1]"]),
        ({"$value": [1]}, [1, 2], ["it should be [1], but is [1, 2]"]),
        ({"$type": "integer"}, True, ["it should be of type integer, but is True"]),
        ({"$type": "integer"}, 1.0, ["it should be of type integer, but is 1.0"]),
        ({"$type": "number"}, False, ["it should be of type number, but is False"]),
        ({"a": {"$re": "^v=0"}}, {"a": "o=0"}, ["a should match '^v=0', but is 'o=0'"]),
        ({"a": {"$re": "1"}}, {"a": 1}, ["a should match '1', but is 1"]),
    ],
)
def test_it_does_not_match(pattern: Any, value: Any, said: list[str]) -> None:
    check(pattern)
    assert wrong(pattern, value) == said


def test_variables_are_compared_as_values_or_as_text() -> None:
    assert wrong(["$a", "${a}b", "<$b>", "$c"], [1, "1b", "<x>", {"d": [True]}], a=1, b="x", c={"d": [True]}) == []
    assert wrong("$a", "1", a=1) == ["it should be 1, but is '1'"]
    assert wrong({"X": "$a"}, {"X": None}, a=None) == []
    assert wrong({"X": "$a"}, {}, a=None) == ["X is missing"]


def test_named_groups_are_found_wherever_they_are() -> None:
    pattern = {
        "Body": {"media": [{"$re": r"port=(?P<port>\d+)"}, {"$type": "any"}]},
        "X": {"$re": r"(?P<word>\w+)(?P<rest> .*)?$"},
    }
    check(pattern)
    found: dict[str, Any] = {}
    assert list(differences(pattern, {"Body": {"media": ["port=9", None]}, "X": "one"}, {}, found)) == []
    assert found == {"port": "9", "word": "one"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("$a", 1),
        ("${a}", 1),
        ("${a}b", "1b"),
        ("$a.b", "1.b"),
        ("$flag $none $text $list", 'true null x ["y"]'),
        ("$$", "$"),
        ("$$a$$", "$a$"),
        ("$$$a", "$1"),
        ("", ""),
        ([1, {"x": ["$text"]}], [1, {"x": ["x"]}]),
        ({"x": None}, {"x": None}),
        ({"$value": {"$re": "$a"}}, {"$re": "$a"}),
        (None, None),
        (1.5, 1.5),
        (True, True),
    ],
)
def test_what_is_sent(template: Any, filled: Any) -> None:
    check(template, sent=True)
    assert fill(template, {"a": 1, "flag": True, "none": None, "text": "x", "list": ["y"]}) == filled


def test_a_variable_keeps_its_type() -> None:
    assert fill("$a", {"a": True}) is True


def test_a_variable_that_is_not_there() -> None:
    with pytest.raises(BadPattern, match=r"^\$b has no value \(a dollar sign is written \$\$\)$"):
        fill({"x": ["$a and ${b}"]}, {"a": 1})
    with pytest.raises(BadPattern, match=r"^\$b has no value"):
        wrong({"x": "$b"}, {"x": "b"})


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ({"$re": "("}, "$re: '(' is no regular expression: missing ), unterminated subpattern at position 0"),
        ({"$re": 5}, "$re: 5 is no regular expression: "),
        ({"$re": "a{99999999999999999999}"}, "is no regular expression: the repetition number is too large"),
        ({"$type": "int"}, "$type: 'int' is none of string, integer, number, "),
        ({"$type": ["string"]}, "$type: ['string'] is none of string, "),
        ({"$regex": "x"}, "$regex is not known; there are $re, $type and $value"),
        ({"$re": "x", "also": 1}, "$re stands alone in its object"),
        ({"$value": 1, "$re": "x"}, "$value stands alone in its object"),
        ("5 $", "'5 $': after $ comes a name or {name} (a dollar sign is written $$)"),
        ("$5", "'$5': after $ comes a name"),
        ("${a", "'${a': after $ comes a name"),
        ("${}", "'${}': after $ comes a name"),
    ],
)
def test_what_can_not_be_meant(pattern: Any, said: str) -> None:
    for nested in (pattern, {"Body": [{"x": pattern}]}):
        with pytest.raises(BadPattern) as caught:
            check(nested)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(BadPattern):
        wrong(pattern, "x")


@pytest.mark.parametrize("pattern", [{"$re": "x"}, {"$type": "any"}])
def test_what_is_expected_can_not_be_sent(pattern: Any) -> None:
    check({"Body": pattern})
    with pytest.raises(BadPattern, match="says what is expected; it can't be sent"):
        check({"Body": [pattern]}, sent=True)
    with pytest.raises(BadPattern, match="says what is expected; it can't be sent"):
        fill({"Body": [pattern]}, {})
