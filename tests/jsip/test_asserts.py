"""Which headers say who somebody is, however they are spelled. docs/security.md."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from functools import lru_cache
from unicodedata import combining, normalize

import pytest

from gortc.jsip import gate
from gortc.jsip.gate import LONGEST, SHORTEST, Guest, asserts

NAME = "P-Asserted-Identity"
LETTERS = "passertedidentity"


def folds(text: str) -> set[str]:
    """As others may read it: in small letters or capitals, decomposed or composed, without accents."""
    bare = "".join(char for char in normalize("NFKD", text) if not combining(char))
    read = [text, normalize("NFKC", text), normalize("NFKC", text.upper()), normalize("NFKC", text).upper(), bare]
    return {other for one in read for other in (one.lower(), one.casefold(), one.upper().lower())}


@lru_cache
def spellings() -> dict[str, list[str]]:
    """What stands for a part of it: the characters of Unicode by the letters that they are read as."""
    found: dict[str, list[str]] = {}
    for code in range(sys.maxunicode + 1):
        if 0xD800 <= code < 0xE000:
            continue
        for text in folds(chr(code)):
            if text and text in LETTERS:
                found.setdefault(text, []).append(chr(code))
    return found


@pytest.mark.proves("C-69")
def test_every_character_that_is_read_as_its_letters() -> None:
    missed = [
        char for text, chars in spellings().items() for char in chars if not asserts(LETTERS.replace(text, char, 1))
    ]
    assert missed == []
    assert {"\u0131", "\u00df", "\u33a9", "\U0001d6a4"} <= {char for chars in spellings().values() for char in chars}


@pytest.mark.proves("C-69")
@pytest.mark.parametrize("char", "\u3164\u115f\u1160\uffa0\u0345\u200b\u00ad\ufeff\u034f\u180b\u0301\u00b7\0 \t\r\n_:.")
def test_what_is_not_seen_or_no_letter_stands_anywhere(char: str) -> None:
    for at in range(len(NAME) + 1):
        assert asserts(NAME[:at] + char + NAME[at:])
        assert asserts(NAME.upper()[:at] + char * 3 + NAME.upper()[at:])


def test_no_spelling_is_shorter() -> None:
    """So that names that are can go without a look."""
    least = [0]
    for end in range(1, len(LETTERS) + 1):
        least.append(min(least[end - len(text)] + 1 for text in spellings() if LETTERS[:end].endswith(text)))
    assert least[-1] >= SHORTEST


@pytest.mark.parametrize(
    "name", ["P-Preferred-Identity", "P-Asserted-Service", "Identity", "Session-Expires", "X-\u0416" * 9]
)
def test_other_names_are_not(name: str) -> None:
    assert not asserts(name)


@pytest.mark.proves("C-69")
def test_none_of_them_passes() -> None:
    headers: dict[str, object] = {
        NAME: "king", "P-Asserted-\u0131dentity": "king", "P-Asser\u3164ted-Identity": "king", "X-Any": "1",
    }  # fmt: skip
    Guest("alice@x", asserted="alice@x").sign(headers)
    assert headers == {"X-Any": "1", NAME: "alice@x"}


def long_to_fold() -> dict[str, object]:
    """Header names of a message of 60 kB, each of which would become a thousand characters."""
    return {"\ufdfa" * 61 + f"{at:03x}": 0 for at in range(320)}


@pytest.mark.plain
def test_nothing_is_normalized_as_messages_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may make eighteen characters of one. What a character becomes was looked at before."""
    monkeypatch.delattr(gate, "normalize")
    headers = long_to_fold()
    Guest("alice@x", asserted="").sign(headers)
    assert headers == long_to_fold()
    assert asserts("P-Asserted-\u0131dentity")


@pytest.mark.plain
def test_a_copy_is_not_folded_again() -> None:
    """One message may become many, and each is looked at."""
    headers = long_to_fold()
    Guest("alice@x", asserted="").sign(headers)
    folded = gate._folds.cache_info().misses
    for _ in range(60):
        Guest("alice@x", asserted="").sign(dict(headers))
    assert gate._folds.cache_info().misses == folded


@pytest.mark.plain
def test_what_was_folded_takes_two_megabytes() -> None:
    """Peers choose what is remembered."""
    tracemalloc.start()
    try:
        for at in range(10_000):
            asserts(f"{at}".ljust(LONGEST, "\U0001d6a4"))
            asserts(f"{at}\u00e9".ljust(5000, "x"))
            asserts(f"{at}".ljust(5000, "x"))
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 3_000_000


@pytest.mark.proves("C-69")
@pytest.mark.parametrize("name", ["\u0300" * 65, "\ufdfa" * 200, "x" * 65 + "\u0131"])
def test_what_is_long_and_beyond_ascii(name: str) -> None:
    """It is not folded: nobody needs it."""
    assert asserts(name)
    assert not asserts("x" * 5000)
