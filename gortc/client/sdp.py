"""SDP (RFC 8866), as much as a phone without media needs: one audio stream, and which way it goes.

Offers and answers follow RFC 3264 sections 6 and 8.
"""

from __future__ import annotations

import random
import re

_DIRECTION = re.compile(r"^a=(sendrecv|sendonly|recvonly|inactive)\s*$", re.MULTILINE)
_NAMES = {
    (True, True): "sendrecv",
    (True, False): "sendonly",
    (False, True): "recvonly",
    (False, False): "inactive",
}
"""Whether it sends, whether it receives -> the attribute."""
_MEANINGS = {name: meaning for meaning, name in _NAMES.items()}

CONTENT = {"Content-Type": "sdp"}
"""The headers of a message with SDP."""


class Media:
    """What one side of a call says of its media. `holding`: it has put the other on hold; `held`: the other has it."""

    def __init__(self) -> None:
        self.holding = False
        self.held = False
        self._session = random.getrandbits(31)
        self._version = 0
        self._said = ""

    def offer(self, holding: bool = False) -> str:
        """An offer, with hold or without. It is in force once the answer has come: `agree`."""
        sends = not (holding and self.held)  # section 8.4: what was recvonly is put on hold as inactive
        return self._describe(_NAMES[sends, not holding])

    def agree(self, answer: object, holding: bool = False) -> None:
        """Take the `answer` to our offer."""
        self.holding = holding
        self._hear(answer)

    def answer(self, offer: object) -> str:
        """The answer to the other side's `offer`: what it offers, less what our own hold forbids (section 6.1)."""
        sends, receives = self._hear(offer)
        return self._describe(_NAMES[receives, sends and not self.holding])

    def _hear(self, description: object) -> tuple[bool, bool]:
        meaning = _MEANINGS[direction(description)]
        self.held = not meaning[1]
        return meaning

    def _describe(self, way: str) -> str:
        if way != self._said:  # section 8: a new version for each new description
            self._said = way
            self._version += 1
        lines = (
            "v=0",
            f"o=- {self._session} {self._version} IN IP4 127.0.0.1",
            "s=-",
            "c=IN IP4 127.0.0.1",
            "t=0 0",
            "m=audio 9 RTP/AVP 0",  # port 9, discard: nobody listens
            "a=rtpmap:0 PCMU/8000",
            f"a={way}",
        )
        return "".join(f"{line}\r\n" for line in lines)


def direction(description: object) -> str:
    """Which way the media of a description go; sendrecv where it doesn't say (RFC 8866 section 6.7)."""
    match = _DIRECTION.search(description) if isinstance(description, str) else None
    return match[1] if match else "sendrecv"
