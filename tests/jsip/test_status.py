"""Reason phrases: docs/jsip.md section 2."""

from __future__ import annotations

import pytest

from gortc.jsip.status import PHRASES, phrase
from gortc.jsip.transaction import classify


@pytest.mark.proves("M-4")
@pytest.mark.parametrize(
    ("code", "text"),
    [
        (100, "Trying"), (180, "Ringing"), (183, "Session Progress"), (200, "OK"), (302, "Moved Temporarily"),
        (405, "Method Not Allowed"), (408, "Request Timeout"), (412, "Conditional Request Failed"),
        (403, "Forbidden"), (404, "Not Found"), (422, "Session Interval Too Small"), (423, "Interval Too Brief"),
        (480, "Temporarily Unavailable"), (481, "Call/Transaction Does Not Exist"), (483, "Too Many Hops"),
        (486, "Busy Here"), (487, "Request Terminated"), (488, "Not Acceptable Here"), (491, "Request Pending"),
        (500, "Server Internal Error"), (503, "Service Unavailable"), (603, "Decline"),
    ],
)  # fmt: skip
def test_a_known_code_has_its_sip_reason_phrase(code: int, text: str) -> None:
    assert phrase(code) == text


@pytest.mark.proves("M-4")
@pytest.mark.parametrize("code", [199, 299, 399, 499, 599, 699])
def test_an_unknown_code_has_a_phrase_for_its_class(code: int) -> None:
    assert phrase(code)


@pytest.mark.proves("M-4")
def test_classes_have_phrases_of_their_own() -> None:
    assert len({phrase(code) for code in (198, 299, 399, 499, 599, 699)}) == 6


@pytest.mark.proves("M-4")
def test_every_code_has_a_phrase_of_one_line() -> None:
    assert all(phrase(code).strip() == phrase(code) != "" and "\n" not in phrase(code) for code in range(100, 700))
    assert all(100 <= code < 700 for code in PHRASES)


@pytest.mark.parametrize(
    ("event", "codes"), [("100", {100}), ("1xx", {101, 199}), ("2xx", {200, 299}), ("3xx-6xx", {300, 699})]
)
def test_the_event_that_a_code_is(event: str, codes: set[int]) -> None:
    assert {classify(code) for code in codes} == {event}
