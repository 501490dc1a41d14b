"""Certificates for tests, each in a PEM file with its key beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@frozen
class Issued:
    """A certificate, and the key that goes with it."""

    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey
    path: Path
    """The certificate's file."""

    @property
    def key(self) -> Path:
        """The key's file."""
        return self.path.with_suffix(".key")


def issue(
    folder: Path,
    name: str,
    *others: str,
    by: Issued | None = None,
    days: tuple[float, float] = (-1, 1),
    names: Sequence[x509.GeneralName] | None = None,
    ca: bool = False,
    file: str = "",
) -> Issued:
    """A certificate for the hosts `name` and `others`, or for what `names` are, good from `days[0]` from now to
    `days[1]`; it vouches for itself where it is not `by` somebody else. In `file`.pem, by default `name`.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca or by is None, path_length=None), critical=True)
    )
    alternatives = [x509.DNSName(host) for host in (name, *others)] if names is None else names
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    certificate = builder.sign(by.private if by else key, hashes.SHA256())
    issued = Issued(certificate, key, folder / f"{file or name}.pem")
    issued.path.write_bytes(certificate.public_bytes(Encoding.PEM))
    issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return issued
