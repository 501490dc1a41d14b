"""The documentation: its Python runs, its tests pass, its links lead somewhere, its tables are the code's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import gortc
from gortc import Call, Context, Leg, Task, Times
from gortc.jsip.methods import METHODS
from gortc.testing import Lab, Talk, User

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> list[str]:
    """The fenced Python blocks of a page, each at its own lines so that a traceback names the page's."""
    found = re.finditer(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return ["\n" * found_at.string[: found_at.start(1)].count("\n") + found_at[1] for found_at in found]


def run(page: Path) -> dict[str, Any]:
    """Run the blocks of a page one after the other; what they have defined."""
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page):
        exec(compile(block, page, "exec"), names)
    return names


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: str(page.name))
def test_examples_run_and_their_tests_pass(page: Path) -> None:
    for name, value in run(page).items():
        if name.startswith("test_"):
            value()


def test_services_has_an_example_of_both_levels_with_their_tests() -> None:
    names = run(ROOT / "docs" / "services.md")
    assert [name for name in names if name.startswith("test_")] != []
    assert {"frontdesk", "pager"} <= set(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        there = page.parent / path if path else page
        assert there.exists(), target
        headings = [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in
                    re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)]  # fmt: skip
        assert not anchor or anchor in headings, target


def test_sections_that_the_code_names_exist() -> None:
    sections = set(re.findall(r"^## (\d)\. ", (ROOT / "docs" / "jsip.md").read_text(), re.MULTILINE))
    assert sections == {"1", "2", "3", "4", "5", "6"}
    for source in [*(ROOT / "gortc").rglob("*.py"), *(ROOT / "docs").glob("*.md")]:
        for numbers in re.findall(r"jsip\.md\)?,? sections? ([\d, and]+)", source.read_text()):
            assert set(re.findall(r"\d", numbers)) <= sections, source


def test_files_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`((?:gortc|slp_plugins|tests|bench|etc|twisted|docs)/[\w./]*)`", text)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_methods_and_times_are_in_the_contract() -> None:
    text = (ROOT / "docs" / "jsip.md").read_text()
    assert [method for method in METHODS if method not in text] == []
    table = text.split("## 5. ", 1)[1].split("## 6. ", 1)[0]
    for name, value in vars_of(Times()).items():
        assert re.search(rf"^\| `{name}` \| {value:,g} \|", table, re.MULTILINE), name


def vars_of(times: Times) -> dict[str, float]:
    """The times by name."""
    return {name: getattr(times, name) for name in Times.__annotations__}


@pytest.mark.parametrize("documented", [Call, Leg, Task, Context, Lab, User, Talk])
def test_services_names_what_a_service_may_use(documented: type) -> None:
    """Every public name of these classes, but what is for the machinery, is in docs/services.md."""
    machinery = {
        "adopt", "receive", "start_relay", "expect_answer", "expect_ack", "begin", "join", "keep_relid", "owns", "bind",
        "entered", "left", "failed", "arrived", "node", "channel", "lab", "user", "ours", "cseq", "invite_cseq",
        "settings", "release",
    }  # fmt: skip
    text = (ROOT / "docs" / "services.md").read_text()
    names = [name for name in dir(documented) if not name.startswith("_") and name not in machinery]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_services_names_the_whole_vocabulary() -> None:
    text = (ROOT / "docs" / "services.md").read_text()
    assert [name for name in gortc.__all__ if not re.search(rf"`[^`]*\b{name}\b", text)] == []
