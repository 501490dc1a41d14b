"""Services that the flows of RFC 5359 need besides those that ship: each a few lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from gortc import Call, Leg, LegFailed, service


async def connect(call: Call, callee: Leg, within: float | None = None) -> None:
    """Call the callee for the caller, and let them talk."""
    caller = call.caller
    await caller.answer(await callee.invite(caller.offer, within=within, ringing=caller.ring))
    await call.bridge(caller, callee)


async def introduce(call: Call, one: Leg, other: Leg) -> None:
    """Call two parties, and let them talk: the first one makes the offer (RFC 3725 section 4.1)."""
    offered = await one.invite()
    answer = await other.invite(offered.body)
    other.ack(answer)
    one.ack(offered, answer.body)
    await call.bridge(one, other)


@service("forward")
async def forward(call: Call) -> None:
    """Forwarding: `on` always, 486 (busy) or 408 (no answer `within` seconds), `to` whom."""
    on = call.config["on"]
    if on != "always":
        try:
            await connect(call, call.leg(call.caller.uri), call.config.get("within"))
            return
        except LegFailed as failure:
            if failure.code != on or call.caller.answered:
                raise
    call.caller.ring(code=181)
    await connect(call, call.leg(call.config["to"]))


@service("screen")
async def screen(call: Call) -> None:
    """Screening: who may not call whom, `refused`, a list of [caller, callee]."""
    if [call.caller.user, call.caller.called] in call.config["refused"]:
        call.caller.reject(403, "screened")
    else:
        await connect(call, call.leg(call.caller.uri))


@service("find_me")
async def find_me(call: Call) -> None:
    """Rings all `places` at once; who answers first has the call."""
    caller = call.caller
    places = [call.leg(place) for place in call.config["places"]]
    callee, answer = await call.ring_all(places, caller.offer, ringing=caller.ring)
    await caller.answer(answer)
    await call.bridge(caller, callee)


async def talk(call: Call) -> Leg:
    """Connect the caller to whom it has called, without a bridge. Returns the callee."""
    caller, callee = call.caller, call.leg(call.caller.uri)
    await caller.answer(await callee.invite(caller.offer, ringing=caller.ring))
    return callee


def tie(one: Leg, other: Leg) -> None:
    """When `one` hangs up, hang up the `other`."""
    one.closed().addCallback(lambda _: other.hang_up())


@service("hold_music")
async def hold_music(call: Call) -> None:
    """The caller's hold leaves the callee with the music that `music` offers."""
    caller, callee = call.caller, await talk(call)
    tie(callee, caller)
    music = None
    async for request in caller.requests:
        if "a=sendonly" in request.body:
            music = call.leg(call.config["music"])
            offered = await music.invite()
            held = await callee.invite(offered.body)
            callee.ack(held)
            music.ack(offered, held.body)
            caller.reply(request, 200, "a=inactive")
        else:
            if music is not None:
                music.hang_up()
            answer = await callee.invite(request.body)
            callee.ack(answer)
            caller.reply(request, 200, answer.body)


@service("transfer")
async def transfer(call: Call) -> None:
    """The callee transfers its caller to whom its INFO names; where that fails, both go on talking."""
    caller, callee = call.caller, await talk(call)
    tie(caller, callee)
    async for request in callee.requests:
        callee.reply(request, 202)
        target = call.leg(request.body["transfer"])
        try:
            offered = await target.invite()
        except LegFailed as failure:
            await callee.send("INFO", {"transfer": failure.code})
            continue
        answer = await caller.invite(offered.body)
        caller.ack(answer)
        target.ack(offered, answer.body)
        callee.send("INFO", {"transfer": 200}).addErrback(lambda _: None)  # it may have hung up already
        await call.bridge(caller, target)


