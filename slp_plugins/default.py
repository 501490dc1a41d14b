"""default: connects the caller to the user in the Request-URI. It takes what no `type` in a Router takes.

Configuration: `numbers`, Request-URI (shell patterns allowed) -> the service that takes calls to it.
"""

from fnmatch import fnmatchcase

from gortc import Call, Context, service


def prepare(context: Context) -> None:
    """The default: 400 at the node's own realm is hunt400's."""
    context.config = {"numbers": {f"400@{context.realm}": "hunt400"}, **context.config}


@service("default", prepare)
async def default(call: Call) -> None:
    """A call becomes two bridged legs; a MESSAGE goes to its user, and the answer comes back."""
    caller = call.caller
    for pattern, name in call.config["numbers"].items():
        if fnmatchcase(caller.called, pattern):
            try:
                call.become(name)
            except LookupError as missing:
                caller.reject(404, str(missing))
            return
    if caller.method == "OPTIONS":
        caller.reply(caller.request, 200)
        return
    if caller.method not in ("INVITE", "MESSAGE"):
        caller.reply(caller.request, 405, headers={"Allow": "INVITE, MESSAGE, OPTIONS"})
        return
    callee = call.leg(caller.uri)
    if caller.method == "MESSAGE":
        response = await callee.send(caller.method, caller.offer, call.onward)
        caller.reply(caller.request, response.code, headers=response.carried)
        return
    call.link(caller, callee)  # INFO, UPDATE and PRACK pass before the answer, too
    answer = await callee.invite(caller.offer, ringing=caller.ring, headers=call.onward)
    await caller.answer(answer)
    await call.bridge(caller, callee)
