"""What a caller hears before its answer, of one callee or of several. docs/jsip.md section 4, "Two legs of one call".

A caller has one dialogue with us, whoever rings. So its provisional responses have numbers of our own (RFC 3262 section
3 wants them to rise by one in a dialogue), and it has the early media of one callee at a time (RFC 3261 section 13.2.1:
of the answers in one dialogue the first counts).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from gortc.jsip.invite_session import CALLING, EARLY
from gortc.jsip.message import Headers, Request, describes, dumps, without_body

if TYPE_CHECKING:
    from gortc.jsip.session import Session
    from gortc.service.leg import Leg

RACK: Final = re.compile(r"([0-9]{1,16}) +([0-9]{1,16}) +INVITE", re.ASCII)

MEDIALESS: Final = frozenset((182, 199))
"""What these say in their Body is no answer to the offer: a place in a queue, why a callee has gone (RFC 6228)."""

OPEN_MAX: Final = 16
"""So many reliable responses of a callee are remembered for their PRACKs, and so many of those who have gone; RFC 3262
section 3 wants one at a time."""


class Early:
    """What one caller has heard so far; `at` is when it last heard anything, on the clock, `media` who has sent the
    early media that it has."""

    def __init__(self, number: int) -> None:
        """`number` is the last RSeq that the caller has had, 0 for none."""
        self.at = 0.0
        self.media: Leg | None = None
        self._heard: dict[Session | None, tuple[int, int]] = {}
        self._last: Session | None = None
        self._rung: dict[Leg, None] = {}
        self.number = number
        self.numbers: dict[int, tuple[Leg, Session, int]] = {}
        """Whose response that asks for a PRACK (RFC 3262) the caller has heard under which number, and its own."""

    def is_repetition(self, source: Session | None, code: int, headers: Headers) -> bool:
        """Whether the caller has heard just this last: from `source` (None: the service), or from a callee that still
        rings beside it, for that two of them ring tells it nothing. Among those, what each has said last counts.

        One that asks for a PRACK (RFC 3262) is nobody else's.
        """
        said, heard, last = (code, hash(dumps(headers))), self._heard, self._last
        known = heard.get(source) == said
        if last is not source:
            beside = source is not None and last is not None and rings(last)
            known = beside and (known or ("RSeq" not in headers and heard[last] == said))
            for gone in [other for other in heard if other is not None and not rings(other)]:
                del heard[gone]
        heard[source] = said
        if not known:
            self._last = source
        return known

    def talks_to(self, source: Leg) -> Leg:
        """Whom the caller talks to now that `source` has rung: who sends early media, else who was heard of last."""
        if source not in self._rung:
            self._tidy()
            self._rung[source] = None
        media = self.media
        return media if media is not None and media.ringing else source

    def somebody(self) -> Leg | None:
        """One that still rings, where whom the caller has talked to has gone."""
        self._tidy()
        return next(iter(self._rung), None)

    def _tidy(self) -> None:
        for leg in [leg for leg in self._rung if not leg.ringing]:
            del self._rung[leg]

    def owes(self, source: Leg, code: int, headers: Headers) -> bool:
        """Whether the caller has not heard this early media yet, for that of one who has failed since."""
        media = self.media
        return source.unheard is not None and has_media(code, headers) and (media is None or not media.ringing)

    def number_anew(self, source: Leg, headers: Headers) -> None:
        """A response that the caller has had in part gets another number: one that was acknowledged means nothing a
        second time (RFC 3262 section 4)."""
        for number, (leg, _, asked) in list(self.numbers.items()):
            if leg is source and asked == headers.get("RSeq"):
                del self.numbers[number]

    def share(self, source: Leg, code: int, headers: Headers) -> Headers:
        """What of these headers of a provisional response the caller gets, while other callees may ring as well."""
        if "RSeq" in headers:
            headers = self._numbered(source, headers)
        if has_media(code, headers):
            media = self.media
            if media is None or media is source or not media.ringing:
                self.media, source.unheard = source, None
            else:  # it may be all that its 200 says later on
                source.keep_unheard({name: value for name, value in headers.items() if describes(name)})
                headers = without_body(headers)
        return headers

    def _numbered(self, source: Leg, headers: Headers) -> Headers:
        asked = headers["RSeq"]
        if type(asked) is not int:
            return headers
        assert source.session is not None
        said, numbers = (source, source.session, asked), self.numbers
        number = 0
        for known, whose in numbers.items():
            if whose == said:
                number = known
        if not number:
            alone = all(session is source.session for _, session, _ in numbers.values())
            number = self.number = asked if alone and asked > self.number else self.number + 1
            self._forget(source)
            numbers[number] = said
        return headers if number == asked else {**headers, "RSeq": number}

    def _forget(self, source: Leg) -> None:
        """Make room for one more of `source`."""
        own = [number for number, (leg, _, _) in self.numbers.items() if leg is source]
        gone = [number for number, (leg, _, _) in self.numbers.items() if leg is not source and not leg.ringing]
        for number in (*own[: max(0, len(own) - OPEN_MAX + 1)], *gone[: max(0, len(gone) - OPEN_MAX)]):
            del self.numbers[number]

    def acknowledged(self, number: int) -> tuple[Leg | None, int] | None:
        """Whose response the caller has heard under `number`, and its own number; None where there was none. No leg:
        its dialogue has gone."""
        whose = self.numbers.get(number)
        if whose is None:
            return None
        leg, session, asked = whose
        return leg if leg.session is session and leg.hears else None, asked


def acknowledges(prack: Request) -> tuple[int, int]:
    """The RSeq and the INVITE's CSeq that its RAck names (RFC 3262 section 7.2); 0 and 0 where it has none."""
    rack: Any = prack.headers.get("RAck")
    found = RACK.fullmatch(rack) if isinstance(rack, str) else None
    return (int(found[1]), int(found[2])) if found is not None else (0, 0)


def has_media(code: int, headers: Headers) -> bool:
    """Whether the Body of a provisional response is an answer to the offer."""
    return code not in MEDIALESS and headers.get("Body") is not None


def rings(session: Session) -> bool:
    """Whether the INVITE that opened it has no final response yet."""
    return not session.over and getattr(session, "state", "") in (CALLING, EARLY)
