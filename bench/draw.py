"""Draws bench/results: one figure per measure in docs/performance, and the tables of docs/internals/benchmark-results.md.

In the page, only the text between `<!-- measures -->` and `<!-- /measures -->` is
replaced. With --check nothing is written, and differences are an error.
"""
import argparse
import json
import re
import sys
from pathlib import Path

from figure import draw_svg, format_number

BENCH = Path(__file__).resolve().parent
RESULTS, DOCS = BENCH / "results", BENCH.parent / "docs"
PAGE, FIGURES = DOCS / "internals" / "benchmark-results.md", DOCS / "performance"
SECTION = re.compile(r"(<!-- measures -->\n).*?(<!-- /measures -->)", re.S)
DOCKET = "docket"
# The measures in the order of the page: the quantities that are shown (None: all), and a description.
MEASURES = {
    "start": (["time", "memory"], "A cold start of the process, without Lambda's part of it. Docket is one file; Python reads the packages of boto3 first."),
    "first": (["time"], "The first document of a cold environment, with TLS handshakes to table and model. The processor is a full one, or the share of the smallest memory size."),
    "cold": (None, "The slowest requests of a cold environment with the processor share of 512 MB. They decide the time-outs of table and bucket."),
    "cpu": (["time"], "Processor time per document in a warm environment. The remaining duration of a document is waiting time."),
    "environment": (["time"], "The time that Lambda bills. The documents of a batch wait concurrently, so larger batches cost less per document."),
    "requests": (["all"], "Requests per message, by the state of its job."),
    "duplicates": (["extra model calls", "overwritten results", "lost jobs"], "All variants have the same seeded schedule of second deliveries, crashes and late answers."),
    "memory": (None, "Peak memory while a batch is processed."),
    "headline": (["wall time"], "The complete stack on the local AWS, from the queue to the last stored result. The line is 1.15 × the bound by the model's time."),
    "size": (["zip", "unpacked", "clean build"], "The size of the packages that are uploaded, and that Lambda loads before the first start."),
    "submit": (["time", "memory", "second run", "results"], "The command line, with a folder of ten thousand files. The line is 1.15 × the time of `aws s3 sync`."),
    "quota": (["quota used", "fullest minute", "calls throttled", "extra writes a job", "function time", "total time"], "A model with a quota of tokens, and all documents in the queue at the start."),
}


def read_results() -> list[dict]:
    found = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    unknown = [name for name in found if name not in MEASURES]
    return [found[name] for name in [*MEASURES, *unknown] if name in found]


def select_quantities(result: dict) -> list[str]:
    """The quantities that the figure and the table show."""
    recorded = list(dict.fromkeys(one["quantity"] for one in result["series"]))
    chosen = MEASURES.get(result["measure"], ([recorded[0]], ""))[0] or recorded
    return [name for name in chosen if name in recorded] or recorded[:1]


def format_series(one: dict, runs: int) -> str:
    """Median and range; also the number of runs with a value, if not all have one."""
    spread = f" ({format_number(one['min'])}–{format_number(one['max'])})" if one["min"] != one["max"] else ""
    some = f", {len(one['values'])} of {runs} runs" if len(one["values"]) < runs else ""
    return f"{format_number(one['median'])}{spread}{some}"


def select_ratios(result: dict, variant: str, at: str, quantity: str) -> list[str]:
    """The ratios of a peer, under one condition and for one quantity."""
    recorded = list(dict.fromkeys(one["quantity"] for one in result["series"] if one["quantity"]))
    found = []
    for ratio in result["ratios"]:
        name = ratio["name"]
        if f"{variant} ÷ {DOCKET}" not in name or (at and not has_label(name, at)):
            continue
        named = [other for other in recorded if has_label(name, other)]
        if quantity in named or (not named and quantity in recorded[:1]):
            spread = f" ({format_number(ratio['min'])}–{format_number(ratio['max'])})" if ratio["min"] != ratio["max"] else ""
            found.append(f"{format_number(ratio['value'])}×{spread}")
    return found


def has_label(ratio_name: str, label: str) -> bool:
    """Whether a condition or a quantity is a part of the ratio's name."""
    return re.search(rf"(^|[ ,]){re.escape(label)}($|[ ,:])", ratio_name) is not None


