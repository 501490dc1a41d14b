"""echo: for trying things out."""

from __future__ import annotations

from gortc.testing import Lab
from slp_plugins.echo import echo


def test_call() -> None:
    lab = Lab(echo)
    call = lab.user("alice").call("echo", "an offer", X_Note="n")
    call.expect(180)
    call.expect(200, Body="an offer", X_Note="n")
    call.ack()
    lab.advance(100)
    call.bye()
    call.expect(200)
    lab.check_empty()


def test_call_without_an_ack() -> None:
    lab = Lab(echo)
    call = lab.user("alice").call("echo")
    call.expect(180)
    call.expect(200)
    lab.advance(32)
    call.reply(200, to=call.expect("BYE"))
    lab.check_empty()


def test_message() -> None:
    lab = Lab(echo)
    alice = lab.user("alice")
    alice.open("MESSAGE", "echo", {"any": ["JSON", None]}).expect(200, Body={"any": ["JSON", None]})
    alice.open("OPTIONS", "echo").expect(200)
    lab.check_empty()
