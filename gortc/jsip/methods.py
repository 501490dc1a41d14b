"""The request methods of JSIP: SIP's own, docs/jsip.md section 2."""

from typing import Final

INVITE: Final = "INVITE"
ACK: Final = "ACK"
BYE: Final = "BYE"
CANCEL: Final = "CANCEL"
REGISTER: Final = "REGISTER"
OPTIONS: Final = "OPTIONS"
INFO: Final = "INFO"
UPDATE: Final = "UPDATE"
PRACK: Final = "PRACK"
SUBSCRIBE: Final = "SUBSCRIBE"
MESSAGE: Final = "MESSAGE"
NOTIFY: Final = "NOTIFY"

TERM: Final = "TERM"
"""Not a method and never on the wire: the event that a session is over, given to the service exactly once."""

PEER_LOST: Final = "PEER_LOST"
PEER_RESUMED: Final = "PEER_RESUMED"
"""Never on the wire, too: the events that the peer of a session has lost its connection, and is back."""

METHODS: Final = frozenset(
    (INVITE, ACK, BYE, CANCEL, REGISTER, OPTIONS, INFO, UPDATE, PRACK, SUBSCRIBE, MESSAGE, NOTIFY)
)

STARTERS: Final = frozenset((INVITE, REGISTER, OPTIONS, MESSAGE, SUBSCRIBE))
"""Those that may start a session (section 6); a received one of the others, in no known dialogue, gets 481."""

OPENERS: Final = STARTERS | {NOTIFY}
"""Those with which a service may open a session: a NOTIFY comes of a SUBSCRIBE, whose session its answer has ended."""

FREE: Final = frozenset((ACK, BYE, CANCEL))
"""What ends something, or has no answer, is never turned away."""

ALLOW: Final = ", ".join(sorted(METHODS))
"""The value of the `Allow` header of a 405."""
