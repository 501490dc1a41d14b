"""TLS over a connection, Twisted's: whatever goes wrong in its handshake ends the connection, and nothing else."""

from __future__ import annotations

from OpenSSL.SSL import Error
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from gortc.transport.tls import told


class Secure(TLSMemoryBIOProtocol):
    """One connection's.

    Twisted looks for OpenSSL's words in whatever OpenSSL raises, and fails where it has none: a peer that says goodbye
    in the midst of a handshake would be an error of ours.
    """

    def _checkHandshakeStatus(self) -> None:  # noqa: N802
        try:
            super()._checkHandshakeStatus()
        except Exception as error:
            if self._handshakeDone:  # it was not TLS: whoever was told that it is done has raised it
                raise
            why = told(error) if error.args and isinstance(error, Error) else "it has ended in its handshake"
            self._tlsShutdownFinished(Failure(Error([("", "", why)])))


class SecureFactory(TLSMemoryBIOFactory):
    """Makes them."""

    protocol = Secure
    noisy = False
