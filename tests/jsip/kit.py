"""A node, scripted users and a service that does what the test says and tells what it sees, all in one list.

    stage.play("alice INVITE", "service 180", "alice CANCEL", "alice ACK")
    stage.said(
        "alice > INVITE", "service INVITE", "alice < 180 INVITE", "alice > CANCEL", "alice < 200 CANCEL",
        "alice < 487 INVITE", "service CANCEL", "alice > ACK", "service TERM",
    )

`alice > X`: alice has sent X. `alice < X`: X has arrived at alice. `service X`: the service has seen X. What the stack
made up is marked `(local)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from gortc.client.ladder import SERVER, Ladder
from gortc.jsip.message import Headers, Request, Response
from gortc.jsip.methods import ACK, CANCEL, METHODS, PEER_LOST, PEER_RESUMED, TERM
from gortc.jsip.session import Session
from gortc.service.context import Context
from gortc.service.interfaces import IServiceInstance, IServiceLogic
from gortc.service.task import START, Task
from gortc.testing import Lab, Talk, User

Reaction = Callable[[Task, Any], Any]


class Story(Ladder):
    """What was said, and what services saw, in one list."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._methods: dict[tuple[bool, str, str, int], str] = {}

    def add(self, time: float, source: str, target: str, message: Headers) -> None:
        """One message on the wire."""
        super().add(time, source, target, message)
        up = target == SERVER
        name = (source if up else target).partition("@")[0]
        kind = str(message["Type"])
        asked = up if kind != "RESPONSE" else not up
        key = (asked, name, message["DialogueID"], message["CSeq"])
        if kind == "RESPONSE":
            kind = f"{message['Code']} {self._methods.get(key, '?')}"
        else:
            self._methods[key] = kind
        self.lines.append(f"{name} {'>' if up else '<'} {kind}")


@implementer(IServiceInstance)
class Recorder:
    """An instance that tells what it sees, and reacts as the test has asked."""

    def __init__(self, probe: Probe, task: Task) -> None:
        self.probe = probe
        self.task = task

    def receive(self, message: Request | Response) -> Any:
        """Tell, keep, react."""
        kind = message.method if isinstance(message, Request) else f"{message.code} {message.request.method}"
        if message.local and kind not in (TERM, START, PEER_LOST, PEER_RESUMED):
            kind += " (local)"
        probe = self.probe
        if kind != START:
            probe.lines.append(f"{probe.name} {kind}")
        probe.messages.append(message)
        reaction = probe.reactions.get(kind)
        result = None if reaction is None else reaction(self.task, message)
        return result if isinstance(result, Deferred) else None


@implementer(IServiceLogic)
class Probe:
    """The service: `reactions`, what it sees -> what it does then; `messages` and `tasks`, in order."""

    def __init__(self, name: str, lines: list[str]) -> None:
        self.name = name
        self.lines = lines
        self.reactions: dict[str, Reaction] = {}
        self.messages: list[Request | Response] = []
        self.tasks: list[Task] = []

    def load(self, context: Context) -> None:
        """Nothing to get ready."""

    def unload(self) -> None:
        """Nothing to let go."""

    def create(self, task: Task) -> Recorder:
        """One more instance."""
        self.tasks.append(task)
        return Recorder(self, task)


