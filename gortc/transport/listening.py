"""Endpoints that listen: Twisted's, and our own by TLS. docs/operations.md, "TLS".

`tls:8443:privateKey=key.pem:certKey=fullchain.pem`; `ssl:` is the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from attrs import field, fields_dict, frozen
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import _parse as parse_endpoint
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from gortc.fresh import Fresh
from gortc.transport.doorway import Doorway
from gortc.transport.tls import NEEDS, check, read_certificates, told

if TYPE_CHECKING:
    from OpenSSL.SSL import Connection, Context

    from gortc.admission.door import Door

MODE: Final = "600"
"""Who may connect to a UNIX socket whose string does not say: our own user, and root. A proxy of another user's needs
`mode=660`, and a folder of its group's."""
MODE_AT: Final = 2
"""Where the string has it, if it does not name it."""
KINDS: Final = ("tls", "ssl")
"""The kinds of endpoint strings that are TLS."""
BACKLOG: Final = 1024
"""So many connections may wait to be accepted, where the string does not say: whole crowds come back at once."""
BACKLOG_AT: Final = 3
"""Where the string has it, if it does not name it."""
CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: RFC 9325 section 4.2 recommends forward secrecy with authenticated encryption. All of TLS 1.3 are."""


@frozen
class Listening:
    """The keys of a `tls:` endpoint: those of Twisted's `ssl:`, and two more."""

    port: int = field(converter=int)
    privateKey: str = "server.pem"  # noqa: N815
    """A PEM file with the private key."""
    certKey: str = ""  # noqa: N815
    """A PEM file with the certificate, and those between it and its root; by default the same file."""
    extraCertChain: str = ""  # noqa: N815
    """A PEM file with more of those between."""
    sni: str = ""
    """A folder of certificates for other names (RFC 6066 section 3): `NAME.pem`, its key in the same file or in
    `NAME.key`, or a folder with `fullchain.pem` and `privkey.pem`, as ACME clients leave it."""
    clientCA: str = ""  # noqa: N815
    """A PEM file of the roots of clients' certificates. A client may show one; it must then be good."""
    interface: str = ""
    backlog: int = field(default=BACKLOG, converter=int)


def listening(reactor: Any, text: str, door: Door | None = None) -> IStreamServerEndpoint:
    """The server endpoint of a string; TLS is ours, other kinds are Twisted's. Who connects by TCP comes in by the
    `door`, where there is one.

    Raises ValueError where it can't be followed or a certificate can't be used, OSError where a file can't be read.
    """
    args, options = parse_endpoint(text)
    if door is not None:
        reactor = Doorway(reactor, door)
    if args[0].lower() not in KINDS:
        if len(args) <= BACKLOG_AT and "backlog" not in options:
            text += f":backlog={BACKLOG}"
        if args[0].lower() != "unix":
            return cast(IStreamServerEndpoint, serverFromString(reactor, text))
        if len(args) <= MODE_AT and "mode" not in options:
            text += f":mode={MODE}"
        return Private(serverFromString(reactor, text))
    names = ("port", "interface", "backlog")
    options = {**dict(zip(names, args[1:])), **options}  # noqa: B905
    unknown = options.keys() - fields_dict(Listening).keys()
    if unknown or len(args) > 1 + len(names):
        raise ValueError(f"no such key: {', '.join(sorted(unknown)) or args[-1]}")
    wanted = Listening(**options)
    try:
        creator = Shown(wanted)
    except ImportError:
        raise ValueError(NEEDS) from None
    return Secured(reactor, wanted, creator)


