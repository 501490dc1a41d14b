"""A ladder: one column a party, one line a message."""

from __future__ import annotations

from gortc.client.ladder import Ladder


def test_draw() -> None:
    ladder = Ladder("alice@gortc.local", "gortc")
    ladder.add(10.0, "alice@gortc.local", "gortc", {"Type": "INVITE"})
    ladder.add(10.001, "gortc", "bob@gortc.local", {"Type": "INVITE"})
    ladder.add(11.25, "bob@gortc.local", "gortc", {"Type": "RESPONSE", "Code": 486, "Desc": "Busy Here"})
    ladder.add(11.5, "bob@gortc.local", "alice@gortc.local", {"Type": "RESPONSE", "Code": 299})
    assert len(ladder) == 4
    assert ladder.draw().splitlines() == [
        "               alice             gortc              bob",
        "   0.000          |---- INVITE ---->|                 |",
        "   0.001          |                 |---- INVITE ---->|",
        "   1.250          |                 |< 486 Busy Here -|",
        "   1.500          |<-------------- 299 ---------------|",
    ]


def test_nothing() -> None:
    assert Ladder().draw() == "(nothing was said)"


def test_a_long_label_is_cut_before_the_arrow_is() -> None:
    ladder = Ladder("a", "b")
    ladder.add(0, "a", "b", {"Type": "RESPONSE", "Code": 487, "Desc": "Request Terminated"})
    assert ladder.draw().splitlines()[1] == "   0.000          | 487 Request Te->|"
