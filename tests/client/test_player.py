"""The player, in memory: each kind of step going right and going wrong, and what is said where it goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from attrs import astuple
from twisted.internet.defer import ensureDeferred

from gortc.client.match import BadPattern
from gortc.client.player import Outcome, Player
from gortc.client.scenario import parse
from gortc.client.venue import Arrived
from gortc.testing import Lab
from slp_plugins.default import default
from slp_plugins.echo import echo

TOP = "parties: [alice, bob]\nsteps:\n"
MESSAGE = """
  - {send: alice MESSAGE, to: bob, Body: hello}
  - {expect: bob MESSAGE}
"""
CALL = """
  - {send: alice INVITE, to: bob, Body: an offer}
  - {expect: bob INVITE}
  - {send: bob 200, Body: an answer}
  - {expect: alice 200}
  - {send: alice ACK}
  - {expect: bob ACK}
"""
BYE = """
  - {send: alice BYE}
  - {expect: alice 200 BYE}
  - {expect: bob BYE}
  - {send: bob 200}
"""


def perform(text: str, lab: Lab | None = None, **how: Any) -> Outcome:
    """Play a scenario, whatever comes of it; steps alone are those of alice and bob."""
    (scenario,) = parse(text if "steps:" in text.splitlines() else TOP + text.lstrip("\n"), "x.yaml")
    return (lab or Lab(default, echo)).perform(scenario, **how)


def right(text: str, **how: Any) -> Outcome:
    """Play one that goes as it should, after which nothing is left."""
    lab = Lab(default, echo)
    outcome = perform(text, lab, **how)
    assert outcome.wrong is None, f"{outcome.wrong}\n{outcome.ladder.draw()}"
    lab.check_empty()
    return outcome


class Said(NamedTuple):
    """What a failure says."""

    where: str
    expected: str
    received: str
    details: tuple[str, ...] = ()


def told(outcome: Outcome) -> Said:
    """What is said of one that went wrong."""
    assert outcome.wrong is not None
    return Said(*astuple(outcome.wrong))


def wrong(text: str, lab: Lab | None = None) -> Said:
    """Play one that goes wrong."""
    return told(perform(text, lab))


# in full


def test_a_call() -> None:
    outcome = right(CALL + BYE)
    assert outcome.code == 200
    assert outcome.setup == 0


def test_what_is_said_of_a_wrong_step() -> None:
    steps = MESSAGE + "  - {send: bob 200, Body: bye}\n  - {expect: alice 200 MESSAGE, Body: hello, X: 1}\n"
    outcome = perform(steps)
    found = told(outcome)
    assert found.where == "x.yaml:6"
    assert found.expected == 'alice 200 MESSAGE {"Body":"hello","X":1}'
    assert found.received.startswith('{"Type":"RESPONSE","Code":200,')
    assert found.details == ("Body should be 'hello', but is 'bye'", "X is missing")
    assert str(outcome.wrong).splitlines() == [
        "x.yaml:6",
        f"  expected  {found.expected}",
        f"  received  {found.received}",
        "            Body should be 'hello', but is 'bye'",
        "            X is missing",
    ]


def test_it_ends_where_it_went_wrong_and_everybody_leaves() -> None:
    lab = Lab(default)
    outcome = perform(MESSAGE + "  - {expect: bob BYE}\n  - {send: bob 200}\n", lab)
    assert told(outcome).where == "x.yaml:5"
    assert len(outcome.ladder) == 2
    assert told(perform("  - {send: alice MESSAGE, to: bob}\n  - {expect: alice 200}\n", lab)).received == "nothing"
    assert (
        perform("parties: [alice]\nsteps:\n  - {send: alice MESSAGE, to: bob}\n  - {expect: alice 480}\n", lab).wrong
        is None
    )


def test_the_time_it_took_and_the_set_up() -> None:
    outcome = right(
        """
  - {send: alice INVITE, to: bob}
  - {expect: bob INVITE}
  - {pause: 2}
  - {send: bob 180}
  - {expect: alice 180}
  - {pause: 1.5}
  - {send: bob 486}
  - {expect: bob ACK}
  - {expect: alice 486}
  - {send: alice ACK}
  - {pause: 3}
