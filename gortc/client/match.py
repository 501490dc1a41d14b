"""Patterns for JSON values, and the variables in them.

A pattern is JSON itself. An object matches one that has at least its keys, each matching; an array matches item by
item; anything else matches what is equal to it. Besides:

    {$re: '^v=0'}          a string in which the regular expression is found; its named groups become variables
    {$type: integer}       any value of that type: string, integer, number, boolean, array, object, null or any
    {$value: null}         that value as it is, nothing in it has a meaning
    null, as a key's       the key is not there
    $name, ${name}         the variable's value; in a longer string, its text
    $$                     a dollar sign
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Variables = dict[str, Any]

_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
    "any": (object,),
}


class BadPattern(ValueError):
    """A pattern that can't be, or a variable that has no value; the text is one line."""


def check(pattern: Any) -> None:
    """Raise BadPattern where a pattern is wrong whatever it is compared with."""
    special = _special(pattern)
    if special is not None:
        word, argument = special
        if word == "$re":
            _compiled(argument)
        elif word == "$type":
            _types(argument)
        return
    if isinstance(pattern, Mapping):
        for value in pattern.values():
            check(value)
    elif isinstance(pattern, list):
        for value in pattern:
            check(value)


def fill(template: Any, variables: Mapping[str, Any]) -> Any:
    """The JSON value that a template means, to be sent. Raises BadPattern."""
    special = _special(template)
    if special is not None:
        word, argument = special
        if word != "$value":
            raise BadPattern(f"{word} says what is expected; it can't be sent")
        return argument
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
        yield from _special_differences(*special, value, found, at)
    elif isinstance(pattern, Mapping):
        if not isinstance(value, dict):
            yield f"{at or 'it'} is no object but {value!r}"
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
            yield f"{at} is no array of {len(pattern)} but {value!r}"
            return
        for number, (wanted, item) in enumerate(zip(pattern, value)):  # noqa: B905 - their lengths are equal
            yield from differences(wanted, item, variables, found, f"{at}[{number}]")
    else:
        wanted = fill(pattern, variables)
        if not _same(wanted, value):
            yield f"{at} should be {wanted!r}, but is {value!r}"


def _special(pattern: Any) -> tuple[str, Any] | None:
    if isinstance(pattern, Mapping) and len(pattern) == 1:
        word, argument = next(iter(pattern.items()))
        if isinstance(word, str) and word.startswith("$"):
            if word not in ("$re", "$type", "$value"):
                raise BadPattern(f"{word} is not known; there are $re, $type and $value")
            return word, argument
    return None


def _special_differences(word: str, argument: Any, value: Any, found: Variables, at: str) -> Iterator[str]:
    if word == "$value":
        if not _same(argument, value):
            yield f"{at} should be {argument!r}, but is {value!r}"
    elif word == "$type":
        right = isinstance(value, _types(argument)) and (not isinstance(value, bool) or argument in ("boolean", "any"))
        if not right:
            yield f"{at} should be of type {argument}, but is {value!r}"
    else:
        match = _compiled(argument).search(value) if isinstance(value, str) else None
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
    except (re.error, TypeError) as error:
        raise BadPattern(f"$re: {expression!r} is no regular expression: {error}") from None


def _types(name: Any) -> tuple[type, ...]:
    try:
        return _TYPES[name]
    except (KeyError, TypeError):
        raise BadPattern(f"$type: {name!r} is none of {', '.join(_TYPES)}") from None


def _fill_text(text: str, variables: Mapping[str, Any]) -> Any:
    whole = _VARIABLE.fullmatch(text)
    if whole is not None and not whole[1]:
        return _lookup(whole[2] or whole[3], variables)
    return _VARIABLE.sub(lambda m: "$" if m[1] else str(_lookup(m[2] or m[3], variables)), text)


def _lookup(name: str, variables: Mapping[str, Any]) -> Any:
    try:
        return variables[name]
    except KeyError:
        raise BadPattern(f"${name} has no value (a dollar sign is written $$)") from None
