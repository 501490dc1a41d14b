"""What the tests of the coroutine level share."""

from __future__ import annotations

from gortc import Call, LegFailed
from gortc.testing import Lab, Talk


async def connect(call: Call) -> None:
    """Connect the caller to whom it has called."""
    callee = call.leg(call.caller.called)
    answer = await callee.invite(call.caller.offer, ringing=call.caller.ring)
    await call.caller.answer(answer)
    await call.bridge(call.caller, callee)


async def outcome(waiting: object) -> object:
    """What the awaitable comes to: its value, or the LegFailed."""
    try:
        return await waiting  # type: ignore[misc]
    except LegFailed as failure:
        return failure


def answered(lab: Lab, called: str = "service") -> Talk:
    """Alice calls a service that answers at once."""
    call = lab.user("alice").call(called, "an offer")
    call.expect(200)
    call.ack("in the ACK")
    return call


def hang_up(lab: Lab, talk: Talk) -> None:
    """The user hangs up, and nothing is left."""
    talk.bye()
    talk.expect(200)
    talk.expect_nothing()
    lab.check_empty()
