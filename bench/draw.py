"""Draws what bench/results says: a figure a measure into docs/performance, and the table of docs/internals/benchmark-results.md.

Only what stands between `<!-- measures -->` and `<!-- /measures -->` there is
written anew. With --check nothing is written: what differs is told.
"""
import argparse
import json
import re
import sys
from pathlib import Path

from figure import shown, svg

BENCH = Path(__file__).resolve().parent
RESULTS, DOCS = BENCH / "results", BENCH.parent / "docs"
PAGE, FIGURES = DOCS / "internals" / "benchmark-results.md", DOCS / "performance"
SECTION = re.compile(r"(<!-- measures -->\n).*?(<!-- /measures -->)", re.S)
DOCKET = "docket"
# The order of the page, what is drawn of each, and what the reader shall see in it.
MEASURES = {
    "start": (["time", "memory"], "A cold start of the process, without Lambda's own part. Rust brings one file; Python reads boto3's packages first."),
    "first": (["time"], "A cold environment's first document, with TLS handshakes to table and model, at a whole processor and at the share of the smallest memory size."),
    "cpu": (["time"], "What a document costs the processor when everything is warm; the rest of its seconds is waiting."),
    "environment": (["time"], "What Lambda bills: a batch waits together, so that a document's part of the wait shrinks with the batch."),
    "requests": (["all"], "How many requests a message leads to, by what it finds."),
    "duplicates": (["extra model calls", "overwritten results", "lost jobs"], "The same seeded schedule of second deliveries, crashes and late answers for each."),
    "memory": (None, "What a batch holds at its peak."),
    "headline": (["wall time"], "The whole stack on the local AWS, from the queue to the last row; the line is 1.15 times the bound that the model's time sets."),
    "size": (["zip", "unpacked", "clean build"], "What is uploaded, and read before the first start."),
    "quota": (["quota used", "fullest minute", "calls throttled", "extra writes a job", "function time", "total time"], "A model with a quota of tokens, and all documents handed in at once."),
}


def results() -> list[dict]:
    found = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    unknown = [name for name in found if name not in MEASURES]
    return [found[name] for name in [*MEASURES, *unknown] if name in found]


def quantities(result: dict) -> list[str]:
    """Those that are drawn and stand in the table."""
    there = list(dict.fromkeys(one["quantity"] for one in result["series"]))
    chosen = MEASURES.get(result["measure"], ([there[0]], ""))[0] or there
    return [name for name in chosen if name in there] or there[:1]


def value(one: dict, runs: int) -> str:
    """Its median and range; and in how many of the runs it was found, if not in all."""
    spread = f" ({shown(one['min'])}–{shown(one['max'])})" if one["min"] != one["max"] else ""
    some = f", {len(one['values'])} of {runs} runs" if len(one["values"]) < runs else ""
    return f"{shown(one['median'])}{spread}{some}"


def ratios(result: dict, variant: str, at: str, quantity: str) -> list[str]:
    """Those of the result that are of this peer, at this place, of this quantity."""
    there = list(dict.fromkeys(one["quantity"] for one in result["series"] if one["quantity"]))
    found = []
    for ratio in result["ratios"]:
        name = ratio["name"]
        if f"{variant} ÷ {DOCKET}" not in name or (at and not of_place(name, at)):
            continue
        named = [other for other in there if of_place(name, other)]
        if quantity in named or (not named and quantity in there[:1]):
            spread = f" ({shown(ratio['min'])}–{shown(ratio['max'])})" if ratio["min"] != ratio["max"] else ""
            found.append(f"{shown(ratio['value'])}×{spread}")
    return found


def of_place(name: str, at: str) -> bool:
    return re.search(rf"(^|[ ,]){re.escape(at)}($|[ ,:])", name) is not None


