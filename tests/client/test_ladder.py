"""A ladder: one column a party, one line a message; as text, as Mermaid and as SVG."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from gortc.client.ladder import Ladder, Rung, label
from gortc.client.ladder_mermaid import as_mermaid
from gortc.client.ladder_svg import as_svg

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "a<b>&\"'#;%%{init: {}}%%\n--> x"


def request(method: str, cseq: int = 1, **headers: Any) -> dict[str, Any]:
    return {"Type": method, "DialogueID": "d", "CSeq": cseq, **headers}


def response(code: int, desc: str, cseq: int = 1) -> dict[str, Any]:
    return {"Type": "RESPONSE", "Code": code, "Desc": desc, "DialogueID": "d", "CSeq": cseq}


def said(ladder: Ladder) -> list[str]:
    """The labels in order."""
    return [row.label for row in ladder.rows if isinstance(row, Rung)]


@pytest.fixture
def call() -> Ladder:
    """Alice calls Bob, who is busy at first."""
    ladder = Ladder("alice@gortc.local", "gortc")
    ladder.add(10.0, "alice@gortc.local", "gortc", request("INVITE"))
    ladder.add(10.001, "gortc", "bob@gortc.local", request("INVITE"))
    ladder.add(11.25, "bob@gortc.local", "gortc", response(486, "Busy Here"))
    ladder.note(11.3, "bob@gortc.local", "closed 4001 replaced")
    ladder.note(11.3, None, "5 s pass")
    ladder.add(16.3, "bob@gortc.local", "alice@gortc.local", {"Type": "RESPONSE", "Code": 299})
    return ladder


# text


def test_draw(call: Ladder) -> None:
    assert len(call) == 6
    assert call.draw().splitlines() == [
        "               alice             gortc              bob",
        "   0.000          |---- INVITE ---->|                 |",
        "   0.001          |                 |---- INVITE ---->|",
        "   1.250          |                 |< 486 Busy Here -|",
        "   1.300          |                 |      [closed 4001 replaced]",
        "   1.300          .............. 5 s pass .............",
        "   6.300          |<-------------- 299 ---------------|",
    ]


def test_nothing() -> None:
    assert Ladder().draw() == "(nothing was said)"


def test_remarks_only() -> None:
    ladder = Ladder()
    ladder.note(3, None, "nobody is here")
    assert ladder.draw().split() == ["0.000", "nobody", "is", "here"]


def test_columns_are_as_wide_as_what_is_written_between_them() -> None:
    ladder = Ladder("a", "b")
    ladder.add(0, "a", "b", request("INVITE"))
    ladder.add(0, "b", "a", response(487, "Request Terminated"))
    ladder.add(0, "b", "c", request("BYE"))
    assert ladder.draw().splitlines() == [
        "                 a                          b                 c",
        "   0.000          |--------- INVITE -------->|                 |",
        "   0.000          |<- 487 Request Terminated |                 |",
        "   0.000          |                          |----- BYE ------>|",
    ]


def test_columns_are_as_wide_as_their_names() -> None:
    ladder = Ladder("the first one who has a long name", "b")
    ladder.add(0, "the first one who has a long name", "b", request("BYE"))
    assert ladder.draw().splitlines() == [
        "           the first one who has a long name     b",
        "   0.000                    |------- BYE -------->|",
    ]


def test_a_message_over_several_columns_needs_them_together_only() -> None:
    ladder = Ladder("a", "b", "c")
    ladder.add(0, "a", "c", response(487, "Request Terminated"))
    assert ladder.columns(18, lambda text: len(text) + 5) == {"a": 9, "b": 27, "c": 45}
    assert ladder.draw().splitlines()[1] == "   0.000          |----- 487 Request Terminated ----->|"


def test_who_sends_to_himself() -> None:
    ladder = Ladder("a", "b")
    ladder.add(0, "a", "a", request("BYE"))
    assert ladder.draw().splitlines()[1] == "   0.000          |<- BYE -         |"


def test_of_two_with_the_same_name_the_whole_name_is_told() -> None:
    assert Ladder("alice@a", "alice@b", "bob@a", "@a").names() == {
        "alice@a": "alice@a", "alice@b": "alice@b", "bob@a": "bob", "@a": "@a"
    }  # fmt: skip


def test_what_peers_write_stays_on_its_line_and_in_bounds() -> None:
    ladder = Ladder()
    ladder.add(0, "a\n1", "b\x1b[2J", request("X\r\n" * 100))
    ladder.note(0, "a\n1", "y\u202e\n" * 100)
    lines = ladder.draw().split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() and len(line) < 200 for line in lines)
    assert r"X\r\nX\r\n" in lines[1]
    assert "... " in lines[1]


# labels


def test_labels_say_what_is_answered_but_for_an_invite() -> None:
    ladder = Ladder()
    for method, cseq in (("INVITE", 1), ("UPDATE", 2), ("BYE", 3)):
        ladder.add(0, "a", "b", request(method, cseq))
        ladder.add(0, "b", "a", request("INFO", cseq))
        ladder.add(0, "b", "a", response(200, "OK", cseq))
        ladder.add(0, "a", "b", response(500, "Server Internal Error", cseq))
    ladder.add(0, "b", "a", response(200, "OK", 9))
    assert [text for text in said(ladder) if text[0].isdigit()] == [
        "200 OK", "500 Server Internal Error (INFO)", "200 OK (UPDATE)", "500 Server Internal Error (INFO)",
        "200 OK (BYE)", "500 Server Internal Error (INFO)", "200 OK",
    ]  # fmt: skip


def test_a_cancel_may_have_the_cseq_of_its_invite() -> None:
    ladder = Ladder()
    ladder.add(0, "a", "b", request("INVITE"))
    ladder.add(0, "a", "b", request("CANCEL"))
    ladder.add(0, "b", "a", response(487, "Request Terminated"))
    ladder.add(0, "b", "a", response(200, "OK"))
    ladder.add(0, "a", "b", request("ACK"))
    ladder.add(0, "b", "a", response(200, "OK"))
    assert said(ladder) == ["INVITE", "CANCEL", "487 Request Terminated", "200 OK (CANCEL)", "ACK", "200 OK"]


def test_a_cancel_with_a_cseq_of_its_own() -> None:
    ladder = Ladder()
    ladder.add(0, "a", "b", request("CANCEL", 2))
    ladder.add(0, "b", "a", response(500, "Server Internal Error", 2))
    assert said(ladder) == ["CANCEL", "500 Server Internal Error (CANCEL)"]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({}, "None"),
        ({"Type": ["INVITE"], "DialogueID": {}, "CSeq": []}, "['INVITE']"),
        ({"Type": "RESPONSE"}, "None"),
        ({"Type": "RESPONSE", "Code": "200", "Desc": None}, "200 None"),
    ],
)
def test_whatever_is_sent_has_a_label(message: dict[str, Any], text: str) -> None:
    ladder = Ladder()
    ladder.add(0, "a", "b", message)
    assert said(ladder) == [text] == [label(message)]
    assert ElementTree.fromstring(as_svg(ladder)) is not None


# Mermaid


def test_mermaid(call: Ladder) -> None:
    assert as_mermaid(call).splitlines() == [
        "sequenceDiagram",
        "    participant p1 as alice",
        "    participant p2 as gortc",
        "    participant p3 as bob",
        "    p1->>p2: INVITE",
        "    p2->>p3: INVITE",
        "    Note over p1,p3: 1.2 s later",
        "    p3-->>p2: 486 Busy Here",
        "    Note over p3: closed 4001 replaced",
        "    Note over p1,p3: 5 s pass",
        "    Note over p1,p3: 5.0 s later",
        "    p3-->>p1: 299",
    ]


def test_mermaid_of_hostile_text() -> None:
    ladder = Ladder(HOSTILE)
    ladder.add(0, HOSTILE, HOSTILE, request(HOSTILE))
    ladder.note(0, None, "")
    plain = "a#60;b#62;#38;#34;'#35;#59;#37;#37;#123;init: #123;#125;#125;#37;#37;#92;n--#62; x"
    assert as_mermaid(ladder).splitlines() == [
        "sequenceDiagram",
        f"    participant p1 as {plain}",
        f"    p1->>p1: {plain}",
        "    Note over p1:  ",
    ]


def test_mermaid_of_nothing() -> None:
    assert as_mermaid(Ladder()) == "sequenceDiagram\n    participant p1 as nobody"


# SVG


def texts(root: Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def rungs(root: Element) -> list[tuple[str, str, str]]:
    """Of each arrow its colour, its label and what the pointer shows."""
    groups = [group for group in root.iter(f"{SVG}g") if group.get("class") == "rung"]
    return [
        (arrow.get("class", ""), group.findtext(f"{SVG}text", ""), group.findtext(f"{SVG}title", ""))
        for group in groups
        for arrow in group.findall(f"{SVG}path")
    ]


def test_svg(call: Ladder) -> None:
    root = ElementTree.fromstring(as_svg(call, "A call"))
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == "A call"
    assert [colour for colour, _, _ in rungs(root)] == ["request", "request", "failure", "success"]
    assert [text for _, text, _ in rungs(root)] == ["INVITE", "INVITE", "486 Busy Here", "299"]
    assert rungs(root)[0][2] == "INVITE\nalice@gortc.local to gortc\nDialogueID d, CSeq 1"
    for text in ("alice", "gortc", "bob", "0.000", "6.300", "closed 4001 replaced", "5 s pass"):
        assert text in texts(root)


def test_svg_arrows_go_from_the_sender_to_the_receiver(call: Ladder) -> None:
    root = ElementTree.fromstring(as_svg(call))
    at = {name: float(element.get("x", "")) for element in root.iter(f"{SVG}text") if (name := element.text or "")}
    paths = [element.get("d", "") for group in root.iter(f"{SVG}g") for element in group.iter(f"{SVG}path")]
    ends = [(float(path[1:].split()[0]), float(path.partition("H")[2].partition("m")[0])) for path in paths]
    alice, gortc, bob = at["alice"], at["gortc"], at["bob"]
    assert alice < gortc < bob
    assert ends == [(alice, gortc - 1), (gortc, bob - 1), (bob, gortc + 1), (bob, alice + 1)]


def test_svg_is_as_large_as_what_is_in_it() -> None:
    ladder = Ladder("a", "a long name, which takes its space")
    ladder.add(0, "a", "a long name, which takes its space", response(180, "Ringing for quite some time by now"))
    ladder.add(0, "a long name, which takes its space", "a long name, which takes its space", request("MESSAGE"))
    ladder.note(0, "a long name, which takes its space", "a remark that is longer still than the name")
    ladder.note(0, "a", "a remark that would reach into the time")
    root = ElementTree.fromstring(as_svg(ladder))
    width = float(root.get("width", ""))
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    boxes = [(float(box.get("x", 0)), float(box.get("width", 0))) for box in root.iter(f"{SVG}rect")]
    assert all(x >= 0 and x + wide <= width for x, wide in boxes)
    assert all(box[0] > 60 for box in boxes[1:])  # the time column is free


def test_svg_of_a_long_ladder_has_the_names_below_too() -> None:
    ladder = Ladder()
    for cseq in range(1, 41):
        ladder.add(cseq, "a", "b", request("INFO", cseq))
    root = ElementTree.fromstring(as_svg(ladder))
    assert texts(root).count("a") == 2
    assert len(rungs(root)) == 40
    lowest = max(float(element.get("y", "0")) for element in root.iter(f"{SVG}text"))
    assert lowest < float(root.get("height", ""))


def test_svg_of_hostile_text() -> None:
    ladder = Ladder()
    ladder.add(0, HOSTILE, "</svg>\x00", request(HOSTILE, DialogueID="<&\x01"))
    ladder.note(0, None, HOSTILE)
    root = ElementTree.fromstring(as_svg(ladder, HOSTILE))
    shown = HOSTILE.replace("\n", r"\n")
    assert rungs(root)[0][1] == shown
    assert texts(root).count(shown) == 3
    assert root.findtext(f"{SVG}title") == shown
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        "svg", "title", "style", "rect", "path", "g", "text"
    }  # fmt: skip


def test_svg_of_nothing() -> None:
    assert texts(ElementTree.fromstring(as_svg(Ladder()))) == ["nothing was said"]
    ladder = Ladder()
    ladder.note(0, None, "all are away")
    assert texts(ElementTree.fromstring(as_svg(ladder))) == ["0.000", "all are away"]


def test_svg_is_readable_on_light_and_on_dark_paper(call: Ladder) -> None:
    """Each class that a shape has is a colour in both; nothing has a colour of its own."""
    root = ElementTree.fromstring(as_svg(call))
    style = root.findtext(f"{SVG}style", "")
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    shapes = [element for element in root.iter() if element.tag in (f"{SVG}rect", f"{SVG}path", f"{SVG}text")]
    colours = {element.get("class", "").split()[0] for element in shapes}
    assert colours >= {"paper", "ink", "muted", "rule", "box", "request", "failure", "success", "note"}
    assert all(f".{colour} {{ color: #" in side for colour in colours for side in (light, dark))
    assert not any(element.get("fill") or element.get("stroke") for element in shapes)
