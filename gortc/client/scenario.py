"""Scenarios: who says what to the server, and what must come back. docs/scenarios.md has the language.

A file in YAML or JSON becomes `Scenario` objects, checked before anything is played; a mistake in it is a
`ScenarioError`, one line that names the file, the line or step, and what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml
from attrs import frozen

from gortc.client.match import BadPattern, check
from gortc.jsip.message import Headers
from gortc.jsip.methods import METHODS

RESPONSE = "RESPONSE"
ALL = "all"
"""Every party, where a step names parties."""

_WORDS = re.compile(r"(?P<party>\S+)(?: (?P<kind>\S+))?(?: (?P<of>[A-Z]+))?")
_CODE = re.compile(r"[1-6][\dx]{2}")


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
        text = path.read_text(encoding="utf-8")
        return parse(text, path.name, json=path.suffix == ".json")
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path.name}: not UTF-8: {error}") from None


def parse(text: str, name: str, json: bool = False) -> list[Scenario]:
    """The scenarios in a text; `name` is what errors call it. Raises ScenarioError."""
    from gortc.client import older

    try:
        documents = [orjson.loads(text)] if json else list(_load(text))
    except orjson.JSONDecodeError as error:
        raise ScenarioError(f"{name}:{error.lineno}: not JSON: {error.msg}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ScenarioError(f"{name}{line}: not YAML: {getattr(error, 'problem', error)}") from None
    scenarios: list[Scenario] = []
    for document in documents:
        if isinstance(document, list) and older.is_older(document):
            scenarios.append(older.scenario(document, name))
            continue
        for item in document if isinstance(document, list) else [document]:
            scenarios.append(_Reader(name).scenario(item, len(scenarios)))
    if not scenarios:
        raise ScenarioError(f"{name}: there is no scenario in it")
    return scenarios


class _Located(dict[Any, Any]):
    """An object of a YAML file that knows its line."""

    line = 0


class _Loader(yaml.SafeLoader):
    """YAML's safe types."""


