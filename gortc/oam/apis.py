"""API plugins: which are loaded, and their answers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from time import time
from typing import TYPE_CHECKING, Any, Final

import orjson
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.internet.defer import TimeoutError as Late
from twisted.logger import Logger

from gortc.loader import Kind, Loader
from gortc.oam.interfaces import IAPI, APIContext, Asked, IAccess, Loaded
from gortc.oam.paths import METHODS
from gortc.oam.route import (
    ADMIN,
    BAD_METHOD,
    BAD_PATH,
    BAD_RETURN_BODY,
    BAD_RETURN_CODE,
    BAD_VALUE,
    DENIED,
    FAILED,
    READ,
    UNKNOWN_API,
    Answer,
    Problem,
    Query,
    Route,
    Text,
)
from gortc.plugins import PluginError, version
from gortc.service.registry import ServiceError

if TYPE_CHECKING:
    from gortc.node import Node
    from gortc.state import State

ACCESS: Final = "access.v1"
MARKS: Final = (ACCESS, "IAccess")
"""What is in the text of who provides it."""
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\.v[0-9]{1,4}")
RAW: Final = -1

_log = Logger(namespace="gortc.api")


class Apis:
    """The loaded ones, by name; `loader` loads them."""

    def __init__(self, node: Node, state: State, reactor: Any) -> None:
        self.loaded: dict[str, Loaded] = {}
        self.loader = Loader(Kind(IAPI, "API", "apis", ACCESS, MARKS), self, state, lambda: node.settings.apis)
        self._node = node
        self._reactor = reactor

    def start(self) -> None:
        """Load what is to be loaded. Raises ServiceError where the settings name a missing plugin, and where what
        decides who may do what can't be loaded, or may be in a module that can't be imported: without it everybody
        might do everything."""
        if ACCESS in self.loader.start():
            raise ServiceError(f"apis: {ACCESS} can't be loaded; the log says why")

    # the shelf

    def loaded_plugins(self) -> dict[str, str]:
        """Name -> the name of its plugin."""
        return {name: loaded.plugin.name for name, loaded in self.loaded.items()}

    def prepare(self, plugin: Any, name: str, config: Mapping[str, Any]) -> Loaded:
        """Load one, that is not in charge of its name yet. Raises whatever its `load` does, and PluginError."""
        if not NAME.fullmatch(name):
            raise PluginError(f"an API is named such as rooms.v1, not {name[:80]!r}")
        if name == ACCESS and not IAccess.providedBy(plugin):
            raise PluginError(f"{ACCESS} must provide IAccess")
        context = APIContext(name, config, self._node.settings.realm, self._node.services)
        plugin.load(context)
        return Loaded(plugin, context, version(plugin.__module__), time())

    def swap(self, made: Loaded) -> None:
        """It answers from now on. Whoever waits for an answer of the one before still gets it."""
        name = made.context.name
        old = self.loaded.get(name)
        self.loaded[name] = made
        if old is not None:
            self.discard(old)

    def discard(self, made: Loaded) -> None:
        """It is needed no longer."""
        try:
            made.plugin.unload()
        except Exception:
            _log.failure("API {name} failed as it was unloaded", name=made.context.name)

    def remove(self, name: str) -> None:
        """Raises KeyError where nothing has that name."""
        self.discard(self.loaded.pop(name))

    def stop(self) -> None:
        """All go."""
        for name in list(self.loaded):
            self.remove(name)

    # answers

    async def allow(self, asked: Asked) -> None:
        """Whether `access.v1`, where it is loaded, lets it go on. Raises Problem."""
        access = self.loaded.get(ACCESS)
        if access is None:
            return
        try:
            allowed = await self.in_time(access.plugin.allow(asked)) is True
        except (CancelledError, GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException:
            access.tally["failures"] += 1
            _log.failure("{name} failed, which is a no", name=ACCESS)
            allowed = False
        if not allowed:
            raise Problem(403, DENIED, f"{ACCESS} says no")

    async def serve(self, name: str, asked: Asked) -> Answer:
        """The answer of a plugin. Raises Problem."""
        loaded = self.loaded.get(name)
        if loaded is None:
            raise Problem(404, UNKNOWN_API, "no such API")
        if asked.method not in METHODS:
            raise Problem(405, BAD_METHOD, "no such method here", ", ".join(METHODS))
        loaded.tally["total"] += 1
        answer: Callable[[Asked], Any] = getattr(loaded.plugin, asked.method.lower())
        try:
            return shown(await self.in_time(answer(asked)))
        except Problem as raised:
            if is_told(raised):
                raise  # a new one would keep this frame, and what the plugin held, until the collector comes
            problem = Problem(500, FAILED, "the API has raised a Problem that is none; the log says which")
            _log.failure("API {name}: a Problem that is none", name=name)
        except (CancelledError, GeneratorExit, KeyboardInterrupt):
            raise
        except Bad as bad:
            problem = Problem(500, bad.code, str(bad))
            _log.error("API {name}: {why}", name=name, why=str(bad))
        except Late:
            problem = Problem(504, FAILED, f"no answer in {self._node.settings.api_seconds:g} s")
            _log.error("API {name}: {why}", name=name, why=problem.why)
        except BaseException:  # sys.exit(), too, is the plugin's own
            problem = Problem(500, FAILED, "the API has failed; the log says why")
            _log.failure("API {name} failed", name=name)
        loaded.tally["failures"] += 1
        raise problem

    def in_time(self, value: Any) -> Awaitable[Any]:
        """`value`, or what it will be. It fails with `Late` where that takes longer than `api_seconds`."""
        waited: Deferred[Any] = ensureDeferred(value) if isinstance(value, (Coroutine, Deferred)) else succeed(value)
        return waited.addTimeout(self._node.settings.api_seconds, self._reactor)

    # management

    def routes(self) -> list[Route]:
        """Everything below /apim/v1."""
        file = {"file": "The name of the plugin; by default the one that is loaded, or is named so."}
        return [
            Route("GET", "/apim/v1/apis", READ, "The loaded API plugins.", self._list),
            Route("POST", "/apim/v1/<name>", ADMIN, "Load an API plugin, as its file is now.", self._load, file),
            Route("DELETE", "/apim/v1/<name>", ADMIN, "Remove an API.", self._remove),
        ]

    def _list(self, query: Query) -> Answer:
        return {"apis": [row(loaded) for loaded in self.loaded.values()]}

    def _load(self, query: Query) -> Answer:
        try:
            return row(self.loader.load(query["name"], query.get("file")))
        except PluginError as error:
            raise Problem(422, BAD_VALUE, str(error)) from None

    def _remove(self, query: Query) -> Answer:
        try:
            self.loader.remove(query["name"])
        except KeyError:
            raise Problem(404, BAD_PATH, "no such API is loaded") from None
        return {}


def row(loaded: Loaded) -> dict[str, Any]:
    """What is told of an API plugin."""
    return {
        "name": loaded.context.name,
        "plugin": loaded.plugin.name,
        "version": loaded.version,
        **loaded.tally,
        "loaded_at": loaded.loaded_at,
    }


class Bad(Exception):
    """A plugin has returned what it should not; `code` says which part."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def is_told(problem: Problem) -> bool:
    """Whether a plugin's own can be answered; `why` becomes a text."""
    try:
        problem.why = str(problem.why)
        status, code, allow = problem.status, problem.code, problem.allow
        numbers = type(status) is int and 200 <= status <= 599 and type(code) is int and abs(code) < 2**53
        return numbers and isinstance(allow, str) and allow.isascii() and allow.isprintable()
    except Exception:  # it says nothing, or what can't be said
        return False


def shown(returned: Any) -> Answer:
    """What a plugin has returned, as an answer. Raises Bad."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Bad(BAD_RETURN_CODE, f"it should return a code and a body, not {returned!r:.80}")
    code, body = returned
    if type(code) is not int or code < RAW:
        raise Bad(BAD_RETURN_CODE, f"no code: {code!r:.80}")
    if code == RAW:
        if not isinstance(body, str):
            raise Bad(BAD_RETURN_BODY, f"the code -1 goes with a text, not {body!r:.80}")
        try:
            body.encode()
        except UnicodeEncodeError:
            raise Bad(BAD_RETURN_BODY, f"the text is no Unicode: {body!a:.80}") from None
        return Text(body)
    body = {} if body is None else body
    if not isinstance(body, Mapping):
        raise Bad(BAD_RETURN_BODY, f"the body should be a mapping, not {body!r:.80}")
    try:
        orjson.dumps(dict(body))
    except TypeError as error:
        raise Bad(BAD_RETURN_BODY, f"the body is not JSON: {error}") from None
    return {"msg": "OK" if code == 0 else "see the code", **body, "code": code}
