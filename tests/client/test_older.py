"""The older form of a script: what it means, what it can't be, and how it is played."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gortc.client.player import Outcome
from gortc.client.scenario import Disconnect, Expect, Pause, Scenario, ScenarioError, Send, parse, read
from gortc.testing import Lab
from slp_plugins.echo import echo

INVITE = {
    "Type": "INVITE",
    "Request-URI": "echo@gortc.local",
    "From": "ann@gortc.local",
    "To": "echo@gortc.local",
    "DialogueID": "d1",
    "CSeq": 7,
    "Body": {"media": ["$audio"]},
}
IN_DIALOGUE = {name: INVITE[name] for name in ("Request-URI", "From", "To", "DialogueID")}


def script(*items: Any) -> Scenario:
    """The scenario that these items mean."""
    (scenario,) = parse(json.dumps(items), "old.json", json=True)
    return scenario


def played(*items: Any) -> Outcome:
    """Play them to echo."""
    return Lab(echo).perform(script(*items))


def test_a_call_is_played_as_it_is_written() -> None:
    lab = Lab(echo)
    outcome = lab.run(
        script(
            {"type": "send", "value": INVITE},
            {"type": "recv", "value": {"Type": "RESPONSE", "Code": 180}, "timeout": "1s"},
            {
                "type": "recv",
                "value": {"Type": "RESPONSE", "Code": 200, "Body": {}},
                "timeout": "500ms",
                "vars": {"$cseq": "CSeq", "$dialogue": "DialogueID"},
            },
            {
                "type": "send",
                "value": {**IN_DIALOGUE, "DialogueID": "", "Type": "ACK", "CSeq": 8},
                "vars": {"RelatedID": "$cseq", "DialogueID": "$dialogue"},
            },
            {"type": "recv", "value": {"Type": "INFO"}, "timeout": "2s", "option": True},
            {"type": "send", "value": {**IN_DIALOGUE, "Type": "BYE", "CSeq": 9}, "timeout": "1m30s"},
            {"type": "recv", "value": {"Code": 200, "CSeq": 9}},
            {"type": "end"},
        )
    )
    assert outcome.setup == 0
    assert lab.clock.seconds() == 92
    lab.check_empty()


def test_who_only_answers_is_the_callee() -> None:
    names = {"From": "ann@gortc.local", "To": "bob@gortc.local"}
    scenario = script({"type": "recv"}, {"type": "send", "value": {"Type": "RESPONSE", "Code": 200, **names}})
    assert scenario.parties[0].user == "bob@gortc.local"


def test_what_it_means() -> None:
    scenario = script(
        {"type": "recv", "vars": {"$a": "X"}},
        {"type": "send", "value": {"Type": "BYE", "From": "ann@x"}, "timeout": "0s"},
        {"type": "send", "value": {"From": "bob@x"}, "timeout": "1h2m3s4ms5us6ns"},
        "end",
        {"type": "whatever comes after the end"},
    )
    assert scenario.title == "old.json"
    assert not scenario.strict
    assert [(party.name, party.user) for party in scenario.parties] == [("user", "ann@x")]
    recv, first, pause, second, end = scenario.steps
    assert isinstance(recv, Expect)
    assert (recv.save, recv.within, recv.optional, recv.where) == ({"a": "X"}, None, False, "old.json: step 1")
    assert isinstance(first, Send)
    assert isinstance(pause, Pause)
    assert pause.seconds == pytest.approx(3723.004005006)
    assert isinstance(second, Send)
    assert isinstance(end, Disconnect)


def test_nobody_is_named() -> None:
    assert script({"type": "send"}, {"type": "end"}).parties[0].user is None


def test_it_is_found_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps([{"type": "send", "value": {"From": "ann@x"}}]))
    (scenario,) = read(path)
    assert scenario.title == "old.json"
    path.write_text(json.dumps([{"type": "sent"}]))
    with pytest.raises(ScenarioError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: step 1: type is send, recv or end"


def test_nothing_in_a_value_has_a_meaning_but_an_object() -> None:
    send = {"type": "send", "value": INVITE}
    ring = {"type": "recv", "value": {"Code": 180}}
    for body in (INVITE["Body"], {}, {"media": ["$audio"]}):
        assert played(send, ring, {"type": "recv", "value": {"Code": 200, "Body": body}}).wrong is None
    wrong = played(send, ring, {"type": "recv", "value": {"Code": 200, "Body": {"media": []}}}).wrong
    assert wrong is not None
    assert wrong.details == ("Body.media should be [], but is ['$audio']",)
    wrong = played(send, ring, {"type": "recv", "value": {"Code": 200, "Reason": None}}).wrong
    assert wrong is not None
    assert wrong.details == ("Reason is missing",)


def test_what_comes_is_something_else() -> None:
    wrong = played({"type": "send", "value": INVITE}, {"type": "recv", "value": {"Code": 183}}).wrong
    assert wrong is not None
    assert wrong.where == "old.json: step 2"
    assert wrong.details == ("Code should be 183, but is 180",)


def test_a_variable_takes_a_header_that_is_not_there() -> None:
    wrong = played({"type": "send", "value": INVITE}, {"type": "recv", "vars": {"$x": "X-Note"}}).wrong
    assert wrong is not None
    assert wrong.details == ("X-Note is missing",)


def test_a_variable_is_sent_that_is_not_there() -> None:
    wrong = played({"type": "send", "value": INVITE, "vars": {"CSeq": "$cseq"}}).wrong
    assert wrong is not None
    assert wrong.received.startswith("$cseq has no value")


def test_nothing_comes_in_time() -> None:
    lab = Lab(echo)
    bye = {**IN_DIALOGUE, "Type": "ACK", "CSeq": 1}
    wrong = lab.perform(script({"type": "send", "value": bye}, {"type": "recv", "timeout": "2s"})).wrong
    assert wrong is not None
    assert wrong.received == "nothing in 2 s"
    assert lab.clock.seconds() == 2


def test_what_comes_and_is_not_asked_for_does_no_harm() -> None:
    assert played({"type": "send", "value": INVITE}, {"type": "end"}).wrong is None


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"type": "wait"}, "type is send, recv or end"),
        ("start", "type is send, recv or end"),
        ({"value": {}}, "type is send, recv or end"),
        ({"type": "send", "when": 1, "at": 2}, "at, when has no meaning here"),
        ({"type": "send", "value": []}, "value and vars are objects"),
        ({"type": "recv", "vars": None}, "value and vars are objects"),
        ({"type": "recv", "option": "true"}, "option is true or false, not 'true'"),
        ({"type": "send", "vars": {"CSeq": "cseq"}}, "vars: 'cseq' is no variable such as $cseq"),
        ({"type": "send", "vars": {"CSeq": 5}}, "vars: 5 is no variable such as $cseq"),
        ({"type": "recv", "vars": {"CSeq": "$cseq"}}, "vars: 'CSeq' is no variable such as $cseq"),
        ({"type": "recv", "timeout": 5}, "timeout is a time such as 5s, 500ms or 1m30s, not 5"),
        ({"type": "recv", "timeout": ""}, "timeout is a time such as 5s, 500ms or 1m30s, not ''"),
        ({"type": "recv", "timeout": "5"}, "timeout is a time such as 5s, 500ms or 1m30s, not '5'"),
        ({"type": "recv", "timeout": "-5s"}, "timeout is a time such as 5s, 500ms or 1m30s, not '-5s'"),
        ({"type": "recv", "value": {"$re": "x"}}, "$re: {'$value': 'x'} is no regular expression: "),
        ({"type": "send", "value": {"$x": 1}}, "$x is not known; there are $re, $type and $value"),
    ],
)
def test_what_it_can_not_be(item: Any, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        script({"type": "send"}, item)
    assert str(caught.value).startswith(f"old.json: step 2: {said}")
