"""Docket's consumer measured against consumers in Python, in the same run, on this machine.

Each measure takes its variants in turn, A B A B, as many times as --repeats
says, and writes every value, median, range and ratio to bench/results. A value
whose work was not really done ends the run.
"""
import argparse
import importlib
import os
import signal
import sys
import time
from pathlib import Path

import negative_control
import peers_python
from lab import Lab, Stop, fail, say
from results import RESULTS, ROOT

TARGET = ROOT / "target"
MEASURES = ("start", "first", "cpu", "environment", "requests", "duplicates", "memory", "size", "headline", "quota")
REPEATS = 5


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    some = f"some of {', '.join(MEASURES)}, separated by commas; all by default"
    parser.add_argument("--measures", default="", help=some)
    often = "how often each is taken; 5 by default, 15 for start, 11 for cpu; size is taken once, whatever it says"
    parser.add_argument("--repeats", type=int, help=often)
    more = (
        "add the repeats to those that the result has, of the same binary (that the bench is the same, nobody checks): what "
        "takes hours may be taken in parts. With --repeats 0 ratios, bars and notes alone are made anew (not of size)"
    )
    parser.add_argument("--add", action="store_true", help=more)
    aws = "the local AWS's port, for headline and quota; the stand-in takes the next, and quota's two others begin 10 and 20 above"
    parser.add_argument("--port", type=int, default=4666, help=aws)
    built = "size: take the time of a release build from nothing, too"
    parser.add_argument("--clean-build", action="store_true", help=built)
    parser.add_argument("--bin-dir", type=Path, default=TARGET / "release", help="where the consumer is; target/release by default")
    servers = "where bench_services and bedrock_stand_in are; target/servers/examples by default"
    parser.add_argument("--services-dir", type=Path, default=TARGET / "servers" / "examples", help=servers)
    parser.add_argument("--negative-control", action="store_true", help="measure nothing: see that work not done is noticed")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write")
    return parser.parse_args()


def wanted(names: str) -> list[str]:
    chosen = [name.strip() for name in names.replace(" ", ",").split(",") if name.strip()] or list(MEASURES)
    unknown = [name for name in chosen if name not in MEASURES]
    if unknown:
        raise Stop(f"{unknown[0]} is no measure; there are {', '.join(MEASURES)}")
    return chosen


def measure(lab: Lab, name: str, repeats: int | None, into: Path) -> list[str]:
    """Takes it, writes it down, and gives the bars that were not reached."""
    begun = time.monotonic()
    module = importlib.import_module(f"measures.{name}")
    result = module.run(lab, getattr(module, "REPEATS", REPEATS) if repeats is None else repeats)
    for note in lab.notes:
        result.note(note)
    path = result.write(lab.consumer, into)
    for ratio in result.ratios:
        say(f"  {ratio.name}: {ratio.value:g} ({ratio.min:g} to {ratio.max:g})")
    for bar in result.bars:
        say(f"  {'reached' if bar.reached else 'NOT REACHED'}: {bar.text} ({bar.value:g})")
    say(f"{name} took {time.monotonic() - begun:.0f} s: {os.path.relpath(path)}")
    return [f"{name}: {bar.text} ({bar.value:g})" for bar in result.bars if not bar.reached]


def main() -> int:
    asked = arguments()
    # Whoever ends it so ends what it started, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        chosen = wanted(asked.measures)
        if asked.repeats is not None and asked.repeats < (0 if asked.add else 1):
            raise Stop("--repeats wants 1 or more")
        peers_python.ready()
        with Lab(asked.bin_dir, asked.services_dir) as lab:
            lab.port, lab.clean_build = asked.port, asked.clean_build
            lab.add_to = asked.results if asked.add else None
            if asked.negative_control:
                negative_control.run(lab)
                return 0
            missed = [bar for name in chosen for bar in measure(lab, name, asked.repeats, asked.results)]
            for bar in missed:
                say(f"NOT REACHED: {bar}")
    except Stop as stop:
        return fail(stop)
    except KeyboardInterrupt:
        return fail(Stop("stopped"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
