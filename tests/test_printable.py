"""Text that peers have chosen is one printable line."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from gortc.printable import line, printable, printable_lines

FORGED = (
    "x\n2026-01-05T09:30:00.000Z info  [gortc.api] root at 127.0.0.1: POST /: 200\x1b[2J\u202e\u200b\x85\ud800\ufe0f"
)


def test_every_character() -> None:
    """What is shown is a line, whatever was in it, and JSON reads it as the same text."""
    for number in (*range(0x20000), *range(0xE0000, 0xE1000), sys.maxunicode):
        letter = chr(number)
        shown = printable(letter)
        assert shown.isprintable()
        if shown != letter:
            assert shown.isascii()
            assert json.loads(f'"{shown}"') == letter
        else:
            assert unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def test_json_stays_the_same_json() -> None:
    record = {"Body": FORGED.replace("\ud800", "")}
    shown = printable(json.dumps(record, ensure_ascii=False))
    assert shown.isprintable()
    assert json.loads(shown) == record


@pytest.mark.parametrize("letter", ["a", "\n", "\U000e0001", "\u65e5"])
def test_it_is_cut(letter: str) -> None:
    assert line(letter, 20) == printable(letter)
    for number in (19, 20, 21, 10**6):
        shown = line(letter * number, 20)
        assert len(shown) <= 20
        assert shown.isprintable()
        assert shown.endswith("...") == (len(printable(letter * min(number, 99))) > 20)


def test_lines_of_our_own_stay_lines() -> None:
    assert printable_lines("a\nb\x1bc\n") == "a\nb\\u001bc\n"
