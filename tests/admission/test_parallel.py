"""Many at once: what is counted before somebody is asked about is counted once, and taken back where it was nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import txaio.tx
from twisted.internet.defer import Deferred

from gortc.admission import Ask, Handshake, Limits, Rate, Refused
from tests.transport.kit import Hub, Wire, handshake

ADDRESS = "203.0.113.5"


class Office:
    """A server whose authenticator takes its time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
        asks: dict[str, Ask] = {"desk": self._ask}
        self.hub = Hub(asks, auth={"desk": {}}, limits=Limits(**{"failures": Rate(0.2, 20), **limits}))
        monkeypatch.setattr(txaio.tx.config, "loop", self.hub.clock)
        self.asked: list[tuple[Handshake, Deferred[str | None]]] = []
        self.wires: list[Wire] = []

    def _ask(self, handshake: Handshake) -> Deferred[str | None]:
        answer: Deferred[str | None] = Deferred()
        self.asked.append((handshake, answer))
        return answer

    def come(self, number: int, address: str = ADDRESS, user: str = "u{}", token: str = "good") -> list[Wire]:
        """So many knock at once."""
        wires = [Wire(self.hub, address) for _ in range(number)]
        for at, wire in enumerate(wires):
            wire.send(handshake(f"/rtc?userid={user.format(len(self.wires) + at)}@gortc.local&token={token}"))
        self.wires += wires
        return wires

    def answer(self) -> None:
        """All that are asked about, one after the other, until nobody is."""
        while self.asked:
            handshake, answer = self.asked.pop(0)
            if answer.called:
                pass
            elif handshake.token == "good":
                answer.callback(handshake.userid)
            elif handshake.token == "wrong":
                answer.errback(Refused(401, "no"))
            elif handshake.token == "another's":
                answer.callback("another@gortc.local")
            else:
                answer.errback(Refused(503, "later"))
            self.hub.clock.advance(0)


def codes(wires: list[Wire]) -> dict[int, int]:
    """How many got which status."""
    return dict(Counter(int((wire.transport.value() or b"HTTP/1.1 0").split()[1]) for wire in wires))


@pytest.mark.proves("C-71")
@pytest.mark.parametrize(("token", "code"), [("wrong", 401), ("another's", 403)])
def test_guesses(monkeypatch: pytest.MonkeyPatch, token: str, code: int) -> None:
    """All at once: as many count as one after the other, and then one in 5 s. Another address is not touched."""
    office = Office(monkeypatch)
    wires = office.come(200, token=token)
    other = office.come(1, "203.0.113.6")
    assert len(office.asked) == 21
    office.answer()
    assert codes(wires) == {code: 20, 429: 180}
    assert codes(other) == {101: 1}
    for _ in range(5):
        office.hub.clock.advance(5)
        wires = office.come(60, token=token)
        office.answer()
        assert codes(wires) == {code: 1, 429: 59}


@pytest.mark.proves("C-71")
def test_the_right_ones_of_an_office(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than may fail, at the same moment: all get in, and have used nothing up."""
    office = Office(monkeypatch, handshakes=None)
    for _ in range(3):
        wires = office.come(200)
        assert len(office.asked) == 20
        office.answer()
        assert codes(wires) == {101: 200}
    assert len(office.hub.factory.admission._tries) == 0


@pytest.mark.proves("C-68", "C-71")
def test_what_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could tell; a defect; whoever went before it was known: none of that is held against an address."""
    office = Office(monkeypatch)
    wires = office.come(60, token="later")
    office.answer()
    assert codes(wires) == {503: 60}
    wires = office.come(30, token="wrong")
    for wire in wires:
        wire.lose()
    assert len(office.asked) == 30
    wires = office.come(30)
    for _, answer in office.asked[30:35]:
        answer.errback(ZeroDivisionError())
    office.answer()
    assert codes(wires) == {503: 5, 101: 25}
    wires = office.come(20, token="wrong")
    office.answer()
    assert codes(wires) == {401: 20}
    assert codes(office.come(1)) == {429: 1}


@pytest.mark.proves("C-71")
def test_who_waits_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never asked about; nor is who waits longer than anybody may be asked about."""
    office = Office(monkeypatch, failures=Rate(0.01, 1))
    _, second, *others = office.come(5)
    second.lose()
    assert len(office.asked) == 1
    office.hub.clock.advance(30)
    office.hub.clock.pump([1.0, 1.0])
    assert not any(wire.transport.connected for wire in others)
    assert all(answer.called for _, answer in office.asked)
    assert "u1@gortc.local" not in [handshake.userid for handshake, _ in office.asked]
    assert len(office.hub.factory.admission._tries) == 0
    wires = office.come(1)
    office.answer()
    assert codes(wires) == {101: 1}


@pytest.mark.proves("C-71")
def test_a_user_who_comes_a_thousand_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the right password: it is counted when it is known to be that user's, so that no stranger uses it up."""
    office = Office(monkeypatch, handshakes=None, handshaking=5000)
    wires = [wire for at in range(10) for wire in office.come(100, f"203.0.113.{at}", user="alice")]
    office.answer()
    assert codes(wires) == {101: 20, 429: 980}