def _located(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Iterator[_Located]:
    made = _Located()
    made.line = node.start_mark.line + 1
    yield made
    made.update(loader.construct_mapping(node))


_Loader.add_constructor("tag:yaml.org,2002:map", _located)


def _load(text: str) -> Iterator[Any]:
    return yaml.load_all(text, _Loader)


_TOP = {"title", "source", "proves", "services", "settings", "parties", "variables", "steps", "strict"}


class _Reader:
    """Reads one document; `name` is the file's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._parties: set[str] = set()

    def scenario(self, item: Any, number: int) -> Scenario:
        where = self._at(item, f"scenario {number + 1}")
        if not isinstance(item, dict) or "steps" not in item:
            raise ScenarioError(f"{where}: a scenario is an object with `steps`")
        self._only(item, _TOP, where)
        parties = tuple(self._read_parties(item.get("parties", {}), where))
        self._parties = {party.name for party in parties}
        title = item.get("title", self.name)
        proves = _expected(item.get("proves", []), list, f"{where}: proves")
        return Scenario(
            title=str(title),
            parties=parties,
            steps=self._steps(item["steps"], where),
            variables=_expected(item.get("variables", {}), dict, f"{where}: variables"),
            source=str(item.get("source", "")),
            proves=tuple(map(str, proves)),
            services=_expected(item.get("services", {}), dict, f"{where}: services"),
            settings=_expected(item.get("settings", {}), dict, f"{where}: settings"),
            strict=_expected(item.get("strict", True), bool, f"{where}: strict"),
        )

    def _read_parties(self, value: Any, where: str) -> Iterator[Party]:
        if isinstance(value, list):
            value = dict.fromkeys(value)
        for name, details in _expected(value, dict, f"{where}: parties").items():
            if not re.fullmatch(r"[A-Za-z_]\w*", str(name)) or name == ALL:
                raise ScenarioError(f"{where}: a party can't be called {name!r}")
            details = _expected(details or {}, dict, f"{where}: party {name}")
            self._only(details, {"user", "connected"}, f"{where}: party {name}")
            yield Party(name, details.get("user"), details.get("connected", True))

    def _steps(self, items: Any, where: str) -> tuple[Step, ...]:
        items = _expected(items, list, f"{where}: steps")
        return tuple(self._step(item, f"{where}, step {number}") for number, item in enumerate(items, 1))

    def _step(self, item: Any, where: str) -> Step:
        where = self._at(item, where)
        item = _expected(item, dict, where)
        verbs = [word for word in _STEPS if word in item]
        if len(verbs) != 1:
            raise ScenarioError(f"{where}: a step says one of {', '.join(_STEPS)}")
        fields, make = _STEPS[verbs[0]]
        headers = (
            {name: value for name, value in item.items() if str(name)[:1].isupper()} if "headers" in fields else {}
        )
        self._only(item, {verbs[0], *fields, *headers}, where)
        headers.update(_expected(item.get("headers", {}), dict, f"{where}: headers"))
        try:
            check(headers)
        except BadPattern as error:
            raise ScenarioError(f"{where}: {error}") from None
        return make(self, item, headers, where)

    # one method a step

    def send(self, item: Headers, headers: Headers, where: str) -> Send:
        party, kind = self._words(item["send"], where)
        if [kind.name is not None, "raw" in item, "text" in item].count(True) != 1:
            raise ScenarioError(f"{where}: send says `PARTY METHOD`, `PARTY CODE [METHOD]` or `PARTY` with raw or text")
        if kind.is_response and "x" in str(kind.name):
            raise ScenarioError(f"{where}: {kind.name} is no code that can be sent")
        if kind.is_response and "to" in item:
            raise ScenarioError(f"{where}: a response opens no dialogue; there is no `to`")
        to, dialogue = item.get("to"), item.get("dialogue")
        return Send(where, party, kind, headers, to, dialogue, item.get("raw"), item.get("text"))

    def expect(self, item: Headers, headers: Headers, where: str) -> Expect:
        party, kind = self._words(item["expect"], where)
        save = _expected(item.get("save", {}), dict, f"{where}: save")
        optional = _expected(item.get("optional", False), bool, f"{where}: optional")
        return Expect(where, party, kind, headers, save, self._within(item, where), optional, item.get("dialogue"))

    def any_order(self, item: Headers, headers: Headers, where: str) -> AnyOrder:
        steps = self._steps(item["any_order"], where)
        if not steps or not all(isinstance(step, Expect) for step in steps):
            raise ScenarioError(f"{where}: any_order is a list of expect steps")
        return AnyOrder(where, steps)  # type: ignore[arg-type] # all are Expect

    def nothing(self, item: Headers, headers: Headers, where: str) -> Nothing:
        return Nothing(where, self._party(item["nothing"], where, ALL), self._within(item, where))

    def pause(self, item: Headers, headers: Headers, where: str) -> Pause:
        return Pause(where, _seconds(item["pause"], f"{where}: pause"))

    def repeat(self, item: Headers, headers: Headers, where: str) -> Repeat:
        times = item["repeat"]
        if type(times) is not int or times < 0:
            raise ScenarioError(f"{where}: repeat says how many times, not {times!r}")
        return Repeat(where, times, self._steps(item.get("steps"), where), item.get("count"))

    def connect(self, item: Headers, headers: Headers, where: str) -> Connect:
        return Connect(where, self._party(item["connect"], where))

    def disconnect(self, item: Headers, headers: Headers, where: str) -> Disconnect:
        return Disconnect(where, self._party(item["disconnect"], where))

    def closed(self, item: Headers, headers: Headers, where: str) -> Closed:
        return Closed(where, self._party(item["closed"], where), item.get("code"), self._within(item, where))

    # their parts

    def _words(self, text: Any, where: str) -> tuple[str, Kind]:
        match = _WORDS.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ScenarioError(f"{where}: {text!r} is not `PARTY METHOD` or `PARTY CODE [METHOD]`")
        kind, of = match["kind"], match["of"]
        if kind is not None and not _CODE.fullmatch(kind) and (of is not None or not kind.isupper()):
            raise ScenarioError(f"{where}: {kind!r} is neither a method nor a code")
        if of is not None and of not in METHODS:
            raise ScenarioError(f"{where}: {of!r} is no method")
        return self._party(match["party"], where), Kind(kind, of)

    def _party(self, name: Any, where: str, *others: str) -> str:
        if name not in self._parties and name not in others:
            raise ScenarioError(
                f"{where}: {name!r} is no party; there are {', '.join(sorted(self._parties)) or 'none'}"
            )
        return str(name)

    def _within(self, item: Headers, where: str) -> float | None:
        return _seconds(item["within"], f"{where}: within") if "within" in item else None

    def _at(self, item: Any, otherwise: str) -> str:
        return f"{self.name}:{item.line}" if isinstance(item, _Located) else _named(otherwise, self.name)

    @staticmethod
    def _only(item: Headers, known: set[str], where: str) -> None:
        for name in item:
            if name not in known:
                raise ScenarioError(f"{where}: {name!r} has no meaning here; known are {', '.join(sorted(known))}")


_STEPS: dict[str, tuple[set[str], Callable[[_Reader, Headers, Headers, str], Step]]] = {
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
"""The step's verb -> what else it may say, and what reads it."""


def _named(where: str, name: str) -> str:
    return where if where.startswith(name) else f"{name}: {where}"


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise ScenarioError(f"{where} is so many seconds, not {value!r}")


def _expected(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        names = {dict: "an object", list: "a list", bool: "true or false"}
        raise ScenarioError(f"{where} must be {names[kind]}, not {value!r}")
    return value
