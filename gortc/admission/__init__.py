"""Admission: who may connect, as whom, and how much they may ask for. docs/security.md.

What a configuration and an authenticator of one's own need is here.
"""

from gortc.admission.interfaces import Ask, AuthContext, Handshake, IAuthenticator, Refused
from gortc.admission.limits import Limits, Rate
from gortc.admission.plugin import authenticator

__all__ = ["Ask", "AuthContext", "Handshake", "IAuthenticator", "Limits", "Rate", "Refused", "authenticator"]