@service("three_way")
async def three_way(call: Call) -> None:
    """The caller's INFO names a third party: from then on all talk to the `mixer`, an offer."""
    caller, callee = call.caller, await talk(call)
    tie(callee, caller)
    async for request in caller.requests:
        third = call.leg(request.body["add"])
        for leg in (third, caller, callee):
            leg.ack(await leg.invite(call.config["mixer"]))
        caller.reply(request)


@service("park")
async def park(call: Call) -> None:
    """Parks its caller, with `music`, until another one comes with the same relid to retrieve it."""
    parked, retrievers = call.caller, call.joined
    await parked.answer(call.config["music"])
    async for other in retrievers:
        await other.answer(await parked.invite(other.offer))
        await call.bridge(parked, other)


@service("pickup")
async def pickup(call: Call) -> None:
    """While the callee rings, another one may take its call: with the callee's name as its relid, and no offer."""
    caller, callee, others = call.caller, call.leg(call.caller.uri), call.joined
    call.task.relate(caller.called.partition("@")[0])
    ringing = callee.invite(caller.offer, ringing=caller.ring)
    joining = Deferred.fromCoroutine(_first(others))
    await DeferredList([ringing, joining], fireOnOneCallback=True, consumeErrors=True)  # type: ignore[call-overload]
    if joining.called:
        ringing.cancel()
        callee = await joining
        ack = await callee.answer(caller.offer)
        await caller.answer(ack.body)
    else:
        joining.cancel()
        await caller.answer(await ringing)
    await call.bridge(caller, callee)


async def _first(legs: AsyncIterator[Leg]) -> Leg:
    async for leg in legs:
        return leg
    raise LegFailed(487)


@service("redial")
async def redial(call: Call) -> None:
    """A busy callee is asked `every` so many seconds whether it is free; then both are called."""
    caller = call.caller
    try:
        await connect(call, call.leg(caller.uri))
        return
    except LegFailed as failure:
        if failure.code != 486:
            raise
        caller.reject(failure)
    phone = call.leg(caller.user, caller=caller.called, callee=caller.user)
    while True:
        await call.sleep(call.config["every"])
        try:
            await call.leg(caller.uri).send("OPTIONS")  # RFC 3261 section 11.2: answered as an INVITE would be
        except LegFailed:
            continue
        await introduce(call, phone, call.leg(caller.uri))
        return


@service("click_to_dial")
async def click_to_dial(call: Call) -> None:
    """A MESSAGE names a `phone` and whom it shall `call`."""
    click = call.caller
    click.reply(click.request, 202)
    await introduce(call, call.leg(click.offer["phone"]), call.leg(click.offer["call"]))


NO_OPENERS = ("BYE", "ACK", "CANCEL", "UPDATE", "INVENTED")


@service("mistaken")
async def mistaken(call: Call) -> None:
    """Does what no service can, as its caller's Body says to whom; answers with what has failed at once."""
    task, request, whom = call.task, call.caller.request, call.caller.offer["whom"]
    sent = task.request(request.session, "INFO", "once")
    no_request: Any = sent.session
    headers = {
        "DialogueID": "mine", "CSeq": 7, "From": whom, "To": whom, "Type": "BYE", "RelatedID": 1,
        "Expire": "soon", "Max-Forwards": -1, "Router": 5,
    }  # fmt: skip
    mistakes: dict[str, Callable[[], object]] = {
        **{f"open {method}": partial(task.open, whom, method) for method in NO_OPENERS},
        **{name: partial(task.open, whom, headers={name: value}) for name, value in headers.items()},
        "TERM": partial(task.request, request.session, "TERM"),
        "answer": partial(task.answer, no_request, 200),
        "again": partial(task.send, sent),
    }
    failed = []
    for name, mistake in mistakes.items():
        try:
            mistake()
        except (ValueError, TypeError):
            failed.append(name)
    await call.caller.answer(failed)
    await call.caller.closed()


ALL = (
    forward, screen, find_me, hold_music, transfer, three_way, park, pickup, redial, click_to_dial, mistaken,
)  # fmt: skip
"""What the flows load besides what ships."""
