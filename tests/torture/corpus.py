"""The corpus: messages/NNN-name.msg, the frame's bytes, beside NNN-name.yaml, what must come of them. See README.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from attrs import field, frozen, validators

from gortc.client.match import check

FOLDER = Path(__file__).parent / "messages"
FRAMES = ("text", "binary")
CALLS = ("ringing", "answered")
PARTIES = ("alice", "bob")

Pattern = Mapping[str, Any]

_NAME = re.compile(r"\d{3}-[a-z0-9-]+")
_ID = re.compile(r"[A-Z]-\d+")
_RFC = re.compile(r"RFC \d+ section \d+(\.\d+)*")


def _patterns(instance: object, attribute: object, value: object) -> None:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"not a list of messages: {value!r}")
    for pattern in value:
        check(pattern)


@frozen(kw_only=True)
class Torture:
    """One message and its expected answer; every field is told in README.md.

    Raises TypeError for a field that there is not, ValueError for a value that can't be.
    """

    name: str = field(validator=validators.matches_re(_NAME))
    data: bytes
    title: str = field(validator=validators.min_len(1))
    proves: list[str] = field(validator=validators.deep_iterable(validators.matches_re(_ID), validators.min_len(1)))
    rfc: list[str] = field(factory=list, validator=validators.deep_iterable(validators.matches_re(_RFC)))
    frame: str = field(default="text", validator=validators.in_(FRAMES))
    times: int = field(default=1, validator=validators.ge(1))
    call: str | None = field(default=None, validator=validators.optional(validators.in_(CALLS)))
    answers: str | None = field(default=None, validator=validators.optional(validators.instance_of(str)))
    alice: list[Pattern] = field(factory=list, validator=_patterns)
    bob: list[Pattern] = field(factory=list, validator=_patterns)
    closed: int | None = field(default=None, validator=validators.optional(validators.instance_of(int)))
    afterwards: int | None = field(validator=validators.optional(validators.instance_of(int)))
    counted: list[str] = field(factory=list, validator=validators.deep_iterable(validators.instance_of(str)))

    @afterwards.default
    def _goes_on(self) -> int | None:
        return PROPER.get(self.answers, 200) if self.call or self.answers else None

    @property
    def sender(self) -> str:
        """Who sends it."""
        return "bob" if self.answers else "alice"


PROPER: Mapping[str | None, int] = {"INVITE": 486}
"""What bob answers where nothing else is said; any other request gets 200."""


def read(path: Path) -> Torture:
    """The message whose bytes are in `path`, with what its YAML says. Raises as `Torture` does, and YAMLError."""
    fields = yaml.safe_load(path.with_suffix(".yaml").read_text("utf-8"))
    return Torture(name=path.stem, data=path.read_bytes(), **fields)


def corpus() -> list[Torture]:
    """All of them, in their order."""
    return [read(path) for path in sorted(FOLDER.glob("*.msg"))]
