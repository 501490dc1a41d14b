"""The client of the management API."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPErrorProcessor, HTTPSHandler, ProxyHandler, Request, build_opener

EMPTY = "a name must not be empty"
TIMEOUT = 30.0
"""Seconds that a server may take."""


class Failed(Exception):
    """The server says no (exit status 1), the command line can't be followed (2), or no gortc server answers (3)."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Client:
    """Asks the API at `url`, with the first token of `token_file`. Raises Failed where the file `ca` can't be read."""

    def __init__(self, url: str, token_file: str, ca: str | None = None) -> None:
        """`ca` has the certificates to be trusted, by default the machine's."""
        self._url = url.rstrip("/")
        self._token_file = token_file
        try:
            trusted = ssl.create_default_context(cafile=ca)
        except OSError as error:
            raise Failed(2, f"{ca}: {error}") from None
        # Through no proxy, and to nobody that an answer names: a token is for the server itself.
        self._opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trusted), _AnyStatus())

    def ask(self, method: str, path: str, /, **query: Any) -> dict[str, Any]:
        """The answer, JSON. Raises Failed."""
        data, kind = self._asked(method, path, query)
        try:
            answer = json.loads(data) if kind == "application/json" else None
        except (ValueError, RecursionError):
            raise self._odd("the answer is no JSON") from None
        if not isinstance(answer, dict) or answer.get("code") != 0:
            raise self._odd("the answer is none of a gortc server's")
        return answer

    def text(self, path: str, /, **query: Any) -> str:
        """The answer, a text. Raises Failed."""
        data, kind = self._asked("GET", path, query)
        if kind not in ("text/plain", "image/svg+xml"):
            raise self._odd("the answer is none of a gortc server's")
        return data.decode("utf-8", "replace")

    def _asked(self, method: str, path: str, query: Mapping[str, Any]) -> tuple[bytes, str]:
        """The body of the answer, and its media type."""
        fields = {name: value for name, value in query.items() if value is not None}
        headers = {"Authorization": f"Bearer {self._token()}"}
        url = self._url + path + (f"?{_encoded(urlencode, fields)}" if fields else "")
        try:
            with self._opener.open(Request(url, method=method, headers=headers), timeout=TIMEOUT) as answer:
                status, data, head, phrase = answer.status, answer.read(), answer.headers, answer.reason
        except (URLError, HTTPException, OSError, ValueError) as error:
            raise self._odd(getattr(error, "reason", error)) from None
        if 300 <= status < 400:
            raise self._odd(
                f"it leads elsewhere, to {head['Location']}, and the token goes to nobody else; is --url right?"
            )
        if not 200 <= status < 300:
            why = told(data) if data else f"{status} {phrase}"
            raise self._odd(f"{status}: {data[:200].decode('utf-8', 'replace')}") if why is None else Failed(1, why)
        return data, head.get_content_type()

    def _odd(self, why: object) -> Failed:
        return Failed(3, f"{self._url}: {why}")

    def _token(self) -> str:
        try:
            with open(self._token_file, encoding="utf-8") as file:
                lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
            return lines[0][1]
        except (OSError, IndexError, UnicodeDecodeError) as error:
            raise Failed(3, f"no token in {self._token_file}: {error}") from None


class _AnyStatus(HTTPErrorProcessor):
    """Hands on an answer of any status, so that none is followed to where it leads."""

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        """It is an answer."""
        return response

    https_response = http_response


def told(body: bytes) -> str | None:
    """Why a gortc server says no; None where this is none of its."""
    try:
        return str(json.loads(body)["msg"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def named(text: str) -> str:
    """A name as one part of a path, whatever is in it (RFC 3986 section 2.1). Raises Failed where there is nothing."""
    if not text:
        raise Failed(2, EMPTY)
    # A part that is all dots would be taken away by who normalizes paths (section 5.2.4).
    part = _encoded(quote, text, safe="")
    return part.replace(".", "%2E") if part in (".", "..") else part


def _encoded(encode: Callable[..., str], value: Any, **how: Any) -> str:
    """What is not UTF-8 on the command line goes as the octets that it is. Raises Failed where nothing can."""
    try:
        return encode(value, errors="surrogateescape", **how)
    except UnicodeEncodeError:
        raise Failed(2, f"{value!a} is no text") from None