def rows(result: dict) -> list[list[str]]:
    """The measure's lines of the table: one a quantity and place."""
    lines = []
    for quantity in quantities(result):
        series = [one for one in result["series"] if one["quantity"] == quantity]
        for at in dict.fromkeys(one["at"] for one in series):
            group = [one for one in series if one["at"] == at]
            own = [f"{value(one, runs(result))} {one['unit']}" for one in group if one["variant"] == DOCKET]
            peers = [one for one in group if one["variant"] != DOCKET]
            told = [f"{one['variant']} {value(one, runs(result))}" for one in peers]
            compared = [f"{one['variant']} {found}" for one in peers for found in ratios(result, one["variant"], at, quantity)[:1]]
            what = ", ".join(part for part in (quantity, at) if part)
            lines.append([what, "<br>".join(own), "<br>".join(told), "<br>".join(compared)])
    return lines


def runs(result: dict) -> int:
    return max(len(one["values"]) for one in result["series"])


def repeats(result: dict) -> str:
    count = runs(result)
    return f"{count} repeats" if count > 1 else "one run"


def table(found: list[dict]) -> str:
    lines = ["| what | Docket | peers | ratio | bar | reached | command |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for result in found:
        bars = "<br>".join(bar["text"] for bar in result["bars"])
        reached = "<br>".join(f"{'yes' if bar['reached'] else '**no**'} ({shown(bar['value'])})" for bar in result["bars"])
        for place, row in enumerate(rows(result)):
            first = place == 0
            what = f"[{result['title']}](#{result['measure']}), {repeats(result)}: {row[0]}" if first else row[0]
            end = [bars, reached, f"`{result['command']}`"] if first else ["", "", ""]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in [what, *row[1:], *end]) + " |")
    return "\n".join(lines)


def machines(found: list[dict]) -> str:
    """Each machine once, with the measures that were taken on it."""
    taken: dict[str, list[str]] = {}
    for result in found:
        machine, versions = result["machine"], result["versions"]
        what = (
            f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
            f"{machine['rustc'].split(' (')[0]}, Python {machine['python']}; "
            + ", ".join(f"{name} {version}" for name, version in versions.items())
        )
        taken.setdefault(what, []).append(f"{result['measure']} ({result['recorded_at'][:10]})")
    return "\n\n".join(f"Machine: {what}. Taken on it: {', '.join(names)}." for what, names in taken.items())


def part(result: dict) -> str:
    """The figure and what is to be known of it."""
    name = result["measure"]
    said = MEASURES.get(name, (None, ""))[1]
    notes = "\n".join(f"- {note}" for note in result["notes"])
    return "\n\n".join(
        piece
        for piece in (
            f'<a id="{name}"></a>',
            f"#### {result['title']}",
            said,
            f"![{result['title']}](../performance/{name}.svg)",
            notes,
        )
        if piece
    )


def section(found: list[dict]) -> str:
    how = (
        "Medians, and the range of the repeats in brackets; a ratio is of values taken in the same repeat. Every "
        "value, repeat by repeat, lies in [bench/results](../../bench/results). `make bench` takes all of them again "
        "and writes this section."
    )
    return "\n\n".join([how, table(found), machines(found), *map(part, found)]) + "\n"


def wanted(found: list[dict]) -> dict[Path, str]:
    """Every file, as it must be."""
    page = PAGE.read_text()
    if not SECTION.search(page):
        raise SystemExit(f"draw: {PAGE.name} has no <!-- measures --> and <!-- /measures -->")
    files = {FIGURES / f"{result['measure']}.svg": svg(result, quantities(result)) for result in found}
    if not found:
        return files
    return files | {PAGE: SECTION.sub(lambda match: f"{match[1]}\n{section(found)}\n{match[2]}", page)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing: fail if the docs are not what the results say")
    check = parser.parse_args().check
    files = wanted(results())
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    stale += [path for path in sorted(FIGURES.glob("*.svg")) if path not in files]
    if check and stale:
        names = ", ".join(str(path.relative_to(DOCS)) for path in stale)
        print(f"draw: docs are not what bench/results says ({names}): python3 bench/draw.py", file=sys.stderr)
        return 1
    if not check:
        FIGURES.mkdir(exist_ok=True)
        for path in stale:
            if path in files:
                path.write_text(files[path])
            else:
                path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