@implementer(IStreamServerEndpoint)
class Secured:
    """A port of TLS."""

    def __init__(self, reactor: Any, wanted: Listening, creator: Shown) -> None:
        self._reactor = reactor
        self._wanted = wanted
        self._creator = creator

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:  # noqa: N803
        """Make it."""
        return maybeDeferred(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        from gortc.transport.secure import SecureFactory

        wanted, secure = self._wanted, SecureFactory(self._creator, False, factory)
        port: Any = self._reactor.listenTCP(wanted.port, secure, wanted.backlog, wanted.interface)
        port._type = "TLS"  # as Twisted calls its own
        return port  # type: ignore[no-any-return]


@implementer(IStreamServerEndpoint)
class Private:
    """A UNIX socket: nobody gets in before it has its mode, whatever the process's umask is."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:  # noqa: N803
        """Make it."""
        before = os.umask(0o177)
        try:
            listened: Deferred[IListeningPort] = self._endpoint.listen(protocolFactory)
        finally:
            os.umask(before)
        return listened


@implementer(IOpenSSLServerConnectionCreator)
class Shown:
    """The certificates that a server shows. Raises ValueError and OSError, as `listening` does."""

    def __init__(self, wanted: Listening) -> None:
        self._wanted = wanted
        self._contexts: Fresh[Context] = Fresh(self._paths, self._read)

    def serverConnectionForTLS(self, tlsProtocol: object) -> Connection:  # noqa: N802, N803
        """The TLS of one connection, with the certificates of this moment."""
        from OpenSSL.SSL import Connection

        return Connection(self._contexts.value(), None)

    def _paths(self) -> list[str]:
        wanted = self._wanted
        alone = (wanted.privateKey, wanted.certKey, wanted.extraCertChain, wanted.clientCA)
        pairs = _pairs(wanted.sni) if wanted.sni else []
        return [path for path in alone if path] + [str(path) for pair in pairs for path in pair]

    def _read(self) -> Context:
        wanted = self._wanted
        chain = wanted.extraCertChain
        make = partial(_context, client_ca=wanted.clientCA)
        context = make(wanted.certKey or wanted.privateKey, wanted.privateKey)
        for root in read_certificates(chain) if chain else ():
            context.add_extra_chain_cert(root.original)
        if wanted.sni:
            context.set_tlsext_servername_callback(partial(_choose, _named(wanted.sni, make)))
        return context


def _pairs(folder: str) -> list[tuple[Path, Path]]:
    """The files in a folder: certificates, and their keys."""
    pairs = []
    for path in sorted(Path(folder).iterdir()):
        if path.is_dir() and (path / "fullchain.pem").exists():
            pairs.append((path / "fullchain.pem", path / "privkey.pem"))
        elif path.suffix == ".pem":
            key = path.with_suffix(".key")
            pairs.append((path, key if key.exists() else path))
    return pairs


def _named(folder: str, make: Callable[[str, str], Context]) -> dict[str, Context]:
    """Host name -> what is shown there. Names are the certificates' own, `*.` included."""
    from cryptography.x509 import DNSName, ExtensionNotFound, SubjectAlternativeName

    contexts = {}
    for path, key in _pairs(folder):
        context = make(str(path), str(key))
        certificate = read_certificates(str(path))[0].original.to_cryptography()
        try:
            names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
        except ExtensionNotFound:
            raise ValueError(f"{path} is for no name") from None
        contexts.update({name.lower(): context for name in names.get_values_for_type(DNSName)})
    if not contexts:
        raise ValueError(f"{folder} has no certificates")
    return contexts


def _choose(named: Mapping[str, Context], connection: Connection) -> None:
    """Show the certificate of the name that the client asks for; where there is none, the endpoint's own stays."""
    name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
    # RFC 9525 section 6.3: a wildcard is one label.
    context = named.get(name) or named.get(f"*.{name.partition('.')[2]}")
    if context is not None:
        connection.set_context(context)


def _context(path: str, key: str, client_ca: str) -> Context:
    """What one certificate is shown with. Raises ValueError and OSError."""
    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)  # RFC 8996: nothing older
    context.set_cipher_list(CIPHERS)
    # No session is kept: who resumes one would show no certificate, and get past one that has been withdrawn.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # most connections are silent most of the time
    context.set_passwd_cb(lambda *_: b"")  # else it would ask, on the terminal
    for file in (path, key):
        with open(file, "rb"):
            pass  # OpenSSL's own words for it are not for people
    try:
        context.use_certificate_chain_file(path)
        context.use_privatekey_file(key)
        context.check_privatekey()
    except SSL.Error as error:
        raise ValueError(f"{path}, {key}: no certificate with its key: {told(error)}") from None
    if client_ca:
        store = context.get_cert_store()
        assert store is not None
        roots = [root.original for root in read_certificates(client_ca)]
        for root in roots:
            store.add_cert(root)
        context.set_client_ca_list([root.get_subject() for root in roots])
        context.set_verify(SSL.VERIFY_PEER, check)
    return context
