"""hunt400: a number that rings its agents one by one until somebody answers.

Configuration: `agents`, number -> list of agents; `within`, how long each one rings, in seconds.
"""

from gortc import Call, Context, LegFailed, canonical, service


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
    if call.caller.method != "INVITE":
        call.caller.reject(405, "calls only")
        return
    for agent in call.config["agents"].get(call.caller.called, ()):
        callee = call.leg(agent)
        try:
            answer = await callee.invite(call.caller.offer, within=call.config["within"], ringing=call.caller.ring)
        except LegFailed as failure:
            call.log.debug("{agent}: {failure}", agent=agent, failure=failure)
            continue
        await call.caller.answer(answer)
        await call.bridge(call.caller, callee)
        return
    call.caller.reject(480)
