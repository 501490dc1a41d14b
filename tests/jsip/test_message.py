"""Requests, responses and the journal: docs/jsip.md section 2."""

from __future__ import annotations

import pytest

from gortc.jsip.layers import Journal
from gortc.jsip.message import Request, Response, answer_headers, encode
from tests.jsip.kit import Stage

REQUEST = {
    "Type": "INVITE", "Request-URI": "bob@h", "From": "alice@h", "To": "bob@h", "DialogueID": "d1", "CSeq": 7,
    "Router": "h", "Expire": 60, "Max-Forwards": 3, "RelatedID": 1, "Body": "offer", "Event": "presence", "X-Any": [1],
}  # fmt: skip


def test_a_request() -> None:
    request = Request(dict(REQUEST), "INVITE", 7, "d1", "alice@h", "bob@h")
    assert (request.method, request.code, request.cseq, request.local) == ("INVITE", 0, 7, False)
    assert (request.dialogue_id, request.body, request.get("Event"), request.get("None", 1)) == (
        "d1", "offer", "presence", 1,
    )  # fmt: skip
    assert Request({}, "INFO", 1, "d1", "a", "b").body is None
    assert request.related is None


def test_what_may_be_carried_over_to_another_leg() -> None:
    request = Request(dict(REQUEST), "INVITE", 7, "d1", "alice@h", "bob@h")
    assert request.carried == {"Body": "offer", "Event": "presence", "X-Any": [1]}
    request.carried["Body"] = "another"
    assert request.body == "offer"


@pytest.mark.proves("M-4", "M-7")
def test_an_answer_repeats_what_it_must_and_no_more() -> None:
    assert answer_headers(REQUEST, 486) == {
        "Type": "RESPONSE", "Code": 486, "Desc": "Busy Here", "From": "alice@h", "To": "bob@h", "DialogueID": "d1",
        "CSeq": 7,
    }  # fmt: skip


@pytest.mark.proves("M-4", "M-7", "M-13")
def test_responses_on_the_wire(stage: Stage) -> None:
    stage.play("alice MESSAGE", "service 299 text X-Any=7")
    assert stage.person("alice").inbox == [
        {
            "Type": "RESPONSE", "Code": 299, "Desc": "Success", "From": "alice@gortc.local",
            "To": "service@gortc.local", "DialogueID": stage.talks["alice"].id, "CSeq": 1, "X-Any": 7, "Body": "text",
        }
    ]  # fmt: skip
    stage.forget()


@pytest.mark.proves("M-6", "M-13")
def test_requests_on_the_wire(stage: Stage) -> None:
    stage.dial("bob", "MESSAGE", "text", {"X-Any": 7})
    request = stage.person("bob").inbox[0]
    dialogue_id = request.pop("DialogueID")
    assert dialogue_id.startswith("dlg_gortc.local_")
    assert request == {
        "Type": "MESSAGE", "Request-URI": "bob@gortc.local", "From": "gortc.local", "To": "bob@gortc.local", "CSeq": 1,
        "X-Any": 7, "Body": "text",
    }  # fmt: skip
    request["DialogueID"] = dialogue_id
    stage.play("bob 200")
    assert stage.probe.messages[-2].headers["Type"] == "RESPONSE"
    assert getattr(stage.probe.messages[-2], "method", None) == "MESSAGE"
    stage.forget()


def test_how_they_look_in_a_log() -> None:
    assert repr(Request(dict(REQUEST), "INVITE", 7, "d1", "alice@h", "bob@h")) == "<INVITE 'd1' 7>"
    assert repr(Request({}, "BYE", 1, "d1", "a", "b", local=True)) == "<BYE 'd1' 1 local>"
    assert repr(Response({}, 200, 3, "d")) == "<200 'd' 3>"
    assert "\n" not in repr(Request({}, "BYE", 1, "d\nforged", "a", "b"))
    assert repr(Response({}, 408, 3, "d", local=True)) == "<408 'd' 3 local>"


def test_encode_raises_before_anything_has_changed() -> None:
    request = Request({"Body": object()}, "INFO", 1, "d1", "a", "b")
    with pytest.raises(TypeError):
        encode(request)
    assert request.data is None
    request.headers["Body"] = 1
    encode(request)
    assert request.data == b'{"Body":1}'


def test_a_journal_counts_and_tells() -> None:
    lines: list[tuple[str, str, object]] = []
    journal = Journal(lambda *line: lines.append(line))
    journal.note("reason", "alice@h", 7)
    journal.note("reason", "bob@h", "text")
    assert journal.counts == {"reason": 2}
    assert lines == [("reason", "alice@h", 7), ("reason", "bob@h", "text")]


def test_a_journal_that_nobody_reads() -> None:
    journal = Journal()
    journal.note("reason", "alice@h", "text")
    journal.failed()
    assert journal.counts == {"reason": 1}
