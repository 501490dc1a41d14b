"""Reason phrases: docs/jsip.md section 2."""

from __future__ import annotations

import re

import pytest

from gortc.jsip.status import PHRASES, phrase
from gortc.jsip.transaction import classify

RFC_3261 = """
100 Trying, 180 Ringing, 181 Call Is Being Forwarded, 182 Queued, 183 Session Progress,
200 OK,
300 Multiple Choices, 301 Moved Permanently, 302 Moved Temporarily, 305 Use Proxy, 380 Alternative Service,
400 Bad Request, 401 Unauthorized, 402 Payment Required, 403 Forbidden, 404 Not Found, 405 Method Not Allowed,
406 Not Acceptable, 407 Proxy Authentication Required, 408 Request Timeout, 410 Gone, 413 Request Entity Too Large,
414 Request-URI Too Long, 415 Unsupported Media Type, 416 Unsupported URI Scheme, 420 Bad Extension,
421 Extension Required, 423 Interval Too Brief, 480 Temporarily Unavailable, 481 Call/Transaction Does Not Exist,
482 Loop Detected, 483 Too Many Hops, 484 Address Incomplete, 485 Ambiguous, 486 Busy Here, 487 Request Terminated,
488 Not Acceptable Here, 491 Request Pending, 493 Undecipherable,
500 Server Internal Error, 501 Not Implemented, 502 Bad Gateway, 503 Service Unavailable, 504 Server Time-out,
505 Version Not Supported, 513 Message Too Large,
600 Busy Everywhere, 603 Decline, 604 Does Not Exist Anywhere, 606 Not Acceptable
"""
"""Section 21, its phrases."""

LATER = """
199 Early Dialog Terminated, 202 Accepted, 204 No Notification, 412 Conditional Request Failed,
422 Session Interval Too Small, 433 Anonymity Disallowed, 469 Bad Info Package, 489 Bad Event, 580 Precondition Failure
"""
"""RFCs 6228, 6665, 5839, 3903, 4028, 5079, 6086, 6665, 3312."""

KNOWN = {int(item[:3]): item[4:] for text in (RFC_3261, LATER) for item in re.split(r",\s+", text.strip())}


@pytest.mark.proves("M-4")
def test_a_known_code_has_its_sip_reason_phrase() -> None:
    assert {code: phrase(code) for code in KNOWN} == KNOWN
    assert PHRASES.keys() == KNOWN.keys()


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
