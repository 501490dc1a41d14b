"""The documentation: its examples run, its links lead somewhere, its tables are the code's, its rules are proven."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from attrs import fields

import gortc
from docs import generate, proof
from gortc import Call, Context, Leg, Task, Times
from gortc.jsip import syntax
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
    text = generate.CONTRACT.read_text()
    assert [method for method in METHODS if method not in text] == []
    table = text.split("## 5. ", 1)[1].split("## 6. ", 1)[0]
    for time in fields(Times):
        assert re.search(rf"^\| X-\d+ \| `{time.name}` \| {time.default:,g} \|", table, re.MULTILINE), time.name


def test_messages_in_the_contract_are_good_ones() -> None:
    examples = re.findall(r"^```json\n(.*?)^```$", generate.CONTRACT.read_text(), re.MULTILINE | re.DOTALL)
    messages = [syntax.read(json.loads(example)) for example in examples]
    assert [type(message).__name__ for message in messages] == ["Request", "Response", "Request"]


# The contract's rules and what proves them.


def contract() -> tuple[list[proof.Row], dict[str, list[str]]]:
    """The rules, and the tests by rule."""
    return proof.rows(generate.CONTRACT.read_text()), proof.proofs(ROOT / "tests")


def test_each_rule_has_an_id_of_its_own_in_its_section() -> None:
    ids = [row.id for row in contract()[0]]
    assert [one for one, times in Counter(ids).items() if times > 1] == []
    assert len(ids) > 100
    text = generate.CONTRACT.read_text()
    for letter, section in proof.SECTIONS.items():
        of_section = text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
        here = [row.id for row in proof.rows(of_section)]
        assert here == [one for one in ids if one.startswith(f"{letter}-")] != []
    named = set(re.findall(r"\b[CMTSXD]-\d+\b", text))
    assert named == set(ids)  # nothing that looks like an id is none


def test_each_rule_is_proven() -> None:
    rows, proofs = contract()
    assert [row.id for row in rows if row.id not in proofs] == []


def test_no_test_proves_what_is_no_rule() -> None:
    rows, proofs = contract()
    known = {row.id for row in rows}
    assert {one: tests for one, tests in proofs.items() if one not in known} == {}


def test_what_is_generated_is_what_the_code_says_now() -> None:
    """Where this fails: `make docs`."""
    text = generate.CONTRACT.read_text()
    assert set(re.findall(r"<!-- generated: ([\w-]+) -->", text)) == {*generate.MACHINES, "times"}
    assert generate.rewritten(text) == text


def test_the_proof_is_what_the_tests_say_now() -> None:
    """Where this fails: `make docs`."""
    assert generate.PROOF.read_text() == proof.page(*contract())


# The generator.


@pytest.mark.parametrize("machine", generate.MACHINES.values(), ids=list(generate.MACHINES))
def test_a_diagram_leads_from_the_start_through_every_state_to_the_end(machine: generate.Machine) -> None:
    ways = re.findall(r"^    (\S+) --> ([^\s:]+)", generate.diagram(machine), re.MULTILINE)
    assert all(begin != end for begin, end in ways)  # what leaves a state as it is belongs into the table
    assert len(ways) == len(set(ways))
    reached = {"[*]"}
    for _ in machine.table:
        reached |= {end for begin, end in ways if begin in reached}
    assert reached == {"[*]", *machine.table}
    assert {begin for begin, _ in ways} == reached  # and none is a dead end


@pytest.mark.parametrize("machine", generate.MACHINES.values(), ids=list(generate.MACHINES))
def test_a_table_has_every_cell(machine: generate.Machine) -> None:
    head, _, *lines = [line.strip("|").split("|") for line in generate.cells(machine).splitlines()]
    found = {}
    for event, *line in lines:
        for state, cell in zip(head[1:], line, strict=True):
            name, _, after = cell.strip().partition(" → ")
            if name:
                found[state.strip(), event.strip(" `")] = (after.strip("*") or state.strip(), name)
    assert found == {
        (state, event): (after, generate.spoken(action))
        for state, row in machine.table.items()
        for event, (after, action) in row.items()
    }
    assert all(action.__doc__ for action in machine.actions.values())


def test_a_time_keeps_its_id() -> None:
    names = [time.name for time in fields(Times)]
    made = generate.times_block(f"| X-7 | `{names[1]}` | 1 | |\n| X-3 | `{names[0]}` | 1 | |")
    found = re.findall(r"^\| (X-\d+) \| `(\w+)`", made, re.MULTILINE)
    assert found[:3] == [("X-3", names[0]), ("X-7", names[1]), ("X-8", names[2])]
    assert [name for _, name in found] == names


def test_a_block_that_nothing_makes() -> None:
    with pytest.raises(KeyError):
        generate.rewritten("<!-- generated: nothing -->\n<!-- end -->")


def test_make_docs_brings_both_pages_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [generate.rewritten(generate.CONTRACT.read_text()), proof.page(*contract())]
    monkeypatch.setattr(generate, "CONTRACT", tmp_path / "jsip.md")
    monkeypatch.setattr(generate, "PROOF", tmp_path / "proof.md")
    generate.CONTRACT.write_text(pages[0].replace("stateDiagram-v2", "an older one"))
    generate.main()
    assert [generate.CONTRACT.read_text(), generate.PROOF.read_text()] == pages
    assert f"| all | {len(contract()[0])} | " in capsys.readouterr().out


def test_rules_are_bullets_and_lines_of_tables() -> None:
    rows = proof.rows(
        "- **C-1** One `thing`\n  and another.\n- **C-2** Two.\n\n  | a | b |\n\n- C-3 is none\n"
        "| S-4 | event | | *seen* |\n| id | S-5 |\n"
    )
    assert [(row.id, row.rule) for row in rows] == [
        ("C-1", "One thing and another."), ("C-2", "Two."), ("S-4", "event: seen"),
    ]  # fmt: skip
    assert proof.Row("C-1", "word " * 100).few_words.endswith("word ...")
    assert len(proof.Row("C-1", "word " * 100).few_words) < 130


MARKED = """
pytestmark = [pytest.mark.slow, pytest.mark.proves("A-1")]

