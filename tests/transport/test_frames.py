"""Splitting and making frames: RFC 6455 section 5."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gortc.transport import frames
from tests.transport.kit import frame
from tests.transport.kit import frames as read


@given(st.binary(max_size=1000), st.binary(min_size=4, max_size=4))
def test_what_is_masked_is_each_byte_with_its_byte_of_the_mask(data: bytes, mask: bytes) -> None:
    clear = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    assert frames.plain_unmask(data, mask) == frames.unmask(data, mask) == clear


@pytest.mark.plain
def test_without_a_faster_one_ours_unmasks(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_websockets(name: str, *rest: Any) -> Any:
        if name.startswith("websockets"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_websockets)
    assert frames._fastest() is frames.plain_unmask


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 100_000])
def test_a_frame_of_any_size(size: int) -> None:
    data = b"x" * size
    assert read(frames.frame(data)) == [(1, data)]


def test_it_stops_where_something_else_begins() -> None:
    whole = frame("one") + frame("two")
    for rest in (b"", frame(b"ping", 9), frame("three")[:-1], b"\x81", b"\x01" + frame("fragment")[1:]):
        assert frames.split(whole + rest, 65536) == [(b"one", 9), (b"two", 18)]
    assert frames.split(whole, 2) == []
    assert frames.split(frame("one", mask=b""), 65536) == []


def test_a_pong_and_nothing_else() -> None:
    for payload in (b"", b"x", b"x" * 125):
        assert frames.is_pong(frame(payload, 10))
        assert not frames.is_pong(frame(payload, 10) + b"\x81")
        assert not frames.is_pong(frame(payload, 10)[:-1])
        assert not frames.is_pong(frame(payload, 9))
        assert not frames.is_pong(frame(payload, 10, mask=b""))
        assert not frames.is_pong(frame(payload, 10, fin=False))
    assert not frames.is_pong(frame(b"x" * 126, 10))
    assert not frames.is_pong(b"")
