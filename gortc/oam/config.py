"""The settings that the server runs with; what may be a secret is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import asdict, fields

from gortc.oam.route import ADMIN, Answer, Query, Route
from gortc.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable


def routes(settings: Settings) -> list[Route]:
    """Everything below /runtime/v1/settings."""

    def tell(query: Query) -> Answer:
        return {"settings": {field.name: told(field.name, settings) for field in fields(Settings)}}

    return [Route("GET", "/runtime/v1/settings", ADMIN, "The settings, without what may be a secret.", tell)]


def told(name: str, settings: Settings) -> Any:
    """A setting, as JSON has it."""
    value = getattr(settings, name)
    return TOLD[name](value) if name in TOLD else value


TOLD: dict[str, Callable[[Any], Any]] = {
    "auth": lambda auth: auth if isinstance(auth, str) else list(auth),  # names; what they are told may be secrets
    "services": lambda services: list(services),
    "routes": lambda routes: {host: route.url for host, route in routes.items()},
    "times": asdict,
    "limits": asdict,
}
"""How those are told that are not told as they are."""
