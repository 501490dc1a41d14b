"""echo: answers a call with its own offer, a MESSAGE with its own Body. For trying things out."""

from gortc import Call, service


@service("echo")
async def echo(call: Call) -> None:
    """Ring, answer, and stay until the caller hangs up."""
    caller = call.caller
    if caller.method == "INVITE":
        caller.ring()
        await caller.answer(headers=caller.headers)
        await caller.closed()
    else:
        caller.reply(caller.request, 200, caller.offer)