"""
    )
    assert (outcome.setup, outcome.code, outcome.seconds) == (3.5, 486, 6.5)


def test_everybody_who_watches_hears_everything() -> None:
    said: list[tuple[str, str, Any]] = []
    right(
        "  - {send: alice, text: '{'}\n" + MESSAGE + "  - {send: bob 200}\n  - {expect: alice 200}\n",
        watch=lambda time, source, target, message: said.append((source, target, message)),
    )
    assert [(source, target) for source, target, _ in said] == [
        ("alice@gortc.local", "gortc"),
        ("alice@gortc.local", "gortc"),
        ("gortc", "bob@gortc.local"),
        ("bob@gortc.local", "gortc"),
        ("gortc", "alice@gortc.local"),
    ]
    assert said[0][2] == "{"


# who is who


def test_users_and_variables() -> None:
    outcome = perform(
        """
parties: {alice: {user: ann}, bob: {user: bob@x.org}, carol: }
variables: {who: "<$carol>", text: "$alice, $bob, $who, $realm", set: 1}
steps:
  - {send: alice MESSAGE, to: carol, Body: $text, X: $set, Y: "$$set"}
  - {expect: carol MESSAGE, From: $alice, To: $carol, Body: "ann@gortc.local, bob@x.org, <cy@x>, gortc.local"}
  - {send: carol 200}
  - {expect: alice 200}
""",
        users={"carol": "cy@x"},
        variables={"set": [True]},
    )
    assert outcome.wrong is None, outcome.wrong


def test_each_playing_has_its_own_name() -> None:
    (scenario,) = parse(
        f"{TOP}  - {{send: alice MESSAGE, to: bob, Body: $play}}\n  - {{expect: bob, save: {{p: Body}}}}", "x"
    )
    lab = Lab(default)
    players = [Player(scenario, Wall(), lab.settings.realm) for _ in range(2)]
    assert players[0].variables["play"] != players[1].variables["play"]


def test_a_variable_of_variables_that_is_not_there() -> None:
    with pytest.raises(BadPattern, match=r"^\$b has no value"):
        perform("variables: {a: $b, b: 1}\nsteps:\n  []")


def test_to_is_a_party_a_user_or_a_variable() -> None:
    right(
        """
  - {send: alice MESSAGE, to: $bob}
  - {expect: bob MESSAGE, Request-URI: bob@gortc.local, To: bob@gortc.local, From: alice@gortc.local, CSeq: 1}
  - {send: bob 200}
  - {expect: alice 200}
  - {send: alice MESSAGE, to: bob@gortc.local}
  - {expect: bob MESSAGE, To: bob@gortc.local}
  - {send: bob 200}
  - {expect: alice 200}
  - {send: alice MESSAGE, to: "bo${b}", Body: x}
  - {expect: bob MESSAGE}
  - {send: bob 200}
  - {expect: alice 200}
""",
        variables={"b": "b"},
    )


# send


def test_headers_are_overridden_and_taken_away() -> None:
    found = wrong("  - {send: alice INVITE, to: bob, CSeq: 5, headers: {To: null, x: 1}}\n  - {expect: alice 200}\n")
    assert found.received == "nothing"
    right(
        MESSAGE
        + "  - {send: bob 200, Desc: null, Body: {$value: null}}\n  - {expect: alice 200, Body: {$value: null}}\n"
    )
    right(
        MESSAGE.replace("Body: hello", "Body: {a: null, b: [null]}").replace(
            "bob MESSAGE", "bob MESSAGE, Body: {b: [null]}"
        )
        + "  - {send: bob 200}\n  - {expect: alice 200, Body: null}\n"
    )


def test_a_request_of_no_dialogue() -> None:
    assert wrong("  - {send: alice BYE}\n") == Said(
        "x.yaml:3", "alice sends BYE", "alice is not in a dialogue; `to` opens one"
    )
    assert wrong("  - {send: alice BYE, dialogue: one}\n") == Said(
        "x.yaml:3", "alice sends BYE", "alice is not in the dialogue 'one'; `to` opens one"
    )
    assert wrong("  - {send: alice 200}\n").received == "alice is not in a dialogue; `to` opens one"


def test_an_answer_to_no_request() -> None:
    assert wrong("  - {send: alice INVITE, to: bob}\n  - {send: alice 200}\n") == Said(
        "x.yaml:4", "alice sends 200", "alice has no such request to answer"
    )
    found = wrong(MESSAGE + "  - {send: bob 200 INVITE}\n")
    assert (found.expected, found.received) == ("bob sends 200 INVITE", "bob has no such request to answer")


def test_which_request_is_answered() -> None:
    right(
        CALL
        + """
  - {send: alice INFO, Body: 1}
  - {send: alice UPDATE, Body: 2}
  - {expect: bob INFO}
  - {expect: bob UPDATE}
  - {send: bob 200 INFO}
  - {expect: alice 200 INFO}
  - {send: bob 488}
  - {expect: alice 488 UPDATE}
  - {send: alice INFO, Body: 3}
  - {send: alice INFO, Body: 4}
  - {expect: bob INFO, Body: 3}
  - {expect: bob INFO, Body: 4}
  - {send: bob 200, Body: the last one first}
  - {send: bob 200}
  - {expect: alice 200 INFO, Body: the last one first}
  - {expect: alice 200 INFO, Body: null}
