"""What all instances of one loaded service share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import time
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
    dict for the service's own use, `unread_max` the setting of that name. `loaded_at` is in seconds since 1970,
    `version` tells its code from another state of it; `total` is how many instances there have been, `failures` how
    many of them failed.
    """

    _gone: Callable[[Context], None] | None = None

    def __init__(self, logic: IServiceLogic, name: str, config: Mapping[str, Any], realm: str, unread_max: int) -> None:
        self.logic = logic
        self.name = name
        self.config = config
        self.realm = realm
        self.unread_max = unread_max
        self.shared: dict[Any, Any] = {}
        self.log = Logger(namespace=f"slp.{name}")
        self.tasks: dict[Task, None] = {}
        self.loaded_at = time()
        self.version = ""
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
        """Make an instance without an incoming session: it gets the event `START` with `details` as its headers.

        Raises RuntimeError where the service has gone.
        """
        if self._dispatch is None:
            raise RuntimeError(f"the service {self.name} has gone")
        return self._dispatch.start(self, details)

    def entered(self, task: Task) -> None:
        """An instance begins."""
        self.tasks[task] = None
        self.total += 1

    def left(self, task: Task) -> None:
        """An instance has ended, or become another service's."""
        self.tasks.pop(task, None)
        if self._gone is not None and not self.tasks:
            self.rest()

    @property
    def is_retired(self) -> bool:
        """Whether it takes no new sessions any more."""
        return self._gone is not None

    def retire(self, gone: Callable[[Context], None]) -> None:
        """It takes no new sessions any more; `gone` is called once no instance is left."""
        self._gone = gone
        if not self.tasks:
            self.rest()

    def rest(self) -> None:
        """No instance is left; not at once: the last one may be in the midst of its end, or make another."""
        self.timers.start(0.0, let_go, self)

    def let_go(self) -> None:
        """If there still is none, it goes."""
        gone = self._gone
        if gone is not None and not self.tasks:
            self._gone = None
            self._dispatch = None
            gone(self)

    def failed(self, failure: Failure, dialogues: list[str], channel: str = "") -> None:
        """An instance has failed: its traceback, once, with its dialogues; `channel` is whose request it was."""
        self.failures += 1
        text = "service {service} failed, dialogues {dialogues}"
        self.log.failure(text, failure, service=self.name, dialogues=dialogues, channel=channel)


def let_go(context: Context) -> None:
    """It is time to see whether it can go."""
    context.let_go()
