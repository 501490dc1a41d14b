"""What a caller hears before its answer, of one callee or of several. docs/jsip.md section 4, "Several callees".

A caller has one dialogue with us, whoever rings. So its provisional responses have numbers of our own (RFC 3262 section
3 wants them to rise by one in a dialogue), and it has the early media of one callee at a time (RFC 3261 section 13.2.1:
of the answers in one dialogue the first counts).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gortc.jsip.message import Headers, Request

if TYPE_CHECKING:
    from gortc.service.leg import Leg

OPEN_MAX: Final = 16
"""So many reliable responses are remembered for their PRACKs; RFC 3262 section 3 wants one at a time."""


class Early:
    """What one caller has heard so far; `at` is when it last heard anything, on the clock, `media` who has sent the
    early media that it has."""

    def __init__(self) -> None:
        self.at = 0.0
        self._heard: dict[Leg | None, tuple[int, Headers]] = {}
        self._last: Leg | None = None
        self.media: Leg | None = None
        self._number = 0
        self._numbers: dict[int, tuple[Leg, int]] = {}

    def is_repetition(self, source: Leg | None, code: int, headers: Headers) -> bool:
        """Whether this is what `source` has said last; or what the caller has heard last, from one that still rings:
        that two of them ring tells it nothing. One that asks for a PRACK (RFC 3262) is nobody else's."""
        said, last = (code, headers), self._last
        known = self._heard.get(source) == said
        self._heard[source] = said
        if not known and last is not None and last is not source and last.ringing and "RSeq" not in headers:
            known = self._heard[last] == said
        if not known:
            self._last = source
        return known

    def share(self, source: Leg, headers: Headers) -> Headers:
        """What of these headers of a provisional response the caller gets, while other callees may ring as well."""
        if "RSeq" in headers:
            headers = self._numbered(source, headers)
        if "Body" in headers:
            media = self.media
            if media is None or not media.ringing:
                self.media = source
            elif media is not source:  # it may be all that its 200 says later on
                source.unheard = {name: value for name, value in headers.items() if _describes(name)}
                headers = {name: value for name, value in headers.items() if not _describes(name)}
        return headers

    @property
    def reliable(self) -> bool:
        """Whether any response asks for a PRACK (RFC 3262)."""
        return bool(self._numbers)

    def _numbered(self, source: Leg, headers: Headers) -> Headers:
        asked = headers["RSeq"]
        if type(asked) is not int:
            return headers
        said, numbers = (source, asked), self._numbers
        number = 0
        for known, whose in numbers.items():
            if whose == said:
                number = known
        if not number:
            alone = all(leg is source for leg, _ in numbers.values())
            number = self._number = asked if alone and asked > self._number else self._number + 1
            if len(numbers) >= OPEN_MAX:
                del numbers[next(iter(numbers))]
            numbers[number] = said
        return headers if number == asked else {**headers, "RSeq": number}

    def acknowledged(self, prack: Request) -> tuple[Leg, Headers] | None:
        """Whose response a PRACK of the caller's means, and what goes there; None where it means none.

        RAck is the response's RSeq, the INVITE's CSeq and INVITE (RFC 3262 section 7.2), which differ leg by leg.
        """
        rack: Any = prack.headers.get("RAck")
        number, _, rest = rack.partition(" ") if isinstance(rack, str) else ("", "", "")
        whose = self._numbers.get(int(number)) if number.isascii() and number.isdigit() and len(number) < 16 else None
        if whose is None or not rest:
            return None
        leg, asked = whose
        return leg, {**prack.carried, "RAck": f"{asked} {leg.request.cseq} {rest.split(' ')[-1]}"}


def _describes(name: str) -> bool:
    """Whether a header is the Body, or says what it is."""
    return name == "Body" or name.startswith("Content-")


def completed(carried: Headers, leg: Leg | None) -> Headers:
    """What the 200 of a callee carries to the caller, where it says nothing of its own: what its provisional responses
    have said that the caller has not heard."""
    if leg is not None and leg.unheard is not None:
        return {**leg.unheard, **carried}
    return carried