"""
        + BYE
    )


def test_an_ack_and_a_cancel_name_their_invite() -> None:
    right(
        """
  - {send: alice INVITE, to: bob, CSeq: 7}
  - {expect: bob INVITE}
  - {send: alice CANCEL}
  - {expect: alice 200 CANCEL, CSeq: 8}
  - {expect: alice 487 INVITE, CSeq: 7}
  - {send: alice ACK}
  - {expect: bob CANCEL, RelatedID: 1}
  - {send: bob 200}
  - {send: bob 487 INVITE}
  - {expect: bob ACK}
"""
    )


def test_what_is_sent_as_it_is() -> None:
    right(
        """
  - {send: alice, text: "{this is no JSON"}
  - {send: alice, raw: [1, $alice]}
  - {send: alice, raw: null}
  - {send: alice, raw: {Type: OPTIONS, Request-URI: x, From: $alice, To: $bob, DialogueID: d1, CSeq: 4}, dialogue: one}
  - {expect: alice 200 OPTIONS, dialogue: one, DialogueID: d1, CSeq: 4}
  - {send: alice BYE, dialogue: one}
  - {expect: alice 481 BYE, CSeq: 5}
  - {send: alice, raw: {Type: BYE, From: a, To: b, Request-URI: c, DialogueID: d1, CSeq: not a number}}
  - {send: alice BYE}
  - {expect: alice 481, CSeq: 6}
  - {send: alice, raw: {Type: RESPONSE, Code: 200, DialogueID: d1, CSeq: 1, From: a, To: b}}
