"""Scenarios: who says what to the server, and what must come back. docs/scenarios.md has the language.

A file in YAML or JSON becomes `Scenario` objects, checked before anything is played; a mistake in it is a
`ScenarioError`, one line that names the file, the line or step, and what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson
import yaml
from attrs import frozen

from gortc.client.match import NAME, BadPattern, check
from gortc.jsip.message import Headers

_T = TypeVar("_T")

RESPONSE = "RESPONSE"
ALL = "all"
"""Every party, where a step names parties."""

GIVEN = ("realm", "play")
"""Variables that every scenario has; no party's name, and no variable of its own."""

_METHOD = "[A-Z][A-Z0-9_-]*"
_WORDS = re.compile(rf"(\S+)(?: (?:([1-6][0-9x]{{2}})(?: ({_METHOD}))?|({_METHOD})))?")


class ScenarioError(ValueError):
    """A scenario that can't be played; the text is one line."""


@frozen
class Kind:
    """What sort of message is meant: a request by its method, a response by its code and what it answers.

    `name` is a method, a code such as 180, 18x or 2xx, or None for any message; `of` is a method or None.
    """

    name: str | None
    of: str | None = None

    @property
    def is_response(self) -> bool:
        """Whether it is a response's."""
        return self.name is not None and self.name[0].isdigit()

    def fits(self, message: Headers) -> bool:
        """Whether `message` is of this kind; `of` is not looked at, for a response doesn't say what it answers."""
        if self.name is None:
            return True
        if not self.is_response:
            return message.get("Type") == self.name
        code = str(message.get("Code"))
        same = len(code) == 3 and all(wanted in ("x", digit) for wanted, digit in zip(self.name, code, strict=True))
        return message.get("Type") == RESPONSE and same

    def __str__(self) -> str:
        return " ".join(filter(None, (self.name or "a message", self.of)))


@frozen
class Send:
    """A party sends a message: of this kind, or `raw`, a whole one, or `text`, a frame as it is.

    `to`, where given, opens a dialogue; `dialogue` names the one that is opened or gone on with.
    """

    where: str
    party: str
    kind: Kind
    headers: Headers
    to: str | None = None
    dialogue: str | None = None
    raw: Any = None
    text: str | None = None


@frozen
class Expect:
    """The next message of a party's (in `dialogue`), which must be of this kind, with these headers.

    `within` is in seconds; `save` is variable -> header (a path such as Body.media.0). An optional one may not come.
    """

    where: str
    party: str
    kind: Kind
    headers: Headers
    save: Mapping[str, str]
    within: float | None = None
    optional: bool = False
    dialogue: str | None = None


@frozen
class AnyOrder:
    """These come, in any order, before anything else does."""

    where: str
    steps: tuple[Expect, ...]


@frozen
class Nothing:
    """Nothing has come, nor comes `within` so many seconds, to the party (`all`: to anybody)."""

    where: str
    party: str
    within: float | None = None


@frozen
class Pause:
    """So many seconds pass."""

    where: str
    seconds: float


@frozen
class Repeat:
    """The steps again and again; `count` names the variable that numbers them from 1."""

    where: str
    times: int
    steps: tuple[Step, ...]
    count: str | None = None


@frozen
class Connect:
    """A party connects, again where it is connected."""

    where: str
    party: str


@frozen
class Disconnect:
    """A party closes its connection."""

    where: str
    party: str


@frozen
class Closed:
    """The server closes a party's connection, with this code where one is given."""

    where: str
    party: str
    code: int | None = None
    within: float | None = None


Step = Send | Expect | AnyOrder | Nothing | Pause | Repeat | Connect | Disconnect | Closed


@frozen
class Party:
    """Somebody who connects: under `user`, from the start unless `connected` is false."""

    name: str
    user: str | None = None
    connected: bool = True


@frozen
class Scenario:
    """One scenario. `strict`: at the end nothing may have come that was not expected.

    `proves` are ids of the contract's rows; `source` is where the flow comes from. `services` and `settings` are what
    it needs of the server: used where the server is started for it, and else for the reader.
    """

    title: str
    parties: tuple[Party, ...]
    steps: tuple[Step, ...]
    variables: Mapping[str, Any] = {}
    source: str = ""
    proves: tuple[str, ...] = ()
    services: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}
    strict: bool = True


