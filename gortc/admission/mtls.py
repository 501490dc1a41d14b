"""mtls: the certificate that a peer has shown, which TLS has checked, says who it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gortc.admission.interfaces import Ask, AuthContext, Handshake, Refused
from gortc.jsip.uri import canonical

NAME_MAX: Final = 255
"""A userid is no longer."""
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# RFC 1123 section 2.1: letters, digits and hyphens; so IDNA is in A-labels, and there is neither a wildcard nor a final
# dot. The last label is no number: an address is no name (RFC 9525 section 6.5).
_HOST: Final = re.compile(rf"(?!.{{254}})(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
# RFC 5321 section 4.1.2: a Dot-string. What would have to be quoted is no user's name here.
_ATOM: Final = r"[\w!#$%&'*+/=?^`{|}~-]+"
_MAIL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_HOST.pattern}", re.ASCII)
# RFC 5922 section 7.1: a host, or a user's address of record. A password, a port or a parameter is no part of a name.
_SIP: Final = re.compile(rf"[Ss][Ii][Pp][Ss]?:(?:(?:[\w.!~*'()&=+$?/-]|%[0-9A-Fa-f]{{2}})+@)?{_HOST.pattern}", re.ASCII)

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

    Each in the shape of its kind (RFC 5280 section 4.2.1.6), as channels are named: whoever may have a host's name put
    into a certificate may not have a user's put there, and so on. Any other text is nobody's.
    """
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return set()
    shown = [text for text in found.get_values_for_type(x509.DNSName) if _HOST.fullmatch(text)]
    mails = [text for text in found.get_values_for_type(x509.RFC822Name) if _MAIL.fullmatch(text)]
    shown += [text.replace("%", "%25") for text in mails]  # where a percent sign is one, and escapes nothing
    shown += [text for text in found.get_values_for_type(x509.UniformResourceIdentifier) if _SIP.fullmatch(text)]
    return {canonical(text) for text in shown if len(text) <= NAME_MAX}