"""
    )


def test_a_variable_that_is_not_there() -> None:
    for step in ("send: alice MESSAGE, to: bob, Body: $x", "send: alice, raw: {x: $x}", "send: alice INVITE, to: $x"):
        found = wrong(f"  - {{{step}}}\n")
        assert found == Said("x.yaml:3", "a step that can be played", "$x has no value (a dollar sign is written $$)")
    assert wrong(MESSAGE.replace("bob MESSAGE", "bob MESSAGE, Body: $x")).where == "x.yaml:4"


# expect


@pytest.mark.parametrize(
    ("step", "details"),
    [
        ("expect: bob BYE", ("it is no BYE",)),
        ("expect: bob 200", ("it is no 200",)),
        ("expect: bob 2xx MESSAGE", ("it is no 2xx",)),
        ("expect: bob MESSAGE, Body: null", ("Body should not be there, but is 'hello'",)),
        ("expect: bob MESSAGE, Body: {$re: x}", ("Body should match 'x', but is 'hello'",)),
        ("expect: bob, CSeq: true, From: $bob", None),
        ("expect: bob MESSAGE, save: {x: Body.y}", ("Body.y is missing",)),
        ("expect: bob MESSAGE, save: {x: X-Note}", ("X-Note is missing",)),
    ],
)
def test_another_message(step: str, details: tuple[str, ...] | None) -> None:
    found = wrong(f"  - {{send: alice MESSAGE, to: bob, Body: hello}}\n  - {{{step}}}\n")
    assert found.where == "x.yaml:4"
    assert found.received.startswith('{"Type":"MESSAGE",')
    if details is None:
        details = ("CSeq should be True, but is 1", "From should be 'bob@gortc.local', but is 'alice@gortc.local'")
    assert found.details == details


def test_a_response_to_another_request() -> None:
    found = wrong(MESSAGE + "  - {send: bob 200}\n  - {expect: alice 200 INVITE}\n")
    assert found.expected == "alice 200 INVITE"
    assert found.details == ("it answers MESSAGE",)
    found = wrong(MESSAGE + "  - {send: bob 200}\n  - {expect: alice 200 MESSAGE, CSeq: 2}\n")
    assert found.details == ("CSeq should be 2, but is 1",)


def test_nothing_comes() -> None:
    lab = Lab(default)
    assert wrong("  - {expect: bob INVITE}\n", lab).received == "nothing"
    assert lab.clock.seconds() == 0
    lab = Lab(default)
    assert wrong("  - {expect: bob INVITE, within: 2.5}\n", lab) == Said("x.yaml:3", "bob INVITE", "nothing in 2.5 s")
    assert lab.clock.seconds() == 2.5


def test_what_comes_within_takes_only_its_time() -> None:
    outcome = right(MESSAGE + "  - {expect: alice 408 MESSAGE, within: 60}\n")
    assert outcome.seconds == 5
    assert wrong(MESSAGE + "  - {expect: alice 408 MESSAGE, within: 4.9}\n").received == "nothing in 4.9 s"


def test_what_is_optional() -> None:
    right(
        MESSAGE
        + """
  - {expect: alice 100, optional: true}
  - {expect: bob CANCEL, optional: true, within: 1}
  - {send: bob 200, Body: x}
  - {expect: alice 100, optional: true}
  - {expect: alice 200, optional: true, Body: y}
  - {expect: alice 200, optional: true, Body: x}
  - {expect: alice 200, optional: true}
"""
    )


def test_what_is_saved() -> None:
    right(
        """
  - {send: alice MESSAGE, to: bob, Body: {media: [{port: 9}], "a.b": 1}, headers: {x.y: [2]}}
  - {expect: bob MESSAGE, save: {port: Body.media.0.port, xy: x.y, dialogue: DialogueID, all: Body}}
  - {send: bob 200, Body: {again: "$port", text: "port ${port}", all: $all}, X: $xy}
  - {expect: alice 200, Body: {again: 9, text: "port 9", all: {$value: {media: [{port: 9}], a.b: 1}}}, X: [2]}
  - {send: alice MESSAGE, to: bob, Body: "v=0 port 8"}
  - {expect: bob MESSAGE, Body: {$re: "port (?P<port>[0-9]+)"}}
  - {send: bob 200, Body: $port}
  - {expect: alice 200, Body: "8"}
"""
    )


@pytest.mark.parametrize("path", ["Body.media.1", "Body.media.x", "Body.media.0.port.x", "Body.media.-1"])
def test_a_path_that_leads_nowhere(path: str) -> None:
    send = "  - {send: alice MESSAGE, to: bob, Body: {media: [{port: 9}]}}\n"
    assert wrong(f"{send}  - {{expect: bob, save: {{x: {path}}}}}\n").details == (f"{path} is missing",)


def test_what_did_not_match_is_not_kept() -> None:
    found = wrong(
        """
  - {send: alice MESSAGE, to: bob, Body: hello}
  - {expect: bob MESSAGE, Body: {$re: "(?P<word>h.*)"}, X: 1, optional: true}
  - {expect: bob MESSAGE, Body: $word}
"""
    )
    assert found.received.startswith("$word has no value")


# dialogues


def test_several_dialogues_of_a_party() -> None:
    right(
        """
  - {send: alice MESSAGE, to: bob, dialogue: first, Body: 1}
  - {send: alice MESSAGE, to: bob, dialogue: second, Body: 2}
  - {expect: bob MESSAGE, dialogue: one, Body: 1}
  - {expect: bob MESSAGE, dialogue: two, Body: 2}
  - {send: bob 202, dialogue: one}
  - {send: bob 200, dialogue: two}
  - {expect: alice 200 MESSAGE, dialogue: second}
  - {expect: alice 202 MESSAGE, dialogue: first}