def read(path: str | Path) -> list[Scenario]:
    """The scenarios in a file: YAML or JSON, or the older array of JSON. Raises ScenarioError, OSError."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: not UTF-8: {error}") from None
    return parse(text, str(path), json=path.suffix == ".json")


def parse(text: str, name: str, json: bool = False) -> list[Scenario]:
    """The scenarios in a text; `name` is what errors call it. Raises ScenarioError."""
    from gortc.client import older

    scenarios: list[Scenario] = []
    for document in [_json(text, name)] if json else _yaml(text, name):
        if isinstance(document, list) and older.is_older(document):
            scenarios.append(older.scenario(document, name))
            continue
        for item in document if isinstance(document, list) else [document]:
            scenarios.append(_Reader(name).scenario(item, len(scenarios) + 1))
    if not scenarios:
        raise ScenarioError(f"{name}: there is no scenario in it")
    return scenarios


def _json(text: str, name: str) -> Any:
    try:
        return _bounded(orjson.loads(text), name)
    except orjson.JSONDecodeError as error:
        raise ScenarioError(f"{name}:{error.lineno}: not JSON: {error.msg}") from None


def _yaml(text: str, name: str) -> list[Any]:
    try:
        return _bounded([_value(node) for node in yaml.compose_all(text, yaml.BaseLoader)], name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ScenarioError(f"{name}{line}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ScenarioError(f"{name}: not YAML: {error}".partition("\n")[0]) from None
    except RecursionError:
        raise _too_deep(name) from None


def _bounded(document: _T, name: str) -> _T:
    """The document, where it is no deeper than what can be written as JSON: an alias of YAML's may be within itself."""
    try:
        orjson.dumps(document)
    except TypeError:
        raise _too_deep(name) from None
    return document


def _too_deep(name: str) -> ScenarioError:
    return ScenarioError(f"{name}: nested too deeply")


class _Located(dict[str, Any]):
    """An object of a YAML file that knows its line."""

    line = 0


