"""Dialling hosts that no route names: only where everybody may go, never into a network of ours.

A name is checked after it has been resolved, so that neither a name that points inwards nor an address in disguise
(2130706433, ::ffff:127.0.0.1) gets anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from zope.interface import implementer

from gortc.transport.public import is_public

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def is_host(text: str) -> bool:
    """Whether `text`, in lower case, is a host name (RFC 1123 section 2.1) or an IP address, IPv6 in brackets."""
    try:
        return bool(IPv6Address(text[1:-1])) if text.startswith("[") else _NAME.fullmatch(text) is not None
    except ValueError:
        return False


@implementer(IResolutionReceiver)
class _PublicOnly:
    """Passes on what is public."""

    def __init__(self, receiver: IResolutionReceiver) -> None:
        self._receiver = receiver

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:  # noqa: N802, N803
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:  # noqa: N802
        if is_public(address.host):  # type: ignore[attr-defined]
            self._receiver.addressResolved(address)

    def resolutionComplete(self) -> None:  # noqa: N802
        self._receiver.resolutionComplete()


@implementer(IHostnameResolver)
class PublicResolver:
    """A resolver that knows public addresses only."""

    def __init__(self, resolver: IHostnameResolver) -> None:
        self._resolver = resolver

    def resolveHostName(  # noqa: N802
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        """As the interface has it."""
        return self._resolver.resolveHostName(
            _PublicOnly(resolutionReceiver), hostName, portNumber, addressTypes, transportSemantics
        )


@implementer(IReactorPluggableNameResolver)
class PublicReactor:
    """`reactor`, with a resolver that knows public addresses only."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.nameResolver = PublicResolver(reactor.nameResolver)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:  # noqa: N802
        """As the interface has it; nobody does."""
        raise NotImplementedError
