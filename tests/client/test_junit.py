"""JUnit's XML: what a CI server reads of scenarios played."""

from __future__ import annotations

from xml.etree import ElementTree

from gortc.client.junit import report
from gortc.client.ladder import SERVER, Ladder
from gortc.client.player import Outcome, Wrong
from gortc.client.scenario import Scenario


def outcome(title: str, wrong: Wrong | None = None, seconds: float = 0.0) -> Outcome:
    ladder = Ladder()
    ladder.add(0.0, "alice", SERVER, {"Type": "INVITE"})
    return Outcome(Scenario(title, (), ()), ladder, wrong, seconds)


def test_a_report() -> None:
    wrong = Wrong("b.yaml:7", "bob INVITE <sip>", "bell \a", ("it is no INVITE",))
    good = outcome('Good & "well"', seconds=0.25)
    text = report([("a.yaml", good), ("b.yaml", outcome("Bad \x00 \ud800 \U0001f600", wrong, seconds=1.5))])
    assert text.startswith('<?xml version="1.0" encoding="utf-8"?>\n<testsuites')
    suites = ElementTree.fromstring(text.encode())
    figures = {"tests": "2", "failures": "1", "errors": "0", "time": "1.750"}
    assert suites.attrib == figures
    (suite,) = suites
    assert (suite.tag, suite.attrib) == ("testsuite", {"name": "gortc-ua play", **figures})
    first, second = suite
    assert first.attrib == {"classname": "a.yaml", "name": 'Good & "well"', "time": "0.250"}
    assert len(first) == 0
    assert second.attrib == {"classname": "b.yaml", "name": "Bad \ufffd \ufffd \U0001f600", "time": "1.500"}
    (failure,) = second
    assert failure.tag == "failure"
    assert failure.attrib == {"message": "b.yaml:7: expected bob INVITE <sip>, received bell \ufffd"}
    assert failure.text is not None
    told, ladder = failure.text.split("\n\n", 1)
    assert told == ("b.yaml:7\n  expected  bob INVITE <sip>\n  received  bell \ufffd\n            it is no INVITE")
    assert "INVITE" in ladder


def test_nothing_was_played() -> None:
    suites = ElementTree.fromstring(report([]))
    assert suites.attrib == {"tests": "0", "failures": "0", "errors": "0", "time": "0.000"}
    assert [len(suite) for suite in suites] == [0]
