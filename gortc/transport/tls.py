"""TLS: what both sides share, and whom clients trust. docs/operations.md, "TLS".

Files are looked at with each connection, and read again when they have changed: a certificate is renewed without a
restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from gortc.fresh import Fresh

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from twisted.internet.ssl import Certificate as Root

END: Final = b"-----END CERTIFICATE-----"
WHY: Final = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it vouches for itself",
    19: "its root is not trusted",
    20: "its issuer is not known",
    21: "its issuer is not known",
    79: "its issuer may not issue any",
}
"""What is wrong with a certificate, by OpenSSL's number for it (x509_vfy.h)."""
NEEDS: Final = "TLS needs pip install 'gortc[tls]'"


def peer_certificate(transport: Any) -> Certificate | None:
    """The certificate that the client has shown, which TLS has checked; None where it has not, and without TLS."""
    get = getattr(transport, "getPeerCertificate", None)
    shown = get() if get is not None else None
    return None if shown is None else shown.to_cryptography()


def check(connection: object, certificate: object, number: int, depth: int, good: int) -> bool:
    """OpenSSL has looked at a certificate: say why it is not `good`. Raises SSL.Error, which ends the handshake."""
    if not good:
        from OpenSSL.SSL import Error

        raise Error([("", "", f"certificate verify failed: {WHY.get(number, f'error {number} of OpenSSL')}")])
    return True


def is_tls(error: object) -> bool:
    """Whether a connection has ended by TLS's doing, or because its certificate was for somebody else."""
    return type(error).__module__.partition(".")[0] in ("OpenSSL", "service_identity")


def failure(error: BaseException | None) -> str:
    """Why a connection has ended, where that was TLS's doing; "" where it was not."""
    return told(error) if type(error).__module__.startswith("OpenSSL.") and isinstance(error, Exception) else ""


def told(error: Exception) -> str:
    """OpenSSL's reasons, of its list of what went wrong."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(row[-1]) for row in reasons if row[-1]) or "it can't be read"


def read_certificates(path: str) -> list[Root]:
    """The certificates of a PEM file. Raises OSError, and ValueError where there are none."""
    from OpenSSL.crypto import Error
    from twisted.internet.ssl import Certificate

    with open(path, "rb") as file:
        blocks = [block + END for block in file.read().split(END)[:-1]]
    try:
        certificates = [Certificate.loadPEM(block) for block in blocks]
    except Error:
        certificates = []
    if not certificates:
        raise ValueError(f"{path} has no certificates that can be read")
    return certificates


@implementer(IOpenSSLClientConnectionCreator)
class Trusted:
    """Whom a client trusts: `host`, by the roots in the PEM file `ca`, by default those that the system trusts.

    `certificate` is what it shows itself, a PEM file with its key in it. Raises ImportError without pyOpenSSL, OSError
    where a file can't be read, and ValueError where it does not have what it should.
    """

    def __init__(self, host: str, ca: str | None = None, certificate: str | None = None) -> None:
        import OpenSSL  # noqa: F401

        self._host, self._ca, self._certificate = host, ca, certificate
        files = [path for path in (ca, certificate) if path is not None]
        self._options: Fresh[Any] = Fresh(lambda: files, self._read)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:  # noqa: N802, N803
        """The TLS of one connection, with the certificates of this moment."""
        return self._options.value().clientConnectionForTLS(tlsProtocol)

    def _read(self) -> Any:
        from OpenSSL.crypto import Error
        from twisted.internet.ssl import PrivateCertificate, TLSVersion, optionsForClientTLS, trustRootFromCertificates

        roots = None if self._ca is None else trustRootFromCertificates(read_certificates(self._ca))
        extra: dict[str, Any] = {"raiseMinimumTo": TLSVersion.TLSv1_2}
        if self._certificate is not None:
            try:
                with open(self._certificate, "rb") as file:
                    shown = PrivateCertificate.loadPEM(file.read())
            except Error:
                raise ValueError(f"{self._certificate} has no certificate with its key") from None
            chain = [one.original for one in read_certificates(self._certificate)[1:]]
            extra.update(privateKey=shown.privateKey.original, certificate=shown.original, extraCertChain=chain)
        return optionsForClientTLS(self._host, roots, extraCertificateOptions=extra)
