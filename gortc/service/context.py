"""What all instances of one loaded service share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from gortc.dispatch import Dispatcher
    from gortc.jsip.timers import Timers
    from gortc.service.interfaces import IServiceLogic
    from gortc.service.task import Task


class Context:
    """What all instances of one loaded service share.

    `name` is what it is loaded under, `config` what the settings say of it, `realm` the node's own domain, `shared` a
    dict for the service's own use, `unread_max` the setting of that name.
    """

    def __init__(self, logic: IServiceLogic, name: str, config: Mapping[str, Any], realm: str, unread_max: int) -> None:
        self.logic = logic
        self.name = name
        self.config = config
        self.realm = realm
        self.unread_max = unread_max
        self.shared: dict[Any, Any] = {}
        self.log = Logger(namespace=f"slp.{name}")
        self.tasks: dict[Task, None] = {}
        self.total = 0
        self.failures = 0
        self._dispatch: Dispatcher | None = None

    @property
    def timers(self) -> Timers:
        """The node's timers."""
        assert self._dispatch is not None
        return self._dispatch.below.timers

    def bind(self, dispatch: Dispatcher) -> None:
        """Tell it where its instances live; before `load`."""
        self._dispatch = dispatch

    def start(self, **details: Any) -> Task:
        """Make an instance without an incoming session: it gets the event `START` with `details` as its headers."""
        assert self._dispatch is not None
        return self._dispatch.start(self, details)

    def entered(self, task: Task) -> None:
        """An instance begins."""
        self.tasks[task] = None
        self.total += 1

    def left(self, task: Task) -> None:
        """An instance has ended, or become another service's."""
        self.tasks.pop(task, None)

    def failed(self, failure: Failure, dialogues: list[str]) -> None:
        """An instance has failed: its traceback, once, with its dialogues."""
        self.failures += 1
        text = "service {service} failed, dialogues {dialogues}"
        self.log.failure(text, failure, service=self.name, dialogues=dialogues)
