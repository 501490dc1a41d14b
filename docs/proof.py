"""The table that proves the contract: each rule of jsip.md with the tests that name it.

A test names what it proves by the marker `@pytest.mark.proves("S-12", "S-13")`, a scenario file by its key `proves`.
Tests are read, not imported.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from attrs import frozen

SECTIONS = {"C": "1. Channel", "M": "2. Message", "T": "3. Transaction", "S": "4. INVITE session", "X": "5. Times",
            "D": "6. Which service logic gets it"}  # fmt: skip
"""The letters of the ids, and the sections whose rules they name."""

Proofs = Mapping[str, list[str]]
"""Id -> the tests, each as path::name."""

_ROW = re.compile(
    r"""^(?:
    -\ \*\*(?P<bullet>[A-Z]-\d+)\*\*\ (?P<said>.*(?:\n\ \ [^ ].*)*)  # a bullet, and the lines that go on with it
    | \|\ (?P<row>[A-Z]-\d+)\ \|\ (?P<cells>.*)\ \|
    )$""",
    re.MULTILINE | re.VERBOSE,
)
_FEW = 120
"""So many characters are few words."""


@frozen
class Row:
    """A rule of the contract."""

    id: str
    rule: str

    @property
    def few_words(self) -> str:
        """The rule, cut where it is long."""
        if len(self.rule) <= _FEW:
            return self.rule
        return self.rule[:_FEW].rpartition(" ")[0].rstrip(",;:.") + " ..."


def rows(text: str) -> list[Row]:
    """Every rule of a page, in its order: bullets that begin with a bold id, table rows whose first cell is one."""
    return [_row(found) for found in _ROW.finditer(text)]


def _row(found: re.Match[str]) -> Row:
    said = found["said"] or ": ".join(filter(None, (cell.strip() for cell in found["cells"].split("|"))))
    return Row(found["bullet"] or found["row"], " ".join(re.sub(r"[`*]", "", said).split()))


def proofs(tests: Path) -> dict[str, list[str]]:
    """What the tests under a folder name, in the order of their paths. Raises ValueError for ids that can't be read."""
    found: dict[str, list[str]] = {}
    for name, ids in (*_python(tests), *_scenarios(tests)):
        for one in ids:
            found.setdefault(one, []).append(name)
    return found


def _python(tests: Path) -> Iterator[tuple[str, list[str]]]:
    for path in sorted(tests.rglob("test_*.py")):
        for name, ids in named(ast.parse(path.read_text(), str(path))):
            yield f"{path.relative_to(tests.parent)}::{name}", ids


def named(module: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Each test of a module with the ids that its marker, its class's and its module's name."""
    yield from _named(module.body, "", [])


def _named(body: list[ast.stmt], prefix: str, inherited: list[str]) -> Iterator[tuple[str, list[str]]]:
    for node in body:
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == "pytestmark" for target in node.targets):
            inherited = [*inherited, *_ids(node.value)]
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _named(node.body, f"{prefix}{node.name}::", [*inherited, *_decorated(node)])
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test"):
            ids = list(dict.fromkeys([*inherited, *_decorated(node)]))
            if ids:
                yield f"{prefix}{node.name}", ids


def _decorated(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [one for decorator in node.decorator_list for one in _ids(decorator)]


def _ids(marker: ast.expr) -> list[str]:
    """The ids of every `proves(...)` in an expression: a decorator, a `marks=` of a parameter, a list of markers."""
    calls = [node for node in ast.walk(marker) if isinstance(node, ast.Call)]
    proves = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "proves"]
    return [str(ast.literal_eval(id_)) for call in proves for id_ in call.args]


def _scenarios(tests: Path) -> Iterator[tuple[str, list[str]]]:
    for folder in (tests / "flows", tests / "torture"):
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".json")):
            text = path.read_text()
            documents = [json.loads(text)] if path.suffix == ".json" else list(yaml.safe_load_all(text))
            for number, document in enumerate(_each(documents), 1):
                name = str(path.relative_to(tests.parent)) + (f"::{number}" if number > 1 else "")
                if isinstance(document, dict) and document.get("proves"):
                    yield name, [str(one) for one in document["proves"]]


def _each(documents: Iterable[Any]) -> Iterator[Any]:
    for document in documents:
        yield from document if isinstance(document, list) else [document]


def page(rows: list[Row], proofs: Proofs) -> str:
    """The text of proof.md."""
    parts = ["# Proof", _INTRODUCTION, totals(rows, proofs)]
    for letter, section in SECTIONS.items():
        parts.append(f"## {section}")
        lines = [_line(row, proofs) for row in rows if row.id.startswith(f"{letter}-")]
        parts.append("\n".join(["| id | rule | tests |", "|---|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
Each rule of [jsip.md](jsip.md) with the tests that prove it, as paths below `tests/`. A test names its rules by
`@pytest.mark.proves("S-12")`, a scenario file by `proves: [S-12]`; `make docs` writes this page."""


def _line(row: Row, proofs: Proofs) -> str:
    functions, folders = [], dict[str, list[str]]()
    for test in proofs.get(row.id, []):
        path, _, name = test.removeprefix("tests/").partition("::")
        if path.endswith(".py"):
            functions.append(f"`{path}::{name}`")
        else:  # a scenario: its folder, and its name there
            folder, _, file = path.rpartition("/")
            folders.setdefault(folder, []).append(file.rpartition(".")[0] + (f"::{name}" if name else ""))
    scenarios = [f"`{folder}/`: {', '.join(names)}" for folder, names in folders.items()]
    return f"| {row.id} | {row.few_words} | {'<br>'.join([*functions, *scenarios])} |"


def totals(rows: list[Row], proofs: Proofs) -> str:
    """How many rules there are, and how many tests prove them, by section."""
    lines = ["| section | rules | tests |", "|---|---|---|"]
    for letter, section in SECTIONS.items():
        lines.append(_total(section, [row for row in rows if row.id.startswith(f"{letter}-")], proofs))
    return "\n".join([*lines, _total("all", rows, proofs)])


def _total(section: str, rows: list[Row], proofs: Proofs) -> str:
    return f"| {section} | {len(rows)} | {len({test for row in rows for test in proofs.get(row.id, [])})} |"
