"""The client of the management API."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

EMPTY = "a name must not be empty"
TIMEOUT = 30.0
"""Seconds that a server may take."""


class Failed(Exception):
    """The server says no (exit status 1), the command line can't be followed (2), or nothing answers (3)."""

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
        # Through no proxy: a token is for the server itself.
        self._opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trusted))

    def ask(self, method: str, path: str, /, **query: Any) -> Any:
        """The answer: JSON, or a text. Raises Failed."""
        fields = {name: value for name, value in query.items() if value is not None}
        headers = {"Authorization": f"Bearer {self._token()}"}
        url = self._url + path + (f"?{_encoded(urlencode, fields)}" if fields else "")
        try:
            with self._opener.open(Request(url, method=method, headers=headers), timeout=TIMEOUT) as answer:
                data, kind = answer.read(), answer.headers.get_content_type()
        except HTTPError as refused:
            raise Failed(1, told(refused.read())) from None
        except (URLError, HTTPException, OSError, ValueError) as error:
            raise Failed(3, f"{self._url}: {getattr(error, 'reason', error)}") from None
        try:
            return json.loads(data) if kind == "application/json" else data.decode("utf-8", "replace")
        except (ValueError, RecursionError):
            raise Failed(3, f"{self._url}: the answer is no JSON") from None

    def _token(self) -> str:
        try:
            with open(self._token_file, encoding="utf-8") as file:
                lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
            return lines[0][1]
        except (OSError, IndexError, UnicodeDecodeError) as error:
            raise Failed(3, f"no token in {self._token_file}: {error}") from None


def told(body: bytes) -> str:
    """Why the server says no."""
    try:
        return str(json.loads(body)["msg"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


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