class Stage(Lab):
    """A Lab with recording services; the first one is meant where a step says `service`."""

    def __init__(self, *names: str, **settings: Any) -> None:
        story = Story()
        self.probes = {name: Probe(name, story.lines) for name in names or ("service",)}
        super().__init__(*self.probes.values(), **settings)
        self.ladder = story
        self.lines = story.lines
        self.probe = next(iter(self.probes.values()))
        self.talks: dict[str, Talk] = {}
        self.people: dict[str, User] = {}
        self.sent: list[Request] = []
        self.failures: list[Failure] = []

        self._observer = cast(ILogObserver, self._observe)

    def __enter__(self) -> Stage:
        globalLogPublisher.addObserver(self._observer)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        globalLogPublisher.removeObserver(self._observer)
        if kind is None:
            self.said()
            assert not self.node.journal.counts, self.node.journal.counts
            assert not self.failures, self.failures
            self.check_empty()

    def _observe(self, event: LogEvent) -> None:
        if "log_failure" in event:
            self.failures.append(event["log_failure"])

    def anew(self) -> None:
        """The next step opens a call of its own."""
        self.check_empty()
        self.talks.clear()
        self.sent.clear()
        self.probe.tasks.clear()
        self.probe.messages.clear()
        self.forget()

    # what has happened

    def said(self, *lines: str) -> None:
        """Exactly this has been said, and seen by the service, since the last time that we asked."""
        heard = list(self.lines)
        self.lines.clear()
        assert heard == list(lines)

    def forget(self) -> None:
        """What was said so far is another test's concern."""
        self.lines.clear()

    def counted(self, *reasons: str) -> None:
        """These drops were counted since the last time, and no other."""
        counts = self.node.journal.counts
        heard = sorted(counts.elements())
        counts.clear()
        assert heard == sorted(reasons)

    def logged(self, *errors: type[BaseException]) -> None:
        """One traceback was logged for each of these, and no other."""
        heard = [failure.type for failure in self.failures]
        self.failures.clear()
        assert heard == list(errors)

    # the script

    def play(self, *steps: str) -> None:
        """Take steps: `alice INVITE offer Expire=30`, `bob 180`, `bob 200 INVITE`, `service BYE`, `wait 32`.

        A number answers the last request received, or the last one of the method that follows it.
        """
        for step in steps:
            who, kind, *words = step.split()
            headers = {name: number(value) for name, _, value in (word.partition("=") for word in words if "=" in word)}
            plain = [word for word in words if "=" not in word]
            of = plain.pop(0) if plain and plain[0] in METHODS else None
            body = plain[0] if plain else None
            if who == "wait":
                self.advance(float(kind))
            elif who == "service":
                self._serve(kind, of, body, headers)
            else:
                self._use(who, kind, of, body, headers)

    def person(self, name: str) -> User:
        """The user `name`, connected when first named."""
        if name not in self.people:
            self.people[name] = self.user(name)
        return self.people[name]

    def _use(self, who: str, kind: str, of: str | None, body: str | None, headers: Headers) -> None:
        user = self.person(who)
        talk = self.talks.get(who)
        if talk is None:
            first = next((message for message in user.inbox if message["Type"] in METHODS), None)
            if first is None:
                self.talks[who] = user.open(kind, "service", body, **headers)
                return
            talk = self.talks[who] = Talk(user, first, ours=False)
        if kind.isdigit():
            talk.reply(int(kind), body, to=self.arrived(who, of), **headers)
        elif kind in (ACK, CANCEL):
            talk.send(kind, body, **{"RelatedID": talk.invite_cseq, **headers})
        else:
            talk.send(kind, body, **headers)

    def _serve(self, kind: str, of: str | None, body: str | None, headers: Headers) -> None:
        if kind.isdigit():
            self.task.answer(self.received(of), int(kind), body, headers)
        elif kind == ACK:
            self.task.ack(self.invited(), body, headers)
        elif kind == CANCEL:
            self.task.cancel(self.invited())
        elif not self.probe.tasks:
            self.dial("bob", kind, body, headers)
        else:
            self.sent.append(self.task.request(self.session, kind, body, headers))
        self.advance()

    def dial(self, callee: str, method: str = "INVITE", body: Any = None, headers: Headers | None = None) -> Request:
        """Let a new instance call a user, who is connected where `callee` is a plain name."""
        uri = callee if "@" in callee else self.person(callee).name
        self.probe.reactions[START] = lambda task, _: self.sent.append(task.open(uri, method, body, headers))
        self.start(self.probe.name)
        return self.sent[-1]

    def arrived(self, who: str, method: str | None = None) -> Headers:
        """The last request that has arrived at a user, ACK and CANCEL apart."""
        inbox = reversed(self.person(who).inbox)
        return next(m for m in inbox if m["Type"] == method or (not method and m["Type"] in METHODS - {ACK, CANCEL}))

    def received(self, method: str | None = None) -> Request:
        """The last request that the service has seen, events, ACK and CANCEL apart."""
        for message in reversed(self.probe.messages):
            if not isinstance(message, Request) or message.local:
                continue
            if message.method == method or (method is None and message.method not in (ACK, CANCEL)):
                return message
        raise AssertionError(f"the service has seen no {method or 'request'}")

    def invited(self) -> Request:
        """The last INVITE that the service has sent."""
        return next(request for request in reversed(self.sent) if request.method == "INVITE")

    @property
    def task(self) -> Task:
        """The last instance's hand on the world."""
        return self.probe.tasks[-1]

    @property
    def session(self) -> Session:
        """The last session that the service has opened or heard of."""
        if self.sent:
            return self.sent[-1].session
        return self.probe.messages[-1].session


def number(text: str) -> Any:
    """An integer where the text is one."""
    return int(text) if text.lstrip("-").isdigit() else text


def reconnect(stage: Stage, name: str) -> None:
    """The user has a new connection, and goes on with its dialogue over that."""
    user = stage.people[name] = stage.user(name)
    talk = stage.talks[name] = type(stage.talks[name])(user, stage.talks[name].request, ours=True)
    talk.cseq = talk.invite_cseq = 2
