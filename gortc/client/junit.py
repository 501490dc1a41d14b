"""Outcomes as JUnit's XML, which CI servers read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gortc.client.player import Outcome

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def report(outcomes: Sequence[tuple[str, Outcome]]) -> str:
    """The report of scenarios played, each with its file's name."""
    failed = sum(outcome.wrong is not None for _, outcome in outcomes)
    seconds = sum(outcome.seconds for _, outcome in outcomes)
    figures = {"tests": str(len(outcomes)), "failures": str(failed), "errors": "0", "time": f"{seconds:.3f}"}
    suites = Element("testsuites", figures)
    suite = SubElement(suites, "testsuite", {"name": "gortc-ua play", **figures})
    for name, outcome in outcomes:
        title = _clean(outcome.scenario.title)
        case = SubElement(suite, "testcase", classname=_clean(name), name=title, time=f"{outcome.seconds:.3f}")
        wrong = outcome.wrong
        if wrong is not None:
            message = f"{wrong.where}: expected {wrong.expected}, received {wrong.received}"
            failure = SubElement(case, "failure", message=_clean(message))
            failure.text = _clean(f"{wrong}\n\n{outcome.ladder.draw()}")
    indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """Without the characters that XML can't carry."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