"""
    )


def test_the_last_dialogue_is_the_one_meant() -> None:
    right(
        """
  - {send: alice MESSAGE, to: bob, Body: 1}
  - {send: alice MESSAGE, to: bob, Body: 2}
  - {expect: bob MESSAGE, dialogue: one}
  - {expect: bob MESSAGE}
  - {send: bob 200}
  - {expect: alice 200, save: {second: DialogueID}}
  - {send: bob 202, dialogue: one}
  - {expect: alice 202}
  - {send: alice BYE, dialogue: three, to: bob, DialogueID: $second}
  - {expect: alice 481, dialogue: three}
"""
    )


def test_a_message_of_another_dialogue() -> None:
    found = wrong(
        """
  - {send: alice MESSAGE, to: bob, dialogue: first}
  - {send: alice MESSAGE, to: bob, dialogue: second}
  - {expect: bob MESSAGE}
  - {send: bob 200}
  - {expect: alice 200, dialogue: second}
"""
    )
    assert (found.expected, found.received) == ("alice 200", "nothing")


# any_order


def test_any_order() -> None:
    right(
        MESSAGE
        + """
  - {send: bob 200}
  - {send: alice MESSAGE, to: bob, Body: two}
  - any_order:
      - {expect: bob MESSAGE, Body: two}
      - {expect: bob BYE, optional: true}
      - {expect: alice 200 MESSAGE}
  - {send: bob 200}
  - {expect: alice 200 MESSAGE}
  - {send: alice MESSAGE, to: bob, dialogue: three, Body: three}
  - {send: alice MESSAGE, to: bob, dialogue: four, Body: four}
  - any_order:
      - {expect: bob MESSAGE, Body: four, save: {four: DialogueID}}
      - {expect: bob MESSAGE, Body: three}
  - any_order:
      - {expect: alice 408, dialogue: four, within: 5}
      - {expect: alice 408, dialogue: three, within: 5}
"""
    )


def test_what_is_optional_may_come_before_the_rest_or_not_at_all() -> None:
    steps = """
  - any_order:
      - {expect: alice 180, optional: true}
      - {expect: alice 200}
  - {send: alice ACK}
  - {expect: bob ACK}
"""
    invite = "  - {send: alice INVITE, to: bob}\n  - {expect: bob INVITE}\n"
    right(f"{invite}  - {{send: bob 200}}\n{steps}{BYE}")
    right(f"{invite}  - {{send: bob 180}}\n  - {{send: bob 200}}\n{steps}{BYE}")


def test_any_order_goes_wrong() -> None:
    found = wrong(MESSAGE + "  - any_order:\n      - {expect: alice 180}\n      - {expect: alice 200, Body: x}\n")
    assert found == Said("x.yaml:5", 'alice 180 or alice 200 {"Body":"x"}', "nothing")
    steps = "  - any_order:\n      - {expect: alice 180, optional: true}\n      - {expect: alice 200}\n"
    found = wrong(f"{MESSAGE}  - {{send: bob 202}}\n{steps}")
    assert found.where == "x.yaml:6"
    assert found.expected == "alice 180 or alice 200"
    assert found.received.startswith('{"Type":"RESPONSE","Code":202,')


# nothing, pause, repeat


def test_nothing() -> None:
    right("  - {nothing: all}\n  - {nothing: bob, within: 3}\n")
    assert (
        wrong("  - {send: alice MESSAGE, to: bob}\n  - {nothing: alice}\n  - {nothing: bob}\n").expected
        == "nothing for bob"
    )
    found = wrong(MESSAGE + "  - {nothing: alice, within: 4.5}\n  - {nothing: all, within: 0.5}\n")
    assert (found.where, found.expected) == ("x.yaml:6", "nothing for alice")
    assert found.received.startswith('{"Type":"RESPONSE","Code":408,')


def test_at_the_end_nothing_is_left() -> None:
    found = wrong("title: A message\n" + TOP + "  - {send: alice MESSAGE, to: bob}\n")
    assert (found.where, found.expected) == ("A message: at the end", "nothing for bob")
    assert perform("strict: false\n" + TOP + "  - {send: alice MESSAGE, to: bob}\n").wrong is None


def test_repeat() -> None:
    outcome = right(
        """
  - repeat: 3
    count: n
    steps:
      - {send: alice MESSAGE, to: bob, Body: "number $n"}
      - {expect: bob MESSAGE, Body: "number $n"}
      - {send: bob 200, Body: $n}
      - {expect: alice 200, save: {last: Body}}
      - {pause: 1}
  - {repeat: 0, steps: [{send: alice BYE}]}
  - {repeat: 2, steps: []}
  - {repeat: 2, steps: [{pause: 1}]}
  - {send: alice MESSAGE, to: bob, Body: $last}
  - {expect: bob MESSAGE, Body: 3}
  - {send: bob 200}
  - {expect: alice 200}
