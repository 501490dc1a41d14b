"""What a service logic plugin provides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from gortc.jsip.message import Request, Response
    from gortc.service.context import Context
    from gortc.service.task import Task


class IServiceLogic(Interface):
    """One service. An object that provides this and `twisted.plugin.IPlugin`, in a module of `twisted.plugins` or
    `slp_plugins`, is found and loaded when the server starts."""

    name: str = Attribute("The name it is loaded under, unless the settings rename it: `;type=NAME` selects it.")

    def load(context: Context) -> None:  # noqa: N805
        """Get ready. `context` has the configuration, the realm, a log and what the instances share.

        May raise; the plugin is then not loaded, and the others are.
        """

    def unload() -> None:
        """Let go of what `load` took."""

    def create(task: Task) -> IServiceInstance:  # noqa: N805
        """An instance for a new incoming session, or for `context.start`. `task` is its hand on the world."""


class IServiceInstance(Interface):
    """One call's, or conference's, or chat's logic."""

    def receive(message: Request | Response) -> Deferred[Any] | None:  # noqa: N805
        """Take a message of any leg: its one entry.

        A request of the peer's, a response to a request of this instance, an ACK, CANCEL or BYE that the stack has
        dealt with, or one of the events `TERM` (the leg `message.session` is over, exactly once), `PEER_LOST` and
        `PEER_RESUMED` (its peer has lost its connection, and is back), `START` (made by `context.start`). It is
        never entered while it runs. What it raises, or the returned Deferred fails with, ends the instance: open
        requests get 500, legs are hung up.

        The instance ends when it says so (`task.finish()`), or when it has returned, has no leg left, and every
        Deferred that it returned has fired. It may be an `async def` as well.
        """
