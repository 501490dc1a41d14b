"""The loaded services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gortc.jsip.uri import BadURI
from gortc.oam.route import BAD_VALUE, READ, Answer, Problem, Query, Route
from gortc.service.context import Context
from gortc.service.task import Task

if TYPE_CHECKING:
    from gortc.node import Node


def routes(node: Node) -> list[Route]:
    """What there is, and which one would get a request."""

    def slps(query: Query) -> Answer:
        rows = [
            {
                "name": context.name,
                "plugin": context.logic.name,
                "module": context.logic.__module__,
                "instances": len(context.tasks),
                "total": context.total,
                "failures": context.failures,
            }
            for context in node.services
        ]
        return {"slps": rows}

    def which(query: Query) -> Answer:
        try:
            found, why = node.dispatch.which(query.get("router"), query.get("uri", ""))
        except BadURI as bad:
            raise Problem(400, BAD_VALUE, str(bad)) from None
        instance = found if isinstance(found, Task) else None
        context = instance.context if instance is not None else found
        return {
            "service": context.name if isinstance(context, Context) else None,
            "legs": [session.dialogue_id for session in instance.sessions] if instance is not None else None,
            "why": why,
        }

    asked = {"uri": "Its Request-URI.", "router": "Its Router, where it has one."}
    text = "Which service, or which instance by its legs, would get a first request, and why."
    return [
        Route("GET", "/slpm/v1/slps", READ, "The loaded services, with their instances and failures.", slps),
        Route("GET", "/runtime/v1/which", READ, text, which, asked),
    ]
