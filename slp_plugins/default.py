"""default: connects the caller to the user in the Request-URI. It takes what no `type` in a Router takes.

Who is connected can be reached, so there is nothing to register: a REGISTER of one's own name says that it is so.

Configuration: `numbers`, Request-URI (shell patterns allowed) -> the service that takes calls to it. Brackets with a
colon between them are an IPv6 host, not a choice of characters.
"""

import re
from fnmatch import fnmatchcase
from urllib.parse import unquote

from twisted.internet.defer import TimeoutError

from gortc import Call, Context, Leg, LegFailed, canonical, same_name, service

ALLOW = "INVITE, MESSAGE, OPTIONS, REGISTER"
OPTIONS_WAIT = 4.0
"""How long a user who is asked by OPTIONS may think, in seconds: longer than a connection to another node may take."""
EXPIRE = 3600
"""How long a registration is said to hold where the user doesn't say, in seconds (RFC 3261 section 10.2.1.1)."""


IPV6 = re.compile(r"\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]")
PREFIX = re.compile("sips?:", re.IGNORECASE)


def prepare(context: Context) -> None:
    """The default: 400 at the node's own realm is hunt400's."""
    config = {"numbers": {f"400@{context.realm}": "hunt400"}, **context.config}
    context.config = {**config, "numbers": {pattern(number): name for number, name in config["numbers"].items()}}


def pattern(number: str) -> str:
    """The shell pattern for names in their one spelling; what is no pattern is spelled as a name is."""
    user, at, host = number.rpartition("@")
    host = canonical(host)
    if at and "[" in user:  # `[0-9]` means something to the pattern, and nothing to a name
        number = f"{unquote(PREFIX.sub('', user, count=1))}@{host}"
    else:
        number = canonical(f"{user}{at}{host}")
    return IPV6.sub(r"[[]\1]", number)


def taker(context: Context, called: str) -> str | None:
    """The service that takes calls to this number; None where it is none."""
    name: str
    for number, name in context.config["numbers"].items():
        if fnmatchcase(called, number):
            return name
    return None


@service("default", prepare, taker)
async def default(call: Call) -> None:
    """A call becomes two bridged legs; a MESSAGE or an OPTIONS goes to its user, and the answer comes back."""
    caller, method = call.caller, call.caller.method
    name = taker(call.task.context, caller.called)
    if name is not None:
        try:
            call.become(name)
        except LookupError as missing:
            caller.reject(404, str(missing))
        return
    if method == "OPTIONS" and "@" not in caller.called:  # the node itself
        caller.reply(caller.request, 200, headers={"Allow": ALLOW})
        return
    if method == "REGISTER":
        register(caller)
        return
    if method not in ("INVITE", "MESSAGE", "OPTIONS"):
        caller.reply(caller.request, 405, headers={"Allow": ALLOW})
        return
    callee = call.leg(caller.uri)
    if method == "OPTIONS":
        await ask(call, callee)
        return
    if method == "MESSAGE":
        response = await callee.send(
            method,
            caller.offer,
            call.onward,
            progress=lambda response: caller.reply(caller.request, response.code, headers=response.carried),
        )
        caller.reply(caller.request, response.code, headers=response.carried)
        return
    call.link(caller, callee)  # INFO, UPDATE and PRACK pass before the answer, too
    router = caller.request.get("Router")  # what dispatch has left of it: the way that the caller meant
    answer = await callee.invite(caller.offer, ringing=caller.ring, headers={"Router": router} if router else None)
    await caller.answer(answer)
    await call.bridge(caller, callee)


async def ask(call: Call, callee: Leg) -> None:
    """What an INVITE would get (RFC 3261 section 11.2). Many clients don't know OPTIONS, and can be called all the
    same."""
    caller = call.caller
    asked = callee.send("OPTIONS", caller.offer, call.onward)
    asked.addTimeout(OPTIONS_WAIT, call.timers.clock)  # type: ignore[arg-type]  # it has what this needs
    try:
        response = await asked
    except TimeoutError:
        caller.reply(caller.request, 200, headers={"Allow": ALLOW})
    except LegFailed as failure:
        if failure.code not in (405, 501):
            raise
        caller.reply(caller.request, 200, headers={"Allow": ALLOW})
    else:
        caller.reply(caller.request, response.code, headers=response.carried)


def register(user: Leg) -> None:
    """One's own name is one's own (RFC 3261 section 10.3 step 4): To must be who is connected, in any spelling."""
    if same_name(user.request.headers["To"], user.user):
        user.reply(user.request, 200, headers={"Expire": user.request.get("Expire", EXPIRE)})
    else:
        user.reply(user.request, 403, headers={"Reason": f"you are {user.user}"})
