"""Measures Docket's consumer and consumers in Python, in the same run, on this machine.

Each measure runs its variants in turn, A B A B, --repeats times. It writes every
value, median, range and ratio to bench/results. The run ends with an error if a
variant did not do the measured work.
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
from lab import BenchError, Lab, print_error, print_status
from results import RESULTS, ROOT

TARGET = ROOT / "target"
MEASURES = ("start", "first", "cold", "cpu", "environment", "requests", "duplicates", "memory", "size", "submit", "headline", "quota")
REPEATS = 5


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = f"comma-separated names out of {', '.join(MEASURES)}; default all"
    parser.add_argument("--measures", default="", help=measures)
    repeats = "number of repeats; default 5, but 15 for start and 11 for cpu; size always has one"
    parser.add_argument("--repeats", type=int, help=repeats)
    add = (
        "add the repeats to the recorded results, so that long measures can be taken in parts. The binary, the versions "
        "and the machine must be the same; a change of the benchmark itself is not detected. --repeats 0 only rewrites "
        "ratios, bars and notes (not for size)"
    )
    parser.add_argument("--add", action="store_true", help=add)
    port = "port of the local AWS for headline and quota; the stand-in uses the next port, further local AWSs begin 10 and 20 above"
    parser.add_argument("--port", type=int, default=4666, help=port)
    clean_build = "size: also measure a release build without cached artifacts"
    parser.add_argument("--clean-build", action="store_true", help=clean_build)
    parser.add_argument("--bin-dir", type=Path, default=TARGET / "release", help="directory of the consumer; default target/release")
    services = "directory of bench_services and bedrock_stand_in; default target/servers"
    parser.add_argument("--services-dir", type=Path, default=TARGET / "servers", help=services)
    negative_control = "measure nothing; verify that the benchmark detects work that was not done"
    parser.add_argument("--negative-control", action="store_true", help=negative_control)
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory to write to; default bench/results")
    return parser.parse_args()


def select_measures(names: str) -> list[str]:
    chosen = [name.strip() for name in names.replace(" ", ",").split(",") if name.strip()] or list(MEASURES)
    unknown = [name for name in chosen if name not in MEASURES]
    if unknown:
        raise BenchError(f"unknown measure {unknown[0]}: use {', '.join(MEASURES)}")
    return chosen


def take_measure(lab: Lab, name: str, repeats: int | None, directory: Path) -> list[str]:
    """Takes a measure, writes its result, and returns the bars that were not reached."""
    started = time.monotonic()
    module = importlib.import_module(f"measures.{name}")
    result = module.run(lab, getattr(module, "REPEATS", REPEATS) if repeats is None else repeats)
    for note in lab.notes:
        result.add_note(note)
    path = result.write(lab.consumer, directory)
    for ratio in result.ratios:
        print_status(f"  {ratio.name}: {ratio.value:g} ({ratio.min:g} to {ratio.max:g})")
    for bar in result.bars:
        print_status(f"  {'reached' if bar.reached else 'NOT REACHED'}: {bar.text} ({bar.value:g})")
    print_status(f"{name} took {time.monotonic() - started:.0f} s: {os.path.relpath(path)}")
    return [f"{name}: {bar.text} ({bar.value:g})" for bar in result.bars if not bar.reached]


def main() -> int:
    arguments = parse_arguments()
    # SIGTERM must end the started processes too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        chosen = select_measures(arguments.measures)
        if arguments.repeats is not None and arguments.repeats < (0 if arguments.add else 1):
            raise BenchError("--repeats must be 1 or more, or 0 with --add")
        peers_python.install_peers()
        with Lab(arguments.bin_dir, arguments.services_dir) as lab:
            lab.port, lab.clean_build = arguments.port, arguments.clean_build
            lab.add_to = arguments.results if arguments.add else None
            if arguments.negative_control:
                negative_control.run(lab)
                return 0
            missed = [bar for name in chosen for bar in take_measure(lab, name, arguments.repeats, arguments.results)]
            for bar in missed:
                print_status(f"NOT REACHED: {bar}")
    except BenchError as error:
        return print_error(error)
    except KeyboardInterrupt:
        return print_error(BenchError("interrupted"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
