"""gortc: a telecom application server. What a service author needs is here; the rest is free to change."""

from gortc.jsip.message import Request, Response
from gortc.jsip.session import Session
from gortc.jsip.times import Times
from gortc.jsip.uri import canonical, same_name
from gortc.oam.interfaces import IAPI, APIContext, Asked, IAccess
from gortc.oam.route import Problem
from gortc.service.call import Call
from gortc.service.context import Context
from gortc.service.interfaces import IServiceInstance, IServiceLogic
from gortc.service.leg import Leg
from gortc.service.outcome import LegFailed
from gortc.service.plugin import service
from gortc.service.registry import Use
from gortc.service.task import START, Task
from gortc.settings import Settings
from gortc.transport.route import Route

__version__ = "0.1.0"
__all__ = [
    "IAPI",
    "START",
    "APIContext",
    "Asked",
    "Call",
    "Context",
    "IAccess",
    "IServiceInstance",
    "IServiceLogic",
    "Leg",
    "LegFailed",
    "Problem",
    "Request",
    "Response",
    "Route",
    "Session",
    "Settings",
    "Task",
    "Times",
    "Use",
    "canonical",
    "same_name",
    "service",
]