"""
    )
    assert outcome.seconds == 5
    assert wrong("  - repeat: 2\n    steps:\n      - {expect: bob BYE}\n").where == "x.yaml:5"


# connections


def test_connections() -> None:
    outcome = right(
        """
parties: {alice: , bob: {connected: false}}
steps:
  - {send: alice MESSAGE, to: bob}
  - {expect: alice 480}
  - {connect: bob}
  - {send: alice MESSAGE, to: bob}
  - {expect: bob MESSAGE}
  - {send: bob 200}
  - {expect: alice 200}
  - {disconnect: bob}
  - {disconnect: bob}
  - {send: alice MESSAGE, to: bob}
  - {expect: alice 480}
  - {nothing: all}
"""
    )
    assert "disconnects" in outcome.ladder.draw()


@pytest.mark.parametrize(
    ("step", "expected", "received"),
    [
        ("send: bob MESSAGE, to: alice", "bob sends MESSAGE", "bob is not connected"),
        ("expect: bob MESSAGE", "bob MESSAGE", "bob is not connected"),
        ("closed: bob", "bob's connection closed", "it never was connected"),
        ("closed: alice", "alice's connection closed", "it is open"),
        ("closed: alice, code: 4001, within: 2", "alice's connection closed with 4001", "it is open"),
    ],
)
def test_connections_that_are_not_as_they_should_be(step: str, expected: str, received: str) -> None:
    text = f"parties: {{alice: , bob: {{connected: false}}}}\nsteps:\n  - {{disconnect: bob}}\n  - {{{step}}}\n"
    assert wrong(text) == Said("x.yaml:4", expected, received)


def test_what_follows_a_disconnect() -> None:
    assert wrong("  - {disconnect: bob}\n  - {send: bob MESSAGE, to: alice}\n").received == "bob is not connected"
    assert wrong("  - {disconnect: bob}\n  - {expect: bob MESSAGE}\n").received == "the connection was closed: 1000"


REPLACED = """
parties: {alice: , again: {user: alice, connected: false}}
steps:
  - {connect: again}
  - {closed: alice, code: 4001}
