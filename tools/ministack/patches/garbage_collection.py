"""Full garbage collections do not pause the services.

AWS: an AWS service has no such pauses, and no page documents one.

ministack: tables, streams and logs stay in memory. A full collection of Python's
garbage collector walks all of them and stops every service: 0.3 s after 10,000
jobs, 1 s after 40,000.

The patch: the threshold of the oldest generation becomes so high that full
collections practically never run. Reference counting frees memory as before. A
reference cycle that reached the oldest generation stays until the process ends.
Python 3.14 and newer ignore this threshold and collect in small steps.
"""
import gc

from ..patch import Patch, Target

OLDEST_GENERATION_THRESHOLD = 1_000_000


def is_needed() -> bool:
    return gc.get_threshold()[2] < OLDEST_GENERATION_THRESHOLD


def apply(environment) -> None:
    gc.set_threshold(*gc.get_threshold()[:2], OLDEST_GENERATION_THRESHOLD)


PATCH = Patch("garbage_collection", (Target(gc, "get_threshold"), Target(gc, "set_threshold")), is_needed, apply)
