"""The door, without sockets: who is turned away, who makes room, whose turn it is. docs/security.md, "At the door"."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as some
from twisted.internet.task import Clock

from gortc.admission import Limits, Rate
from gortc.admission.crowd import Crowd
from gortc.admission.door import Door
from gortc.jsip.layers import Journal
from gortc.jsip.timers import Timers
from gortc.settings import Settings

STEP = 2**-9
"""How long each turn of a connection takes."""


MOMENT = 1e-6


class Turns(Clock):
    """Time that passes with each turn of the reactor: what is to be called at once is called in the next one."""

    def callLater(self, delay: float, *args: Any, **kwargs: Any) -> Any:  # noqa: N802
        """As IReactorTime has it."""
        return super().callLater(max(delay, MOMENT), *args, **kwargs)


class Knocker:
    """A connection at the door, which has so much to say."""

    def __init__(self, place: Place, address: str, words: int = 1) -> None:
        self.place = place
        self.address = address
        self.words = words
        self.begun = self.over = self.said = False
        self.owed = 0.0

    def is_silent(self) -> bool:
        """Whether nothing of it is there."""
        return not self.said

    def knock(self) -> None:
        """It has something to say."""
        if self.place.door.knock(self):
            self.take_turn()

    def take_turn(self) -> None:
        """It says it; and if that is not all, it has more."""
        self.place.heard.append(self.address)
        self.place.worked += STEP
        self.begun = True
        self.words -= 1
        if self.words < 0:
            raise ValueError("it has said something wrong")
        if self.words:
            self.knock()

    def give_up(self) -> None:
        """It has gone."""
        self.over = True


class Place:
    """A door, in virtual time; `heard` is who was read."""

    def __init__(self, auth: str = "none", proxies: tuple[str, ...] = ("10.0.0.0/8",), **limits: Any) -> None:
        self.clock = Turns()
        self.failed = 0
        self.journal = Journal(self.line, self.fail)
        self.lines: list[tuple[str, str]] = []
        self.worked = 0.0
        self.heard: list[str] = []
        self.settings = Settings(auth=auth, proxies=proxies, limits=Limits(**limits))
        self.door = Door(self.settings, Timers(self.clock, self.fail), self.journal, lambda: self.worked)

    def line(self, reason: str, channel: str, detail: object) -> None:
        """A line of the log."""
        self.lines.append((reason, channel))

    def fail(self) -> None:
        """Something has raised."""
        self.failed += 1

    def comes(self, *addresses: str) -> list[Knocker]:
        """Connections of these."""
        made = [Knocker(self, address) for address in addresses]
        for one in made:
            self.door.began(one, one.address, silent=True)
        return made

    def turn(self) -> list[str]:
        """Who was read in one turn of the reactor."""
        self.heard.clear()
        self.clock.advance(MOMENT)
        return list(self.heard)


# who is turned away


@pytest.mark.proves("C-110")
def test_an_address_that_connects_too_often() -> None:
    place = Place(accepts=Rate(10, 3))
    assert [place.door.admits("192.0.2.1") for _ in range(5)] == [True, True, True, False, False]
    assert place.door.admits("192.0.2.2")
    place.clock.advance(0.1)
    assert [place.door.admits("192.0.2.1") for _ in range(2)] == [True, False]
    assert place.journal.counts["connection reset"] == 3


@pytest.mark.proves("C-110")
def test_a_household_is_an_address() -> None:
    place = Place(accepts=Rate(10, 2))
    assert [place.door.admits(f"2001:db8:0:1::{at}") for at in (1, 2, 3)] == [True, True, False]
    assert place.door.admits("2001:db8:0:2::1")
    assert [place.door.admits(f"::ffff:192.0.2.{at}") for at in (1, 1, 1, 2)] == [True, True, False, True]


@pytest.mark.parametrize("address", ["10.0.0.1", "::ffff:10.0.0.1", ""])
def test_a_proxy_of_ours_is_nobody(address: str) -> None:
    """Whoever stands behind it is asked for by its handshake."""
    place = Place(accepts=Rate(0.1, 1))
    assert all(place.door.admits(address) for _ in range(5))


def test_no_limit() -> None:
    place = Place(accepts=None)
    assert all(place.door.admits("192.0.2.1") for _ in range(2000))


def test_a_flood_is_a_line_a_second() -> None:
    place = Place(accepts=Rate(0.01, 1))
    for _ in range(20):
        place.door.admits("192.0.2.1")
        place.clock.advance(0.1)
    assert place.lines == [("connection flood", "192.0.2.1")] * 2
    assert place.journal.counts["connection reset"] == 19


def test_what_is_full_again_is_forgotten() -> None:
    place = Place(accepts=Rate(10, 10))
    for at in range(1000):
        place.door.admits(f"192.0.{at // 250}.{at % 250}")
    meter: Any = place.door._accepts
    assert len(meter) == 1000
    place.clock.pump([1.0, 1.0])
    assert len(meter) == 0


# who makes room


@pytest.mark.proves("C-72")
def test_who_has_most_there_makes_room() -> None:
    """The oldest of them; an honest one stays, however old it is, as long as another household has more."""
    place = Place(handshaking=5)
    (honest,) = place.comes("192.0.2.1")
    many = place.comes(*["192.0.2.66"] * 20)
    assert [one.over for one in many] == [True] * 16 + [False] * 4
    assert not honest.over
    assert len(place.door) == 5
    (late,) = place.comes("192.0.2.2")
    assert not late.over
    assert many[16].over
    assert place.lines[0] == ("handshake flood", "192.0.2.66")


class Gate:
    """In place of a port."""

    def __init__(self) -> None:
        self.reopened = 0

    def reopen(self) -> None:
        """There may be room."""
        self.reopened += 1


@pytest.mark.proves("C-72")
def test_nobody_is_pushed_out_who_waits_for_us() -> None:
    """Where no household has two there nobody else is accepted, until somebody leaves, or keeps us waiting."""
    place = Place(handshaking=3, turn=STEP)
    ones = place.comes("192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert place.door.has_room()
    for one in ones:
        one.said = True
    assert not place.door.has_room()
    for one in ones:
        one.knock()
    place.clock.advance(30)
    assert not place.door.has_room()
    gate = Gate()
    place.door.wait(gate)
    place.turn()
    assert gate.reopened == 0
    place.door.done(ones[1])
    assert gate.reopened == 0
    place.turn()
    assert gate.reopened == 1
    assert place.door.has_room()
    place.comes("192.0.2.4")[0].said = True
    place.door.wait(gate)
    place.clock.advance(0.25)
    assert gate.reopened == 2
    assert not any(one.over for one in ones)
    assert not place.clock.getDelayedCalls() or place.door.waiting


@pytest.mark.proves("C-72")
def test_who_has_said_nothing_makes_room_the_oldest_first() -> None:
    """Also where what it has said was not read yet: it is looked at."""
    place = Place(handshaking=4)
    ones = place.comes("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")
    ones[0].said = ones[2].said = True
    late = []
    for at in (5, 6, 7):
        assert place.door.has_room()
        late += place.comes(f"192.0.2.{at}")
    assert [one.over for one in ones] == [False, True, False, True]
    assert [one.over for one in late] == [True, False, False]
    for one in late:
        one.said = True
    assert not place.door.has_room()


@pytest.mark.proves("C-72")
def test_who_keeps_us_waiting_makes_room() -> None:
    """After a second in all, however often it says a little; what it waits for us is not its own."""
    place = Place(handshaking=3, turn=STEP)
    drips, whole, honest = place.comes("192.0.2.1", "192.0.2.2", "192.0.2.3")
    for one in (drips, whole, honest):
        one.said, one.words = True, 99
        place.door.knock(one)
        place.door.leave(one)
    for _ in range(4):
        place.door.is_to_go_on(drips)
        place.clock.advance(0.24)
        place.door.knock(drips)
        place.door.leave(drips)
        place.clock.advance(5)
    place.door.is_to_go_on(honest)
    place.clock.advance(0.03)
    assert not place.door.has_room()
    place.door.is_to_go_on(drips)
    assert not place.door.has_room()
    place.clock.advance(0.05)
    assert place.door.has_room()
    place.comes("192.0.2.4")
    assert [one.over for one in (drips, whole, honest)] == [True, False, False]


@pytest.mark.proves("C-72")
def test_who_has_two_makes_room_first() -> None:
    """Before anybody who says nothing."""
    place = Place(handshaking=3)
    (silent,) = place.comes("192.0.2.1")
    many = place.comes("192.0.2.2", "192.0.2.2")
    for one in many:
        one.said = True
    assert place.door.has_room()
    place.comes("192.0.2.3")
    assert [one.over for one in (silent, *many)] == [False, True, False]


def test_where_files_run_out_nobody_is_pushed_out_who_waits_for_us() -> None:
    place = Place()
    place.door.files = place.door.connections = 10
    assert place.door.has_room()  # it is accepted, to be told that it can't be
    (one,) = place.comes("192.0.2.1")
    assert place.door.has_room()
    one.said = True
    assert not place.door.has_room()


@pytest.mark.proves("C-72")
def test_of_many_households_who_say_nothing_the_oldest_makes_room() -> None:
    place = Place(handshaking=3)
    ones = place.comes(*(f"2001:db8:0:{at}::1" for at in range(10)))
    assert [one.over for one in ones] == [True] * 7 + [False] * 3


def test_behind_a_proxy_each_is_somebody_else() -> None:
    """Until its handshake says for whom it is."""
    place = Place(handshaking=4)
    ones = place.comes("10.0.0.1", "10.0.0.1", "10.0.0.1")
    others = place.comes("192.0.2.66", "192.0.2.66", "192.0.2.66")
    assert not any(one.over for one in ones)
    assert [one.over for one in others] == [True, True, False]
    place.door.began(ones[0], "192.0.2.66")
    place.comes("192.0.2.5")
    assert [one.over for one in (*ones, others[2])] == [False, False, False, True]


def test_where_files_run_out_who_is_there_makes_room() -> None:
    """And where nobody is, who comes is not taken; it is told once a second."""
    place = Place()
    place.door.files = place.door.connections = 100
    assert place.door.lacks_files("192.0.2.9")
    place.door.connections = 99
    assert not place.door.lacks_files("192.0.2.9")
    (one, two) = place.comes("192.0.2.1", "192.0.2.2")
    place.door.connections = 101
    assert not place.door.lacks_files("192.0.2.9")
    (late,) = place.comes("192.0.2.9")
    assert [one.over, two.over, late.over] == [True, False, False]
    assert place.lines == [("no files", "192.0.2.9"), ("handshake flood", "192.0.2.1")]
    for _ in range(9):
        place.door.no_files(3)
        place.clock.advance(0.3)
    assert place.lines.count(("no files", "")) == 2
    assert place.journal.counts["connection refused, no files"] == 28


def test_loopback_has_no_limit() -> None:
    place = Place(auth="loopback", handshaking=1)
    assert not any(one.over for one in place.comes(*["127.0.0.1"] * 5))


def test_nothing_is_left_of_who_has_gone() -> None:
    place = Place()
    ones = place.comes("192.0.2.1", "192.0.2.1", "10.0.0.1", "")
    for one in ones:
        place.door.done(one)
        place.door.done(one)
    assert len(place.door) == 0


# turns


@pytest.mark.proves("C-111")
def test_household_by_household() -> None:
    """Whoever comes late with one thing to say waits for one of each of the others at the most."""
    place = Place(turn=2.5 * STEP)
    for at in range(50):
        Knocker(place, "192.0.2.66").knock()
        if at == 40:
            Knocker(place, "192.0.2.1").knock()
    assert place.heard == ["192.0.2.66"] * 3  # nobody waited, and there was time
    assert place.turn() == ["192.0.2.66", "192.0.2.1", "192.0.2.66"]
    assert place.turn() == ["192.0.2.66"] * 3


@pytest.mark.proves("C-111")
def test_who_has_begun_does_not_wait_behind_all_who_begin() -> None:
    """Nor do they wait for ever for those who go on and on."""
    place = Place(turn=STEP)
    for at in range(100):
        Knocker(place, f"192.0.2.{at}").knock()
    Knocker(place, "192.0.2.200", words=3).knock()
    for _ in range(99):
        place.turn()
    Knocker(place, "192.0.2.201").knock()
    assert place.turn() == ["192.0.2.200"]
    for at in range(100, 150):
        Knocker(place, f"192.0.2.{at}").knock()
    assert [place.turn()[0] for _ in range(4)] == ["192.0.2.200", "192.0.2.201", "192.0.2.200", "192.0.2.100"]
    endless = [Knocker(place, f"192.0.3.{at}", words=100) for at in range(10)]
    for one in endless:
        one.begun = True
        one.knock()
    assert sum(place.turn()[0].startswith("192.0.3.") for _ in range(60)) == 30


@pytest.mark.proves("C-111")
def test_they_take_no_more_than_their_time() -> None:
    """However many there are, and wherever they come from, each turn of the reactor's."""
    place = Place(turn=5 * STEP)
    for at in range(1000):
        Knocker(place, f"192.0.{at // 250}.{at % 250}", words=3).knock()
    turns = 0
    while place.heard:
        assert len(place.heard) <= 5
        turns += 1
        place.turn()
    assert turns == 1000 * 3 / 5


