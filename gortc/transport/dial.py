"""Dialling hosts that no route names: only where everybody may go, never into a network of ours.

A name is checked after it has been resolved, so that neither a name that points inwards nor an address in disguise
(2130706433, ::ffff:127.0.0.1) gets anywhere.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Any

from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from zope.interface import implementer

from gortc.transport.lookup import LookupResolver, Lookups
from gortc.transport.public import is_public

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def is_host(text: str) -> bool:
    """Whether `text`, in lower case, is a host name (RFC 1123 section 2.1) or an IP address, IPv6 in brackets."""
    try:
        return bool(IPv6Address(text[1:-1])) if text.startswith("[") else _NAME.fullmatch(text) is not None
    except ValueError:
        return False


@implementer(IReactorPluggableNameResolver)
class PublicReactor:
    """`reactor`, with a resolver that knows public addresses only, and has the look-ups of `payer`."""

    def __init__(self, reactor: Any, lookups: Lookups, payer: str) -> None:
        self._reactor = reactor
        self.nameResolver = LookupResolver(lookups, payer, is_public)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:  # noqa: N802
        """As the interface has it; nobody does."""
        raise NotImplementedError