"""


def test_the_server_closes_a_connection() -> None:
    outcome = right(REPLACED)
    assert "closed: 4001 replaced" in outcome.ladder.draw()
    right(REPLACED.replace(", code: 4001", ""))
    found = wrong(REPLACED.replace("4001", "1000"))
    assert (found.expected, found.received) == ("alice's connection closed with 1000", "4001 replaced")
    found = wrong(REPLACED.replace("{closed: alice, code: 4001}", "{expect: alice BYE}"))
    assert found.received == "the connection was closed: 4001 replaced"
    assert (
        wrong(REPLACED.replace("{closed: alice, code: 4001}", "{send: alice BYE}")).received == "alice is not connected"
    )


def test_a_name_that_can_not_connect() -> None:
    found = wrong('title: T\nparties: {a: {user: "a b@x"}}\nsteps:\n  []')
    assert (found.where, found.expected) == ("T", "a connects as a b@x")
    found = wrong('parties: {a: {user: "a b@x", connected: false}}\nsteps:\n  - {connect: a}')
    assert found.where == "x.yaml:3"


# what no gortc server does


class Wall:
    """A venue where the server says what it is told to say: after the first message sent, the second, and so on."""

    def __init__(self, *said: list[Any], refuses: str | None = None) -> None:
        self.said = list(said)
        self.refuses = refuses
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def connect(self, user: str, arrived: Arrived) -> WallLine:
        if self.refuses is not None:
            raise ConnectionRefusedError(self.refuses)
        return WallLine(self, arrived)

    async def pause(self, seconds: float) -> None:
        self.time += seconds


class WallLine:
    """What is said is a message, or the code and the reason with which the connection is closed."""

    def __init__(self, wall: Wall, arrived: Arrived) -> None:
        self.closed: tuple[int, str] | None = None
        self._wall = wall
        self._arrived = arrived

    def send(self, message: Mapping[str, Any]) -> None:
        for said in self._wall.said.pop(0) if self._wall.said else ():
            if isinstance(said, tuple):
                self.closed = said
            else:
                self._arrived(said(message) if callable(said) else said)

    def send_text(self, text: str) -> None:
        self.send({})

    async def wait(self, seconds: float | None) -> bool:
        self._wall.time += seconds or 0.0
        return False

    async def settle(self) -> None:
        return None

    async def close(self) -> None:
        self.closed = self.closed or (1000, "")


def at_wall(text: str, wall: Wall) -> Outcome:
    """Play at a wall."""
    (scenario,) = parse(TOP + text.lstrip("\n"), "x.yaml")
    outcomes: list[Outcome] = []
    ensureDeferred(Player(scenario, wall, "gortc.local").play()).addCallback(outcomes.append)
    return outcomes[0]


def answer(message: Mapping[str, Any]) -> dict[str, Any]:
    """The 200 to a request."""
    return {"Type": "RESPONSE", "Code": 200, **{name: message[name] for name in ("DialogueID", "CSeq")}}


def test_a_frame_that_is_no_json() -> None:
    for frame, shown in (("hello", "'hello'"), ([1], "[1]"), (5, "5")):
        found = told(at_wall("  - {send: alice MESSAGE, to: bob}\n  - {expect: alice 200}\n", Wall([frame])))
        assert found == Said("x.yaml:4", "alice 200", shown, ("the frame is no JSON object",))


def test_the_server_closes_in_mid_scenario() -> None:
    text = "  - {send: alice MESSAGE, to: bob}\n  - {expect: alice 200}\n"
    found = told(at_wall(text, Wall([(1011, "oops")])))
    assert found == Said("x.yaml:4", "alice 200", "the connection was closed: 1011 oops")
    assert at_wall(text, Wall([answer, (1011, "oops")])).wrong is None
    found = told(at_wall(text + "  - {send: alice BYE}\n", Wall([answer, (1006, "")])))
    assert found == Said("x.yaml:5", "alice sends BYE", "alice is not connected")
    found = told(at_wall(text + "  - {closed: alice, code: 1000}\n", Wall([answer, (1006, "")])))
    assert found.expected == "alice's connection closed with 1000"


def test_a_response_that_answers_nothing() -> None:
    stray = {"Type": "RESPONSE", "Code": 200, "DialogueID": "another", "CSeq": 1}
    text = "  - {send: alice MESSAGE, to: bob}\n  - {expect: alice 200 MESSAGE}\n"
    found = told(at_wall(text, Wall([stray])))
    assert found.details == ("it answers nothing that was asked",)
    outcome = at_wall(text.replace("200 MESSAGE", "200"), Wall([stray]))
    assert outcome.wrong is None
    assert outcome.setup is None


def test_a_dialogue_is_named_by_what_comes_first_in_none() -> None:
    outcome = at_wall(
        """
  - {send: alice MESSAGE, to: bob, dialogue: mine}
  - {expect: alice INFO, dialogue: theirs}
  - {expect: alice 200, dialogue: mine}
""",
        Wall([answer, {"Type": "INFO", "DialogueID": "x", "CSeq": 1}]),
    )
    assert outcome.wrong is None


def test_the_server_is_not_there() -> None:
    for reason, received in (("nobody listens", "nobody listens"), ("", "ConnectionRefusedError('')")):
        found = told(at_wall("  []\n", Wall(refuses=reason)))
        assert found == Said("x.yaml", "alice connects as alice@gortc.local", received)