@pytest.mark.proves("C-111")
def test_one_at_least() -> None:
    """Though a single one takes longer than that."""
    place = Place(turn=STEP / 10)
    for _ in range(3):
        Knocker(place, "192.0.2.1").knock()
    assert place.heard == ["192.0.2.1"]
    assert [place.turn(), place.turn(), place.turn()] == [["192.0.2.1"], ["192.0.2.1"], []]


def test_time_that_was_used_is_used() -> None:
    """What is left of a turn is for who comes in it."""
    place = Place(turn=2.5 * STEP)
    for _ in range(4):
        Knocker(place, "192.0.2.1").knock()
    place.turn()
    place.heard.clear()
    for _ in range(4):
        Knocker(place, "192.0.2.2").knock()
    assert place.heard == ["192.0.2.2"] * 2


def test_who_leaves_the_line() -> None:
    place = Place(turn=STEP)
    ones = [Knocker(place, address) for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3")]
    for one in ones:
        one.knock()
    for one in (ones[1], ones[2]):
        place.door.leave(one)
        place.door.leave(one)
    assert place.turn() == ["192.0.2.3"]
    assert place.turn() == []
    assert not place.clock.getDelayedCalls()


@pytest.mark.parametrize(("before", "after"), [((), ("192.0.2.0/24",)), (("192.0.2.0/24",), ())])
@pytest.mark.parametrize("leave", [True, False])
def test_who_is_a_proxy_changes_while_they_wait(before: tuple[str, ...], after: tuple[str, ...], leave: bool) -> None:
    """Whoever leaves the line has left it, and whoever stays has one turn; who has more to say then waits as what it
    is by then."""
    place = Place(proxies=before, turn=STEP)
    ones = [Knocker(place, "192.0.2.1", words=2) for _ in range(4)]
    for one in ones:
        one.knock()
    place.door.configure(evolve(place.settings, proxies=after))
    for one in ones if leave else ():
        place.door.leave(one)
        place.door.leave(one)
    turns = 0
    while place.turn():
        turns += 1
    assert turns == (0 if leave else 7)
    assert not place.door.waiting
    assert not place.clock.getDelayedCalls()


def test_one_that_fails_fails_alone() -> None:
    """It is sent away, and the others have their turn."""
    place = Place(turn=5 * STEP)
    ones = [Knocker(place, "192.0.2.1", words) for words in (1, 1, 1, 1, 1, 0, 1)]
    for one in ones:
        one.knock()
    assert len(place.turn()) == 2
    assert place.failed == 1
    assert [one.over for one in ones] == [False] * 5 + [True, False]


def test_the_server_stops() -> None:
    place = Place(turn=STEP)
    ones = place.comes("192.0.2.1", "192.0.2.1", "192.0.2.2")
    for one in ones:
        one.knock()
    place.door.shut()
    assert all(one.over for one in ones)
    assert place.turn() == []
    assert len(place.door) == 0


# the crowd


@given(some.lists(some.tuples(some.integers(0, 12), some.sampled_from("abcd"), some.booleans()), max_size=60))
def test_a_crowd_knows_who_has_most(steps: list[tuple[int, str, bool]]) -> None:
    """As by counting them all."""
    crowd: Crowd[int] = Crowd()
    there: dict[int, str] = {}
    for one, home, comes in steps:
        there.pop(one, None)
        if comes:
            crowd.add(one, home)
            there[one] = home
        else:
            crowd.remove(one)
        assert len(crowd) == len(there)
        assert list(crowd) == list(there)
        if there:
            counts = Counter(there.values())
            found = crowd.oldest_of_most()
            assert found in crowd
            assert counts[there[found]] == max(counts.values())
            assert found == next(one for one, home in there.items() if home == there[found])
    for one in list(crowd):
        crowd.remove(one)
    assert (crowd._home, crowd._there, crowd._ranks) == ({}, {}, [])