@pytest.mark.proves("A-2", "A-3")
@pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.proves("A-4"))])
def test_one(x): ...

@mark.proves("A-5")
class TestOf:
    pytestmark = pytest.mark.proves("A-6")
    @pytest.mark.proves("A-7")
    async def test_two(self): ...
    def helper(self): ...

def test_three(): ...
"""


def test_markers_of_tests_of_classes_and_of_modules() -> None:
    assert dict(proof.named(ast.parse(MARKED))) == {
        "test_one": ["A-1", "A-2", "A-3", "A-4"],
        "TestOf::test_two": ["A-1", "A-5", "A-6", "A-7"],
        "test_three": ["A-1"],
    }
    assert list(proof.named(ast.parse("def test(): ..."))) == []


def test_an_id_that_is_not_written_out() -> None:
    with pytest.raises(ValueError, match="malformed"):
        list(proof.named(ast.parse("@pytest.mark.proves(name)\ndef test(): ...")))


def test_scenarios_name_what_they_prove(tmp_path: Path) -> None:
    files = {
        "flows/a/one.yaml": "title: one\nproves: [S-1, S-2]\n---\nproves: [S-2]\n---\ntitle: three\n",
        "flows/two.yaml": "- proves: [S-3]\n- proves: []\n- proves: [S-3]\n",
        "torture/three.json": json.dumps({"proves": ["M-1"]}),
        "torture/four.txt": "proves: [M-2]",
        "jsip/five.yaml": "proves: [M-3]",
    }
    for name, text in files.items():
        path = tmp_path / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    proofs = proof.proofs(tmp_path / "tests")
    assert proofs == {
        "S-1": ["tests/flows/a/one.yaml"],
        "S-2": ["tests/flows/a/one.yaml", "tests/flows/a/one.yaml::2"],
        "S-3": ["tests/flows/two.yaml", "tests/flows/two.yaml::3"],
        "M-1": ["tests/torture/three.json"],
    }
    page = proof.page(
        [proof.Row("S-2", "It is so."), proof.Row("M-1", "And so.")], {**proofs, "M-1": ["tests/a.py::b"]}
    )
    assert "| S-2 | It is so. | `flows/a/`: one, one::2 |" in page
    assert "| M-1 | And so. | `a.py::b` |" in page
    assert "| 4. INVITE session | 1 | 2 |" in page


@pytest.mark.parametrize("documented", [Call, Leg, Task, Context, Lab, User, Talk])
def test_services_names_what_a_service_may_use(documented: type) -> None:
    """Every public name of these classes, but what is for the machinery, is in docs/services.md."""
    machinery = {
        "adopt", "receive", "expect_answer", "expect_ack", "begin", "join", "leave", "keep_relid", "owns", "bind",
        "entered", "left", "failed", "arrived", "node", "channel", "lab", "user", "ours", "cseq", "invite_cseq",
        "settings", "release", "retire", "rest", "hold", "let_go", "expect_end", "forget_end", "rings_on", "sets_times",
        "waits_for", "rseq", "end",
        "leg_of", "bridge", "early", "unheard", "reads", "ask_again", "interval_wanted", "wait_for_return",
        "lose_patience", "asker", "payer", "keep_unheard", "unsent",
    }  # fmt: skip
    text = (ROOT / "docs" / "services.md").read_text()
    names = [name for name in dir(documented) if not name.startswith("_") and name not in machinery]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_operations_names_what_is_counted() -> None:
    """Every reason that is written out in the code."""
    code = "".join(path.read_text() for path in (ROOT / "gortc").rglob("*.py"))
    reasons = set(re.findall(r"""(?:\.note\(|counts\[)"([^"{]+)""", code))
    reasons |= {"dead peer", "slow reader"}  # by way of a variable
    assert {"peer gone", "resumed"} < reasons
    text = (ROOT / "docs" / "operations.md").read_text()
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in text] == []


def test_services_names_the_whole_vocabulary() -> None:
    text = (ROOT / "docs" / "services.md").read_text()
    assert [name for name in gortc.__all__ if not re.search(rf"`[^`]*\b{name}\b", text)] == []
