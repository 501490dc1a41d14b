"""The page of the attacks that were tried: docs/attacks.md."""

from __future__ import annotations

from pathlib import Path

HEAD = """# Attacks

What was tried on a server, what came of it, and what others noticed, as `make attack` has measured it on one core
beside the attackers. The limits are the defaults, unless it is said. What stops whom is in
[security.md](security.md#threats). Where an attack once succeeded, it is said what came of it then.

| attack | what came of it | an honest user meanwhile | before |
|---|---|---|---|
"""


class Page:
    """Its rows."""

    def __init__(self) -> None:
        self._rows: list[str] = []

    def add(self, attack: str, outcome: str, honest: str = "", before: str = "") -> None:
        """One more: the attack, what came of it, what an honest user says; and what came of it once."""
        self._rows.append(f"| {attack} | {outcome} | {honest} | {before} |\n")

    def write(self, path: Path) -> None:
        """Write it."""
        path.write_text(HEAD + "".join(self._rows))
