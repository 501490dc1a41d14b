"""Authenticators made of one function, and how they are found."""

from __future__ import annotations

from collections.abc import Callable

from twisted.plugin import IPlugin
from zope.interface import implementer

from gortc.admission.interfaces import Ask, AuthContext, IAuthenticator

Load = Callable[[AuthContext], Ask]


@implementer(IPlugin, IAuthenticator)
class Authenticator:
    """A plugin made of one function; `authenticator` makes it."""

    def __init__(self, name: str, load: Load) -> None:
        self.name = name
        self.__doc__ = load.__doc__
        self.__module__ = load.__module__
        self._load = load

    def load(self, context: AuthContext) -> Ask:
        """As the interface has it."""
        return self._load(context)


def authenticator(name: str) -> Callable[[Load], Authenticator]:
    """Make a function, which takes an `AuthContext` and returns an `Ask`, an authenticator plugin named `name`."""
    return lambda load: Authenticator(name, load)
