"""More connections may wait to be accepted.

AWS: no caller of Docket meets the backlog of a service's listening socket, and
no page documents one.

ministack: its server, Hypercorn, lets 100 connections wait. A starting batch
opens more at once. The system drops the surplus, and TCP retries it a second
later, so the batch starts late.

The patch: 4,096 connections may wait.
"""
from hypercorn.config import Config

from ..patch import Patch, Target

BACKLOG = 4_096


def is_needed() -> bool:
    return Config().backlog < BACKLOG


def apply(environment) -> None:
    Config.backlog = BACKLOG


PATCH = Patch("connection_backlog", (Target(Config, "backlog"),), is_needed, apply)
