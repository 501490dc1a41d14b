"""The request methods of JSIP: SIP's own, docs/jsip.md section 2."""

INVITE = "INVITE"
ACK = "ACK"
BYE = "BYE"
CANCEL = "CANCEL"
REGISTER = "REGISTER"
OPTIONS = "OPTIONS"
INFO = "INFO"
UPDATE = "UPDATE"
PRACK = "PRACK"
SUBSCRIBE = "SUBSCRIBE"
MESSAGE = "MESSAGE"
NOTIFY = "NOTIFY"

TERM = "TERM"
"""Not a method and never on the wire: the event that a session is over, given to the service exactly once."""

METHODS = frozenset((INVITE, ACK, BYE, CANCEL, REGISTER, OPTIONS, INFO, UPDATE, PRACK, SUBSCRIBE, MESSAGE, NOTIFY))

STARTERS = frozenset((INVITE, REGISTER, OPTIONS, MESSAGE, SUBSCRIBE))
"""Those that may start a session (section 6); a received one of the others, in no known dialogue, gets 481."""

ALLOW = ", ".join(sorted(METHODS))
"""The value of the `Allow` header of a 405."""
