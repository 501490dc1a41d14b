"""The loaded services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gortc.oam.route import READ, Answer, Query, Route

if TYPE_CHECKING:
    from gortc.node import Node


def routes(node: Node) -> list[Route]:
    """Everything below /slpm/v1."""

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

    return [Route("GET", "/slpm/v1/slps", READ, "The loaded services, with their instances and failures.", slps)]
