"""What a service does wrong hurts only itself, and says so."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from twisted.python.failure import Failure

from gortc import Call, service
from gortc.testing import Lab
from slp_plugins.hunt400 import hunt400


async def foreign(call: Call) -> None:
    await asyncio.sleep(0)


async def leaves(call: Call) -> None:
    sys.exit(1)


async def cancels(call: Call) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("mistake", [foreign, leaves, cancels])
@pytest.mark.parametrize("waits", [False, True])
def test_not_even_the_reactor_notices(tracebacks: list[Failure], mistake: Callable[[Call], Any], waits: bool) -> None:
    @service("wrong")
    async def wrong(call: Call) -> None:
        if waits:
            await call.sleep(1)
        await mistake(call)

    lab = Lab(wrong)
    call = lab.user("alice").call("100")
    lab.advance(1)
    call.expect(500)
    call.ack()
    lab.check_empty()
    assert len(tracebacks) == 1
    tracebacks.clear()


@pytest.mark.parametrize("code", [99, 700, "486", 180.0, True])
def test_a_code_that_is_none(tracebacks: list[Failure], code: Any) -> None:
    @service("wrong")
    async def wrong(call: Call) -> None:
        call.caller.reject(code)

    lab = Lab(wrong)
    call = lab.user("alice").call("100")
    call.expect(500)
    call.ack()
    lab.check_empty()
    (failure,) = tracebacks
    assert failure.check(ValueError, TypeError)  # where compiled, the latter for what is no integer
    tracebacks.clear()


def test_an_expire_that_is_none(tracebacks: list[Failure]) -> None:
    @service("wrong")
    async def wrong(call: Call) -> None:
        await call.leg("bob@gortc.local").invite(headers={"Expire": "soon"})

    lab = Lab(wrong)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("100")
    call.expect(500)
    call.ack()
    bob.expect_nothing()
    assert tracebacks.pop().check(ValueError)
    lab.check_empty()


def test_a_service_that_is_no_coroutine() -> None:
    def plain(call: Call) -> None:
        """It forgets its async."""

    with pytest.raises(TypeError, match="'plain' must be an async def"):
        service("plain")(plain)  # type: ignore[arg-type]


def test_an_instance_that_has_ended_opens_nothing() -> None:
    """Neither a leg nor a relid."""
    errors: list[Exception] = []

    @service("late")
    async def late(call: Call) -> None:
        call.task.finish(603)
        for act in (lambda: call.task.open("bob@gortc.local"), call.task.relid, lambda: call.task.relate("key")):
            try:
                act()
            except RuntimeError as error:
                errors.append(error)

    lab = Lab(late)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("100")
    call.expect(603)
    call.ack()
    bob.expect_nothing()
    assert [str(error) for error in errors] == ["the instance has ended"] * 3
    lab.check_empty()


def test_hunt400_rings_nobody_for_a_message() -> None:
    lab = Lab(hunt400)
    alice, agent = lab.users("alice", "agent1")
    alice.open("MESSAGE", "400", "hello").expect(405)
    agent.expect_nothing()
    lab.check_empty()


def test_hunt400_with_a_misspelt_configuration(tracebacks: list[Failure]) -> None:
    lab = Lab(hunt400, config={"hunt400": {"agentz": {}}})
    assert lab.node.services.get("hunt400") is None
    assert "agentz" in str(tracebacks.pop().value)
    tracebacks.clear()
