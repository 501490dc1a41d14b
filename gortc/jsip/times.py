"""The times of the stack: docs/jsip.md section 5."""

from attrs import field, frozen
from attrs.validators import ge, gt


@frozen
class Times:
    """Every time of the stack, in seconds, with its default (docs/jsip.md section 5)."""

    transaction: float = field(default=5.0, validator=gt(0))
    """A request but INVITE, until its first response."""
    provisional: float = field(default=60.0, validator=gt(0))
    """The same after a provisional response."""
    invite: float = field(default=60.0, validator=gt(0))
    """An INVITE until its final response; each 1xx but 100 starts it again."""
    invite_max: float = field(default=600.0, validator=gt(0))
    """An INVITE until its final response, in all."""
    cancel: float = field(default=32.0, validator=gt(0))
    """A cancelled INVITE, until its final response (RFC 3261 section 9.1: 64*T1)."""
    ack: float = field(default=32.0, validator=gt(0))
    """A 2xx to an INVITE, until its ACK (RFC 3261 section 13.3.1.4: 64*T1)."""
    error_ack: float = field(default=5.0, validator=gt(0))
    """A 3xx..6xx to an INVITE, until its ACK."""
    session: int = field(default=600, validator=ge(1))
    """`Expire` of an INVITE that names none, and of our own."""
    session_min: int = field(default=10, validator=ge(1))
    """The least `Expire` taken; less gets 423 with `Min-Expire`."""
    session_max: int = field(default=86400, validator=ge(1))
    """The most `Expire` taken; more is taken as this."""
    session_margin: float = field(default=5.0, validator=ge(0))
    """How long after `Expire` a session without refresh is hung up."""
    absent: float = field(default=10.0, validator=ge(0))
    """A caller without a connection whose call was answered, until the callee is told that it is not there."""
    grace: float = field(default=120.0, validator=gt(0))
    """A peer without a connection, until its dialogues end."""
    connect: float = field(default=3.0, validator=gt(0))
    """A connection to a next hop, until it is made; and a first request that waits for it."""
    back_off_min: float = field(default=0.5, validator=gt(0))
    """The least pause before a next hop is tried again."""
    back_off_max: float = field(default=30.0, validator=gt(0))
    """The longest such pause; how long it is in between is left to chance."""
    idle: float = field(default=60.0, validator=gt(0))
    """A connection to a next hop that nobody uses, until it is closed."""
    ping: float = field(default=15.0, validator=gt(0))
    """Between two pings of a connection."""
    dead: float = field(default=40.0, validator=gt(0))
    """A connection from which nothing arrived for so long is dropped."""
    write: float = field(default=20.0, validator=gt(0))
    """A connection whose peer reads nothing, while something waits for it, is dropped."""
    drain: float = field(default=60.0, validator=ge(0))
    """Calls that go on while the server drains, until they are hung up; 0: at once."""
