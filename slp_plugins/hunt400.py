"""hunt400: a number that rings its agents one by one until somebody answers; never its own caller.

Configuration: `agents`, number -> list of agents; `within`, how long each one rings, in seconds.
"""

from gortc import Call, Context, LegFailed, canonical, same_name, service

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
    agents = call.config["agents"].get(caller.called)
    if caller.method == "OPTIONS":  # RFC 3261 section 11.2: what an INVITE would get; who answers it, nobody knows yet
        caller.reply(caller.request, 480 if agents is None else 200, headers={"Allow": ALLOW})
        return
    if caller.method != "INVITE":
        caller.reply(caller.request, 405, headers={"Allow": ALLOW})
        return
    for agent in agents or ():
        name = agent.partition(";")[0]  # it leads there, whatever its parameters say
        if same_name(name, caller.caller) or same_name(name, caller.user):
            continue
        callee = call.leg(agent)
        try:
            answer = await callee.invite(caller.offer, within=call.config["within"], ringing=caller.ring)
        except LegFailed as failure:
            call.log.debug("{agent}: {failure}", agent=agent, failure=failure)
            continue
        await caller.answer(answer)
        await call.bridge(caller, callee)
        return
    caller.reject(480)
