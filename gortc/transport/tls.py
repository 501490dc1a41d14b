"""TLS: the certificates of both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def peer_certificate(transport: Any) -> Certificate | None:
    """The certificate that the client has shown, which TLS has checked; None where it has not, and without TLS."""
    get = getattr(transport, "getPeerCertificate", None)
    shown = get() if get is not None else None
    return None if shown is None else shown.to_cryptography()
