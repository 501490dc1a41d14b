"""hunt400: a number that rings its agents one by one until somebody answers; never its own caller.

Configuration: `agents`, number -> list of agents; `within`, how long each one rings, in seconds.
"""

from gortc import Call, Context, Leg, LegFailed, canonical, service

ALLOW = "INVITE, OPTIONS"


def prepare(context: Context) -> None:
    """The default: 400 at the node's own realm, and three agents there."""
    realm = context.realm
    default = {"agents": {f"400@{realm}": [f"agent{number}@{realm}" for number in (1, 2, 3)]}, "within": 15}
    unknown = context.config.keys() - default.keys()
    if unknown:
        raise ValueError(f"hunt400: no such configuration: {', '.join(sorted(unknown))}")
    config = {**default, **context.config}
    agents = {canonical(number): agents for number, agents in config["agents"].items()}
    context.config = {**config, "agents": agents}


@service("hunt400", prepare)
async def hunt400(call: Call) -> None:
    """Busy, refused, offline and no answer go on to the next agent; the caller's CANCEL stops all."""
    caller = call.caller
    agents = [agent for agent in call.config["agents"].get(caller.called, ()) if not is_caller(agent, caller)]
    if caller.method == "OPTIONS":  # RFC 3261 section 11.2: what an INVITE would get; who answers it, nobody knows yet
        caller.reply(caller.request, 200 if agents else 480, headers={"Allow": ALLOW})
        return
    if caller.method != "INVITE":
        caller.reply(caller.request, 405, headers={"Allow": ALLOW})
        return
    for agent in agents:
        callee = call.leg(agent)
        try:
            answer = await callee.invite(caller.offer, within=call.config["within"], ringing=caller.ring)
        except LegFailed as failure:
            call.log.debug("{agent}: {failure}", agent=agent, failure=failure)
            if failure.code == 413 and failure.response is not None and failure.response.local:
                raise  # the offer is too large to be sent to anybody
            continue
        await caller.answer(answer)
        await call.bridge(caller, callee)
        return
    caller.reject(480)


def is_caller(agent: str, caller: Leg) -> bool:
    """Whether a call to `agent` would ring its own caller."""
    try:
        called = caller.call.leg(agent).called
    except ValueError:  # no address: nobody
        return False
    return called in (canonical(caller.caller), canonical(caller.user))
