"""default: connects the caller to the user in the Request-URI. It takes what no `type` in a Router takes.

Who is connected can be reached, so there is nothing to register: a REGISTER of one's own name says that it is so.

Configuration: `numbers`, Request-URI (shell patterns allowed) -> the service that takes calls to it. Brackets with a
colon between them are an IPv6 host, not a choice of characters.
"""

import re
from fnmatch import fnmatchcase

from gortc import Call, Context, Leg, service

ALLOW = "INVITE, MESSAGE, OPTIONS, REGISTER"
EXPIRE = 3600
"""How long a registration is said to hold where the user doesn't say, in seconds (RFC 3261 section 10.2.1.1)."""


IPV6 = re.compile(r"\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]")


def prepare(context: Context) -> None:
    """The default: 400 at the node's own realm is hunt400's."""
    config = {"numbers": {f"400@{context.realm}": "hunt400"}, **context.config}
    numbers = {IPV6.sub(r"[[]\1]", pattern): name for pattern, name in config["numbers"].items()}
    context.config = {**config, "numbers": numbers}


def taker(context: Context, called: str) -> str | None:
    """The service that takes calls to this number; None where it is none."""
    name: str
    for pattern, name in context.config["numbers"].items():
        if fnmatchcase(called, pattern):
            return name
    return None


@service("default", prepare, taker)
async def default(call: Call) -> None:
    """A call becomes two bridged legs; a MESSAGE goes to its user, and the answer comes back."""
    caller = call.caller
    name = taker(call.task.context, caller.called)
    if name is not None:
        try:
            call.become(name)
        except LookupError as missing:
            caller.reject(404, str(missing))
        return
    if caller.method == "OPTIONS":
        caller.reply(caller.request, 200)
        return
    if caller.method == "REGISTER":
        register(caller)
        return
    if caller.method not in ("INVITE", "MESSAGE"):
        caller.reply(caller.request, 405, headers={"Allow": ALLOW})
        return
    callee = call.leg(caller.uri)
    if caller.method == "MESSAGE":
        response = await callee.send(
            caller.method,
            caller.offer,
            call.onward,
            progress=lambda response: caller.reply(caller.request, response.code, headers=response.carried),
        )
        caller.reply(caller.request, response.code, headers=response.carried)
        return
    call.link(caller, callee)  # INFO, UPDATE and PRACK pass before the answer, too
    answer = await callee.invite(caller.offer, ringing=caller.ring, headers=call.onward)
    await caller.answer(answer)
    await call.bridge(caller, callee)


def register(user: Leg) -> None:
    """One's own name is one's own (RFC 3261 section 10.3 step 4): To must be who is connected."""
    if user.request.headers["To"] == user.user:
        user.reply(user.request, 200, headers={"Expire": user.request.get("Expire", EXPIRE)})
    else:
        user.reply(user.request, 403, headers={"Reason": f"you are {user.user}"})