def make_rows(result: dict) -> list[list[str]]:
    """The rows of a measure: one for each quantity and condition."""
    lines = []
    for quantity in select_quantities(result):
        series = [one for one in result["series"] if one["quantity"] == quantity]
        for at in dict.fromkeys(one["at"] for one in series):
            group = [one for one in series if one["at"] == at]
            docket = [f"{format_series(one, count_runs(result))} {one['unit']}" for one in group if one["variant"] == DOCKET]
            peers = [one for one in group if one["variant"] != DOCKET]
            values = [f"{one['variant']} {format_series(one, count_runs(result))}" for one in peers]
            ratios = [
                f"{one['variant']} {ratio}" for one in peers for ratio in select_ratios(result, one["variant"], at, quantity)[:1]
            ]
            name = ", ".join(label for label in (quantity, at) if label)
            lines.append([name, "<br>".join(docket), "<br>".join(values), "<br>".join(ratios)])
    return lines


def count_runs(result: dict) -> int:
    return max(len(one["values"]) for one in result["series"])


def format_repeats(result: dict) -> str:
    count = count_runs(result)
    return f"{count} repeats" if count > 1 else "one run"


def make_table(results: list[dict]) -> str:
    lines = ["| measure | Docket | peers | ratio | bar | reached | command |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for result in results:
        bars = "<br>".join(bar["text"] for bar in result["bars"])
        reached = "<br>".join(f"{'yes' if bar['reached'] else '**no**'} ({format_number(bar['value'])})" for bar in result["bars"])
        for index, row in enumerate(make_rows(result)):
            is_first = index == 0
            name = f"[{result['title']}](#{result['measure']}), {format_repeats(result)}: {row[0]}" if is_first else row[0]
            end = [bars, reached, f"`{result['command']}`"] if is_first else ["", "", ""]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in [name, *row[1:], *end]) + " |")
    return "\n".join(lines)


def describe_machines(results: list[dict]) -> str:
    """Each machine once, with the measures that were taken on it."""
    taken: dict[str, list[str]] = {}
    for result in results:
        machine, versions = result["machine"], result["versions"]
        description = (
            f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
            f"{machine['rustc'].split(' (')[0]}, Python {machine['python']}; "
            + ", ".join(f"{name} {version}" for name, version in versions.items())
        )
        taken.setdefault(description, []).append(f"{result['measure']} ({result['recorded_at'][:10]})")
    return "\n\n".join(f"Machine: {description}. Measures: {', '.join(names)}." for description, names in taken.items())


def describe_measure(result: dict) -> str:
    """The section of a measure: description, figure and notes."""
    name = result["measure"]
    description = MEASURES.get(name, (None, ""))[1]
    notes = "\n".join(f"- {note}" for note in result["notes"])
    return "\n\n".join(
        piece
        for piece in (
            f'<a id="{name}"></a>',
            f"#### {result['title']}",
            description,
            f"![{result['title']}](../performance/{name}.svg)",
            notes,
        )
        if piece
    )


def make_section(results: list[dict]) -> str:
    introduction = (
        "The values are medians, with the range of the repeats in brackets. A ratio compares values of the same repeat. "
        "[bench/results](../../bench/results) has the values of every repeat. `make bench` takes all measures again and "
        "rewrites this section."
    )
    return "\n\n".join([introduction, make_table(results), describe_machines(results), *map(describe_measure, results)]) + "\n"


def render_files(results: list[dict]) -> dict[Path, str]:
    """The expected content of every generated file."""
    page = PAGE.read_text()
    if not SECTION.search(page):
        raise SystemExit(f"draw: {PAGE.name} must have the lines <!-- measures --> and <!-- /measures -->")
    files = {FIGURES / f"{result['measure']}.svg": draw_svg(result, select_quantities(result)) for result in results}
    if not results:
        return files
    return files | {PAGE: SECTION.sub(lambda match: f"{match[1]}\n{make_section(results)}\n{match[2]}", page)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the docs differ from the results")
    check = parser.parse_args().check
    files = render_files(read_results())
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    stale += [path for path in sorted(FIGURES.glob("*.svg")) if path not in files]
    if check and stale:
        names = ", ".join(str(path.relative_to(DOCS)) for path in stale)
        print(f"draw: docs differ from bench/results ({names}): run `python3 bench/draw.py`", file=sys.stderr)
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
