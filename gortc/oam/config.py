"""The settings that the server runs with, and other ones; what may be a secret is left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import asdict, evolve, fields

from gortc.oam.route import ADMIN, BAD_VALUE, NOT_NOW, Answer, Problem, Query, Route
from gortc.reconfigure import LIVE, Changes, NotApplied, reconfigure
from gortc.settings import Settings, SettingsError

if TYPE_CHECKING:
    from gortc.server import Server

SIMPLE = dict.fromkeys(sorted(LIVE - {"api_log_of_one", "apis", "drop_log_of_one", "limits", "routes", "services"}), "")
"""What can be changed by the query of a request; the others are objects, and the configuration file's."""


def routes(server: Server) -> list[Route]:
    """Settings, and reading them again."""

    def tell(query: Query) -> Answer:
        return {"settings": {field.name: told(field.name, server.settings) for field in fields(Settings)}}

    def change(query: Query) -> Answer:
        try:
            return changed(reconfigure(server, evolve(server.settings, **values(query))))
        except (SettingsError, NotApplied) as error:
            raise Problem(400, BAD_VALUE, str(error)) from None

    def reload(query: Query) -> Answer:
        try:
            return changed(server.reload())
        except NotApplied as error:
            raise Problem(409, NOT_NOW, str(error)) from None

    return [
        Route("GET", "/runtime/v1/settings", ADMIN, "The settings, without what may be a secret.", tell),
        Route("PUT", "/runtime/v1/settings", ADMIN, "Change settings, until they are read again.", change, SIMPLE),
        Route("POST", "/runtime/v1/reload", ADMIN, "Read the configuration again, as SIGHUP does.", reload),
    ]


def values(query: Query) -> Mapping[str, Any]:
    """The values of the fields: JSON, or else a text. Raises Problem."""
    found: dict[str, Any] = {}
    for name, text in query.items():
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        except RecursionError:
            raise Problem(400, BAD_VALUE, f"{name}: it has too many brackets") from None
        found[name] = tuple(value) if isinstance(value, list) else value
    return found


def changed(changes: Changes) -> Answer:
    """What has, and what needs a restart."""
    return {"changed": changes.live, "restart": changes.restart}


def told(name: str, settings: Settings) -> Any:
    """A setting, as JSON has it."""
    value = getattr(settings, name)
    return TOLD[name](value) if name in TOLD else value


TOLD: dict[str, Callable[[Any], Any]] = {
    "auth": lambda auth: auth if isinstance(auth, str) else list(auth),  # names; what they are told may be secrets
    "services": lambda services: list(services),
    "apis": lambda apis: list(apis),
    "routes": lambda routes: {host: route.url for host, route in routes.items()},
    "times": asdict,
    "limits": asdict,
    "api_log_of_one": asdict,
    "drop_log_of_one": asdict,
}
"""How those are told that are not told as they are."""