def _value(node: yaml.Node) -> Any:
    """What a node of YAML's is in JSON: text, unless JSON would read it as a number, true, false or null."""
    if node.tag not in _TAGS:
        raise _not_json(f"{node.tag} has no meaning here", node)
    if isinstance(node, yaml.MappingNode):
        return _object(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    text = str(node.value)
    if isinstance(node, yaml.ScalarNode) and node.style is None:  # without quotes
        with suppress(orjson.JSONDecodeError):
            return orjson.loads("null" if text in ("", "~") else text)
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")  # JSON's escapes of it come in pairs
    except UnicodeDecodeError:
        raise _not_json("half a character", node) from None


def _object(node: yaml.MappingNode) -> _Located:
    made = _Located()
    made.line = node.start_mark.line + 1
    for key, value in node.value:
        name = _value(key)
        if not isinstance(name, str):
            raise _not_json(f"a name is text, not {name!r}", key)
        if name in made:
            raise _not_json(f"{name!r} is there twice", key)
        made[name] = _value(value)
    return made


def _not_json(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str"))
"""What a node is where the file doesn't say it."""

_TOP = {"title", "source", "proves", "services", "settings", "parties", "variables", "steps", "strict"}


class _Reader:
    """Reads one scenario; `name` is the file's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._parties: dict[str, Party] = {}

    def scenario(self, item: Any, number: int) -> Scenario:
        where = self._at(item, f"{self.name}: scenario {number}")
        if not isinstance(item, dict) or "steps" not in item:
            raise ScenarioError(f"{where}: a scenario is an object with `steps`")
        _only(item, _TOP, where)
        self._read_parties(item.get("parties", []), where)
        proves = _field(item, "proves", list, where, [])
        return Scenario(
            title=_field(item, "title", str, where, Path(self.name).name),
            parties=tuple(self._parties.values()),
            steps=self._steps(item["steps"], where),
            variables=self._variables(_field(item, "variables", dict, where, {}), where),
            source=_field(item, "source", str, where, ""),
            proves=tuple(_expected(rule, str, f"{where}: proves") for rule in proves),
            services=_field(item, "services", dict, where, {}),
            settings=_field(item, "settings", dict, where, {}),
            strict=_field(item, "strict", bool, where, True),
        )

    def _read_parties(self, value: Any, where: str) -> None:
        pairs = [(name, None) for name in value] if isinstance(value, list) else None
        for name, details in pairs or _expected(value or {}, dict, f"{where}: parties").items():
            if not isinstance(name, str) or not re.fullmatch(NAME, name) or name in (ALL, *GIVEN):
                raise ScenarioError(f"{where}: a party can't be called {name!r}")
            if name in self._parties:
                raise ScenarioError(f"{where}: there are two parties called {name!r}")
            at = f"{where}: party {name}"
            details = _expected({} if details is None else details, dict, at)
            _only(details, {"user", "connected"}, at)
            user, connected = _field(details, "user", str, at), _field(details, "connected", bool, at, True)
            self._parties[name] = Party(name, user, connected)

    def _variables(self, values: Headers, where: str) -> Headers:
        for name, value in values.items():
            self._variable(name, f"{where}: variables")
            _check(value, f"{where}: {name}", sent=True)
        return values

    def _steps(self, items: Any, where: str) -> tuple[Step, ...]:
        items = _expected(items, list, f"{where}: steps")
        return tuple(self._step(item, f"{where}, step {number}") for number, item in enumerate(items, 1))

    def _step(self, item: Any, where: str) -> Step:
        where = self._at(item, where)
        item = _expected(item, dict, f"{where}: a step")
        verbs = [word for word in _STEPS if word in item]
        if len(verbs) != 1:
            raise ScenarioError(f"{where}: a step says one of {', '.join(_STEPS)}")
        fields, make = _STEPS[verbs[0]]
        headers = set(filter(_is_header, item)) if "headers" in fields else set()
        _only(item, {verbs[0], *fields, *headers}, where)
        return make(self, item, where)

    # one method a step

    def send(self, item: Headers, where: str) -> Send:
        party, kind = self._words(item["send"], where)
        whole = [word for word in ("raw", "text") if word in item]
        if len(whole) != (kind.name is None):
            raise ScenarioError(f"{where}: send says `PARTY METHOD`, `PARTY CODE [METHOD]` or `PARTY` with raw or text")
        if whole:  # nothing is made, so there is nothing to say of it
            _only(item, {"send", *whole, *(["dialogue"] if whole == ["raw"] else [])}, where)
        if kind.is_response and "x" in str(kind.name):
            raise ScenarioError(f"{where}: {kind.name} is no code that can be sent")
        if kind.is_response and "to" in item:
            raise ScenarioError(f"{where}: a response opens no dialogue; there is no `to`")
        to, raw, text = _field(item, "to", str, where), item.get("raw"), _field(item, "text", str, where)
        _check([to, raw], where, sent=True)
        headers = self._headers(item, where, sent=True)
        return Send(where, party, kind, headers, to, _field(item, "dialogue", str, where), raw, text)

    def expect(self, item: Headers, where: str) -> Expect:
        party, kind = self._words(item["expect"], where)
        headers = self._headers(item, where)
        save = _field(item, "save", dict, where, {})
        for variable, path in save.items():
            self._variable(variable, f"{where}: save")
            _expected(path, str, f"{where}: save: {variable}")
        optional, dialogue = _field(item, "optional", bool, where, False), _field(item, "dialogue", str, where)
        return Expect(where, party, kind, headers, save, _within(item, where), optional, dialogue)

    def any_order(self, item: Headers, where: str) -> AnyOrder:
        steps = self._steps(item["any_order"], where)
        expects = tuple(step for step in steps if isinstance(step, Expect))
        if not steps or len(expects) != len(steps):
            raise ScenarioError(f"{where}: any_order is a list of expect steps")
        return AnyOrder(where, expects)

    def nothing(self, item: Headers, where: str) -> Nothing:
        party = item["nothing"]
        return Nothing(where, ALL if party == ALL else self._party(party, where), _within(item, where))

    def pause(self, item: Headers, where: str) -> Pause:
        return Pause(where, _seconds(item["pause"], f"{where}: pause"))

    def repeat(self, item: Headers, where: str) -> Repeat:
        times = _field(item, "repeat", int, where)
        if times < 0:
            raise ScenarioError(f"{where}: repeat says how many times, not {times!r}")
        if "count" in item:
            self._variable(item["count"], f"{where}: count")
        return Repeat(where, times, self._steps(item.get("steps"), where), item.get("count"))

    def connect(self, item: Headers, where: str) -> Connect:
        return Connect(where, self._party(item["connect"], where))

    def disconnect(self, item: Headers, where: str) -> Disconnect:
        return Disconnect(where, self._party(item["disconnect"], where))

    def closed(self, item: Headers, where: str) -> Closed:
        return Closed(where, self._party(item["closed"], where), _field(item, "code", int, where), _within(item, where))

    # their parts

    def _words(self, text: Any, where: str) -> tuple[str, Kind]:
        match = _WORDS.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ScenarioError(f"{where}: {text!r} is not `PARTY METHOD` or `PARTY CODE [METHOD]`")
        party, code, answered, method = match.groups()
        return self._party(party, where), Kind(code or method, answered)

    def _headers(self, item: Headers, where: str, sent: bool = False) -> Headers:
        headers = {name: value for name, value in item.items() if _is_header(name)}
        headers.update(_field(item, "headers", dict, where, {}))
        for name, value in headers.items():
            if name.startswith("$"):
                raise ScenarioError(f"{where}: no header is called {name}")
            _check(value, f"{where}: {name}", sent)
        return headers

    def _party(self, name: Any, where: str) -> str:
        if not isinstance(name, str) or name not in self._parties:
            there = ", ".join(sorted(self._parties)) or "none"
            raise ScenarioError(f"{where}: {name!r} is no party; there are {there}")
        return name

    def _variable(self, name: Any, where: str) -> None:
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            raise ScenarioError(f"{where}: {name!r} is no variable's name")
        if name in self._parties or name in GIVEN:
            raise ScenarioError(f"{where}: ${name} has its value already")

    def _at(self, item: Any, otherwise: str) -> str:
        return f"{self.name}:{item.line}" if isinstance(item, _Located) else otherwise


_STEPS: dict[str, tuple[set[str], Callable[[_Reader, Headers, str], Step]]] = {
    "send": ({"to", "dialogue", "raw", "text", "headers"}, _Reader.send),
    "expect": ({"save", "within", "optional", "dialogue", "headers"}, _Reader.expect),
    "any_order": (set(), _Reader.any_order),
    "nothing": ({"within"}, _Reader.nothing),
    "pause": (set(), _Reader.pause),
    "repeat": ({"steps", "count"}, _Reader.repeat),
    "connect": (set(), _Reader.connect),
    "disconnect": (set(), _Reader.disconnect),
    "closed": ({"code", "within"}, _Reader.closed),
}
"""The step's verb -> what else it may say, and what reads it. What has `headers` also takes those in capitals."""

_KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a whole number"}


def _is_header(name: str) -> bool:
    return name[:1].isupper()


def _only(item: Headers, known: set[str], where: str) -> None:
    for name in item:
        if name not in known:
            raise ScenarioError(f"{where}: {name!r} has no meaning here; known are {', '.join(sorted(known))}")


def _check(pattern: Any, where: str, sent: bool = False) -> None:
    try:
        check(pattern, sent)
    except BadPattern as error:
        raise ScenarioError(f"{where}: {error}") from None


def _within(item: Headers, where: str) -> float | None:
    return _seconds(item["within"], f"{where}: within") if "within" in item else None


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise ScenarioError(f"{where} is so many seconds, not {value!r}")


def _field(item: Headers, name: str, kind: type, where: str, default: Any = None) -> Any:
    return _expected(item[name], kind, f"{where}: {name}") if name in item else default


def _expected(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ScenarioError(f"{where} must be {_KINDS[kind]}, not {value!r}")
    return value
