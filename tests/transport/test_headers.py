"""The headers of an opening handshake."""

from __future__ import annotations

import pytest

from gortc.transport.headers import read_headers


@pytest.mark.parametrize(
    ("lines", "headers"),
    [
        (b"Host: x:8080\r\nUpgrade:websocket", {"host": "x:8080", "upgrade": "websocket"}),
        (b"A: 1\r\na:  2 \r\nB:\r\nA:\t3", {"a": "1, 2, 3", "b": ""}),
        (b"X-Name: \xc5sa, \xc3\x85sa", {"x-name": "\xc5sa, \xc3\x85sa"}),
        (b"", {}),
        # RFC 9112 section 5.1 and 5.2: no space before the colon, none before the name.
        (b"A : 1\r\n B: 2\r\nC\t: 3\r\n: 4\r\nno header\r\n\tD: 5", {}),
    ],
)
def test_headers(lines: bytes, headers: dict[str, str]) -> None:
    assert read_headers(b"GET / HTTP/1.1\r\n" + lines + b"\r\n\r\n") == headers


@pytest.mark.parametrize("octet", [b"\x85", b"\n", b"\r", b"\v", b"\f", b"\x1c", b"\x1d", b"\x1e", b"\x00"])
def test_nothing_but_crlf_ends_a_line(octet: bytes) -> None:
    """A proxy has handed this on as one header."""
    head = b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.60\r\nX-A: a" + octet + b"X-Forwarded-For: 6.6.6.6\r\n\r\n"
    assert read_headers(head)["x-forwarded-for"] == "192.0.2.60"
    assert set(read_headers(head)) == {"x-forwarded-for", "x-a"}
