"""What the documentation takes from the code and the tests: `make docs`.

In jsip.md the blocks between `<!-- generated: NAME -->` and `<!-- end -->`: state machines and their tables, the times.
And the whole of proof.md.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import fields, frozen

from docs import proof
from gortc.jsip import invite_session
from gortc.jsip.invite_client import InviteClient
from gortc.jsip.invite_server import InviteServer
from gortc.jsip.request_client import RequestClient
from gortc.jsip.request_server import RequestServer
from gortc.jsip.times import Times
from gortc.jsip.transaction import Transaction

ROOT = Path(__file__).parent.parent
CONTRACT = ROOT / "docs" / "jsip.md"
PROOF = ROOT / "docs" / "proof.md"

_BLOCK = re.compile(r"(?P<begin><!-- generated: (?P<name>[\w-]+) -->\n)(?P<old>.*?)(?P<end><!-- end -->)", re.DOTALL)

Table = Mapping[str, Mapping[str, tuple[str, Callable[..., Any]]]]


@frozen
class Machine:
    """A state machine of the stack: its table, where it begins, where it ends."""

    table: Table
    start: str
    end: str

    @property
    def events(self) -> list[str]:
        """Every event, in the order in which the table names them first; what the service sends comes last."""
        events = dict.fromkeys(event for row in self.table.values() for event in row)
        return sorted(events, key=lambda event: event.startswith("send "))

    @property
    def actions(self) -> dict[str, Callable[..., Any]]:
        """Every action by its name, in the same order."""
        return {spoken(action): action for row in self.table.values() for _, action in row.values()}


def _transaction(machine: type[Transaction]) -> Machine:
    return Machine(machine.TABLE, machine.START, "done")


MACHINES = {
    "request-client": _transaction(RequestClient),
    "request-server": _transaction(RequestServer),
    "invite-session": Machine(invite_session.TABLE, invite_session.NEW, invite_session.ENDED),
    "invite-client": _transaction(InviteClient),
    "invite-server": _transaction(InviteServer),
}


def diagram(machine: Machine) -> str:
    """A Mermaid diagram of what leads from one state to another; a state without a way out ends when all is over."""
    ways: dict[tuple[str, str], list[str]] = {}
    for state, row in machine.table.items():
        for event, (after, _) in row.items():
            if after != state:
                ways.setdefault((state, after), []).append(event)
    for state in machine.table:
        if state != machine.end and not any(begin == state for begin, _ in ways):
            ways[state, machine.end] = ["over"]
    lines = [f"{begin} --> {end}: {', '.join(events)}" for (begin, end), events in ways.items()]
    lines = ["stateDiagram-v2", f"    [*] --> {machine.start}", *(f"    {line}" for line in lines)]
    return "\n".join(["```mermaid", *lines, f"    {machine.end} --> [*]", "```"])


def cells(machine: Machine) -> str:
    """The table itself: the action of each event in each state, and the next state where it is another one."""
    states = [state for state, row in machine.table.items() if row]

    def cell(state: str, event: str) -> str:
        after, action = machine.table[state].get(event, (state, None))
        if action is None:
            return ""
        return spoken(action) if after == state else f"{spoken(action)} → **{after}**"

    lines = [[f"`{event}`", *(cell(state, event) for state in states)] for event in machine.events]
    return grid(["event", *states], lines)


def legend(machine: Machine) -> str:
    """What the actions do, in the words of the code."""
    return grid(["action", "what it does"], [[name, said(action.__doc__)] for name, action in machine.actions.items()])


def machine_block(machine: Machine) -> str:
    """All about one machine."""
    return f"{diagram(machine)}\n\n{cells(machine)}\n\n{legend(machine)}"


def times_block(old: str) -> str:
    """The table of the times. A time keeps the id that it has in the `old` one; a new one gets the next."""
    ids = {name: int(number) for number, name in re.findall(r"^\| X-(\d+) \| `(\w+)`", old, re.MULTILINE)}
    docs = attribute_docs(Times)
    lines = []
    for attribute in fields(Times):
        number = ids.setdefault(attribute.name, max(ids.values(), default=0) + 1)
        lines.append([f"X-{number}", f"`{attribute.name}`", f"{attribute.default:,g}", said(docs[attribute.name])])
    return grid(["id", "time", "default", "what it limits"], lines)


def attribute_docs(documented: type) -> dict[str, str]:
    """The docstrings of a class's attributes."""
    (defined,) = ast.parse(textwrap.dedent(inspect.getsource(documented))).body
    assert isinstance(defined, ast.ClassDef)
    return dict(_attribute_docs(defined))


def _attribute_docs(defined: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for node, after in zip(defined.body, defined.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(after, ast.Expr):
            yield node.target.id, ast.literal_eval(after.value)


def spoken(action: Callable[..., Any]) -> str:
    """An action's name in words."""
    return action.__name__.strip("_").replace("_", " ")


def said(docstring: str | None) -> str:
    """The first paragraph of a docstring, on one line of a table."""
    assert docstring
    return " ".join(docstring.strip().split("\n\n")[0].split()).replace("|", r"\|")


def grid(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    every = [head, ["---"] * len(head), *lines]
    return "\n".join("|".join(["", *(f" {cell} " if cell else " " for cell in line), ""]) for line in every)


def rewritten(text: str) -> str:
    """A page with its generated blocks as they should be. Raises KeyError for a block that nothing makes."""

    def block(found: re.Match[str]) -> str:
        name = found["name"]
        made = times_block(found["old"]) if name == "times" else machine_block(MACHINES[name])
        return f"{found['begin']}{made}\n{found['end']}"

    return _BLOCK.sub(block, text)


def main() -> None:
    """Rewrite what is generated; tell the totals of the proof."""
    CONTRACT.write_text(rewritten(CONTRACT.read_text()))
    rows, proofs = proof.rows(CONTRACT.read_text()), proof.proofs(ROOT / "tests")
    PROOF.write_text(proof.page(rows, proofs))
    print(proof.totals(rows, proofs))


if __name__ == "__main__":
    main()
