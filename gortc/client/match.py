"""Patterns for JSON values, and the variables in them.

A pattern is JSON itself. An object matches one that has at least its keys, each matching; an array matches item by
item; anything else matches what is equal to it. Besides:

    {$re: '^v=0'}          a string in which the regular expression is found; its named groups become variables
    {$type: integer}       any value of that type: string, integer, number, boolean, array, object, null or any
    {$value: null}         that value as it is, nothing in it has a meaning
    null, as a key's       the key is not there
    $name, ${name}         the variable's value; in a longer string, its text
    $$                     a dollar sign

Variables are filled in where a value is text, not in names and not in a regular expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

Variables = dict[str, Any]

NAME = r"[A-Za-z_]\w*"
"""A variable's name."""

IT = "it"
"""What the whole value is called, where its parts have names."""

_VARIABLE = re.compile(rf"\$(?:(\$)|\{{({NAME})\}}|({NAME}))?")

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
    "any": (str, int, float, bool, list, dict, type(None)),
}


class BadPattern(ValueError):
    """A pattern that can't be, or a variable that has no value; the text is one line."""


def check(pattern: Any, sent: bool = False) -> None:
    """Raise BadPattern where a pattern is wrong whatever it is compared with, or can't be `sent`."""
    special = _special(pattern)
    if special is not None:
        word, argument = special
        if sent and word != "$value":
            raise BadPattern(f"{word} says what is expected; it can't be sent")
        if word == "$re":
            _compiled(argument)
        elif word == "$type":
            _types(argument)
    elif isinstance(pattern, Mapping):
        for value in pattern.values():
            check(value, sent)
    elif isinstance(pattern, list):
        for value in pattern:
            check(value, sent)
    elif isinstance(pattern, str):
        for found in _VARIABLE.finditer(pattern):
            _name(found)


def fill(template: Any, variables: Mapping[str, Any]) -> Any:
    """The JSON value that a template means, to be sent. Raises BadPattern."""
    special = _special(template)
    if special is not None:
        check(template, sent=True)
        return special[1]
    if isinstance(template, str):
        return _fill_text(template, variables)
    if isinstance(template, Mapping):
        return {name: fill(value, variables) for name, value in template.items()}
    if isinstance(template, list):
        return [fill(value, variables) for value in template]
    return template


def differences(
    pattern: Any, value: Any, variables: Mapping[str, Any], found: Variables, at: str = ""
) -> Iterator[str]:
    """Say, a line each, where `value` is not what `pattern` asks for; nothing where it matches.

    What named groups captured is put into `found`. Raises BadPattern.
    """
    special = _special(pattern)
    if special is not None:
        yield from _special_differences(*special, value, found, at or IT)
    elif isinstance(pattern, Mapping):
        if not isinstance(value, dict):
            yield f"{at or IT} is no object but {value!r}"
            return
        for name, wanted in pattern.items():
            where = f"{at}.{name}" if at else name
            if wanted is None:
                if name in value:
                    yield f"{where} should not be there, but is {value[name]!r}"
            elif name not in value:
                yield f"{where} is missing"
            else:
                yield from differences(wanted, value[name], variables, found, where)
    elif isinstance(pattern, list):
        if not isinstance(value, list) or len(value) != len(pattern):
            yield f"{at or IT} is no array of {len(pattern)} but {value!r}"
            return
        for number, (wanted, item) in enumerate(zip(pattern, value, strict=True)):
            yield from differences(wanted, item, variables, found, f"{at}.{number}" if at else str(number))
    else:
        wanted = fill(pattern, variables)
        if not _same(wanted, value):
            yield f"{at or IT} should be {wanted!r}, but is {value!r}"


def _special(pattern: Any) -> tuple[str, Any] | None:
    """What {$word: argument} says; None of any other pattern."""
    if not isinstance(pattern, Mapping):
        return None
    words = [name for name in pattern if isinstance(name, str) and name.startswith("$")]
    if not words:
        return None
    word = words[0]
    if word not in ("$re", "$type", "$value"):
        raise BadPattern(f"{word} is not known; there are $re, $type and $value")
    if len(pattern) != 1:
        raise BadPattern(f"{word} stands alone in its object")
    return word, pattern[word]


def _special_differences(word: str, argument: Any, value: Any, found: Variables, at: str) -> Iterator[str]:
    if word == "$value":
        if not _same(argument, value):
            yield f"{at} should be {argument!r}, but is {value!r}"
    elif word == "$type":
        if type(value) not in _types(argument):
            yield f"{at} should be of type {argument}, but is {value!r}"
    else:
        expression = _compiled(argument)
        match = expression.search(value) if isinstance(value, str) else None
        if match is None:
            yield f"{at} should match {argument!r}, but is {value!r}"
        else:
            found.update({name: text for name, text in match.groupdict().items() if text is not None})


def _same(wanted: Any, value: Any) -> bool:
    """Equal as JSON values: true is not 1."""
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if isinstance(wanted, dict) and isinstance(value, dict):
        return wanted.keys() == value.keys() and all(_same(wanted[name], value[name]) for name in wanted)
    if isinstance(wanted, list) and isinstance(value, list):
        return len(wanted) == len(value) and all(map(_same, wanted, value))
    return bool(wanted == value)


def _compiled(expression: Any) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        raise BadPattern(f"$re: {expression!r} is no regular expression: {error}") from None


def _types(name: Any) -> tuple[type, ...]:
    try:
        return _TYPES[name]
    except (KeyError, TypeError):
        raise BadPattern(f"$type: {name!r} is none of {', '.join(_TYPES)}") from None


def _fill_text(text: str, variables: Mapping[str, Any]) -> Any:
    whole = _VARIABLE.fullmatch(text)
    if whole is not None:
        return _lookup(whole, variables)
    return _VARIABLE.sub(lambda found: _text(_lookup(found, variables)), text)


def _lookup(found: re.Match[str], variables: Mapping[str, Any]) -> Any:
    name = _name(found)
    if name == "$":
        return name
    try:
        return variables[name]
    except KeyError:
        raise BadPattern(f"${name} has no value (a dollar sign is written $$)") from None


def _name(found: re.Match[str]) -> str:
    """The variable's name; a dollar sign where that is what is meant."""
    name = found[1] or found[2] or found[3]
    if name is None:
        raise BadPattern(f"{found.string!r}: after $ comes a name or {{name}} (a dollar sign is written $$)")
    return name


def _text(value: Any) -> str:
    """What a value is in a longer string: text as it is, anything else as JSON has it."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
