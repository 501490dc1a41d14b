"""mtls: the certificate that a peer has shown, which TLS has checked, says who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gortc.admission.interfaces import Ask, AuthContext, Handshake, Refused
from gortc.jsip.uri import canonical

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def load_mtls(context: AuthContext) -> Ask:
    """It needs no configuration: the endpoint's `clientCA` says which certificates are good. Raises ValueError."""
    if context.config:
        raise ValueError(f"no such key: {', '.join(map(str, context.config))}")
    return ask


def ask(handshake: Handshake) -> str | None:
    """None where no certificate was shown. Raises Refused where it is somebody else's."""
    if handshake.certificate is None:
        return None
    if handshake.userid not in names(handshake.certificate):
        raise Refused(403, f"your certificate is not {handshake.userid}'s")
    return handshake.userid


def names(certificate: Certificate) -> set[str]:
    """The userids that it is for: alternative names alone, never the common name (RFC 9525 section 2).

    `sip:` URIs (RFC 5922 section 7.1), host names without a wildcard, and mail addresses; as channels are named.
    """
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return set()
    texts = [text for text in found.get_values_for_type(x509.DNSName) if "*" not in text]
    # In a mail address a percent sign is one (RFC 5321 section 4.1.2), and escapes nothing.
    texts += [text.replace("%", "%25") for text in found.get_values_for_type(x509.RFC822Name)]
    uris = found.get_values_for_type(x509.UniformResourceIdentifier)
    texts += [text for text in uris if text.lower().startswith(("sip:", "sips:"))]
    return {canonical(text) for text in texts}
