"""What an API plugin provides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from twisted.logger import Logger
from zope.interface import Attribute, Interface

from gortc.oam.doors import told, uri

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from gortc.service.context import Context
    from gortc.service.registry import Registry


@frozen
class Asked:
    """One request to the management API."""

    method: str
    """GET, POST, PUT or DELETE."""
    path: str
    """What is below /NAME/vN/, in its one spelling, without a slash at the end: only what must be is escaped (RFC 3986
    section 3.3), so a `/` in a name is `%2F`. For `access.v1` the whole path, without a slash in front, spelled alike:
    what the plugin is asked is the end of what `access.v1` is asked."""
    query: Mapping[str, str]
    """The fields of the query string."""
    body: Any
    """The JSON value of the body; None where there is none."""
    role: str
    """The role of the token shown: read, operate or admin."""
    address: str
    """Where it comes from."""
    parts: tuple[str, ...] = ()
    """The path, cut at its slashes and then decoded: a name with a `/`, which is `%2F` in a path, is one part. Joined
    again by slashes they are ambiguous: what they name together is `path`."""
    operation: str = ""
    """For `access.v1`: what would be done, however the path was spelled: the method and the path of the description,
    such as `DELETE /runtime/v1/channels/{name}`; of an API plugin `DELETE /NAME/vN/...`."""

    def relid(self, relid: str) -> str:
        """A relid as who asks may see it: who may `operate` sees it, who may `read` what tells it from others, but
        opens no door."""
        return told(relid, self.role)

    def uri(self, text: str) -> str:
        """A URI, or a name that a peer has, as who asks may see it: who may `read` does not see what its parameters
        say, but for the type; and of the relid what stands for it."""
        return uri(text, self.role)


class APIContext:
    """What an API plugin has: its configuration, its log, and the services."""

    def __init__(self, name: str, config: Mapping[str, Any], realm: str, services: Registry) -> None:
        self.name = name
        self.config = config
        self.realm = realm
        self.log = Logger(namespace=f"api.{name}")
        self._services = services

    def service(self, name: str) -> list[Context]:
        """The contexts of a service: the loaded one first, then those that were replaced and still have instances."""
        return [context for context in self._services if context.name == name]


class IAPI(Interface):
    """One API: an object that provides this and `twisted.plugin.IPlugin`, in a module of `twisted.plugins` or
    `slp_plugins`. It serves what is below /NAME/vN/.

    Each of the four methods returns a pair, or a Deferred of one, or is an `async def`: a code and a body. The code 0
    means that it went well; the body, a mapping of JSON values or None, is sent beside it. With the code -1 the body is
    a text, sent as it is. Other codes, positive, are the API's own: the body's `msg` says what they mean. It may raise
    `Problem`. GET needs the role read, the others operate.
    """

    name: str = Attribute("NAME.vN, such as rooms.v1.")

    def load(context: APIContext) -> None:  # noqa: N805
        """Get ready. What it raises keeps the plugin from being loaded."""

    def unload() -> None:
        """Let go of what `load` took."""

    def get(asked: Asked) -> Deferred[tuple[int, Any]] | tuple[int, Any]:  # noqa: N805
        """Answer a GET."""

    def post(asked: Asked) -> Deferred[tuple[int, Any]] | tuple[int, Any]:  # noqa: N805
        """Answer a POST."""

    def put(asked: Asked) -> Deferred[tuple[int, Any]] | tuple[int, Any]:  # noqa: N805
        """Answer a PUT."""

    def delete(asked: Asked) -> Deferred[tuple[int, Any]] | tuple[int, Any]:  # noqa: N805
        """Answer a DELETE."""


class IAccess(IAPI):
    """`access.v1`: where it is loaded, it is asked about every request first, but for those that are open to everybody:
    health checks and, on loopback, `/metrics`."""

    def allow(asked: Asked) -> Deferred[bool] | bool:  # noqa: N805
        """Whether this request, whose token is known, may go on. It can't allow what the role does not.

        A Deferred or an `async def` will do as well; what it raises, and no answer in time, is a no.
        """


@frozen
class Loaded:
    """A loaded API plugin."""

    plugin: Any
    context: APIContext
    version: str
    loaded_at: float
    """Seconds since 1970."""
    tally: dict[str, int] = field(factory=lambda: {"total": 0, "failures": 0})
