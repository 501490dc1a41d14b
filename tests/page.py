"""The page of the attacks that were tried: docs/attacks.md."""

from __future__ import annotations

from pathlib import Path

HEAD = """# Attacks

What was tried on a server, what came of it, and what others noticed, as `make attack` has measured it on one core
beside the attackers. The limits are the defaults, unless it is said. What stops whom is in
[security.md](security.md#threats).

| attack | what came of it | an honest user meanwhile |
|---|---|---|
"""


class Page:
    """Its rows."""

    def __init__(self) -> None:
        self._rows: list[str] = []

    def add(self, attack: str, outcome: str, honest: str = "") -> None:
        """One more: the attack, what came of it, and what an honest user says."""
        self._rows.append(f"| {attack} | {outcome} | {honest} |\n")

    def write(self, path: Path) -> None:
        """Write it."""
        path.write_text(HEAD + "".join(self._rows))
