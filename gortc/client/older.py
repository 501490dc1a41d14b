"""The older form of a script, played as it is: a JSON array of what one user sends and receives.

    [{"type": "send", "value": {...}, "timeout": "5s", "vars": {"CSeq": "$cseq"}},
     {"type": "recv", "value": {...}, "timeout": "1s", "vars": {"$cseq": "CSeq"}, "option": true},
     {"type": "end"}]

To send: wait `timeout`, put the variables' values into the headers, send. To receive: the next message, within
`timeout`, has at least these headers; its headers go into the variables. An optional one may not come.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gortc.client.match import NAME, BadPattern, check
from gortc.client.scenario import (
    RESPONSE,
    Disconnect,
    Expect,
    Kind,
    Party,
    Pause,
    Scenario,
    ScenarioError,
    Send,
    Step,
)

USER = "user"
"""The one party's name."""

_FIELDS = {"type", "value", "timeout", "vars", "option"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def is_older(document: list[Any]) -> bool:
    """Whether an array is a script of this form."""
    return any((isinstance(item, dict) and "type" in item) or item == "end" for item in document)


def scenario(items: list[Any], name: str) -> Scenario:
    """The scenario that a script means. Raises ScenarioError.

    Its user is the caller, where the first message sent is a request, else the callee.
    """
    steps: list[Step] = []
    user: str | None = None
    for number, item in enumerate(items, 1):
        where = f"{name}: step {number}"
        if item == "end" or (isinstance(item, dict) and item.get("type") == "end"):
            steps.append(Disconnect(where, USER))
            break
        if not isinstance(item, dict) or item.get("type") not in ("send", "recv"):
            raise ScenarioError(f"{where}: type is send, recv or end")
        unknown = ", ".join(sorted(item.keys() - _FIELDS))
        if unknown:
            raise ScenarioError(f"{where}: {unknown} has no meaning here")
        value, names = item.get("value", {}), item.get("vars", {})
        if not isinstance(value, dict) or not isinstance(names, dict):
            raise ScenarioError(f"{where}: value and vars are objects")
        optional = item.get("option", False)
        if not isinstance(optional, bool):
            raise ScenarioError(f"{where}: option is true or false, not {optional!r}")
        seconds = _seconds(item["timeout"], where) if "timeout" in item else None
        if item["type"] == "send":
            side = value.get("To" if value.get("Type") == RESPONSE else "From")
            if user is None and isinstance(side, str):
                user = side
            if seconds:
                steps.append(Pause(where, seconds))
            literal = {header: {"$value": part} for header, part in value.items()}
            filled = {header: _reference(variable, where) for header, variable in names.items()}
            raw = _checked(literal | filled, where)
            steps.append(Send(where, USER, Kind(None), {}, raw=raw))
        else:
            save = {_reference(variable, where)[1:]: str(header) for variable, header in names.items()}
            headers = _checked(_subset(value), where)
            steps.append(Expect(where, USER, Kind(None), headers, save, seconds, optional))
    return Scenario(title=Path(name).name, parties=(Party(USER, user),), steps=tuple(steps), strict=False)


def _subset(value: Any) -> Any:
    """A pattern in which nothing but an object has a meaning: it may have more."""
    if isinstance(value, dict):
        return {name: _subset(part) for name, part in value.items()}
    return {"$value": value}


def _checked(pattern: Any, where: str) -> Any:
    """The pattern; a name that begins with $ can't be in it."""
    try:
        check(pattern)
    except BadPattern as error:
        raise ScenarioError(f"{where}: {error}") from None
    return pattern


def _reference(variable: Any, where: str) -> str:
    if isinstance(variable, str) and re.fullmatch(rf"\${NAME}", variable):
        return variable
    raise ScenarioError(f"{where}: vars: {variable!r} is no variable such as $cseq")


def _seconds(text: Any, where: str) -> float:
    """A duration such as 5s, 500ms or 1m30s."""
    parts = _DURATION.findall(text) if isinstance(text, str) else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ScenarioError(f"{where}: timeout is a time such as 5s, 500ms or 1m30s, not {text!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
