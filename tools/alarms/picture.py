"""Draws the dashboard of template.yaml as docs/operations/dashboard.svg.

    python -m tools.alarms.picture           writes the picture
    python -m tools.alarms.picture --check   fails if the picture differs from the template

The values are those of a made-up day, from lines that the functions wrote on the local AWS.
"""
import argparse
import re
import sys
from collections.abc import Iterator
from html import escape

from .check import SEARCH
from .expressions import evaluate
from .scenarios import BEGIN, HOUR, MINUTE, Lines, Stack
from .template import ROOT, MetricQuery, Template, read_rows, read_source

PICTURE = ROOT / "docs" / "operations" / "dashboard.svg"
COLUMN, ROW, GAP, LEGEND = 44, 34, 5, 13
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")
SPAN = 6 * HOUR

Series = list[tuple[int, float]]


def play_day() -> Stack:
    """A batch that drains, an hour without access to the model, and a few failures."""
    stack = Stack(Lines())
    begin, end = 2 * HOUR, 3 * HOUR
    stack.sweeps(0, begin)
    stack.sweeps(begin, end, "sweep_during_hold")
    stack.sweeps(end, SPAN, "sweep_after_hold")
    for start, stop in ((0, begin), (end + 5 * MINUTE, SPAN)):
        stack.invoke("completed_within_quota", start, stop, 7)
        stack.invoke("completed", start, stop, 40)
        stack.invoke("over_quota", start, stop, 90)
        stack.invoke("one_of_ten_failed", start, stop, 25 * MINUTE)
        stack.invoke("unfit_answers", start, stop, 12 * MINUTE)
        stack.invoke("events_published", start, stop, 20, "NotifierFunction")
    stack.invoke("hold_opened", begin, begin + MINUTE, MINUTE)
    stack.invoke("waits_for_hold", begin, end, 20)
    stack.invoke("probe_failed", begin, end, 10 * MINUTE)
    stack.invoke("hold_ended", end, end + MINUTE, MINUTE)
    stack.invoke("jobs_accepted", 0, 30 * MINUTE, 3, "ProducerFunction")
    for at in range(0, SPAN, MINUTE):
        worked = min(at, begin) + max(0, at - end)
        ready = max(0, 24_000 - 1.9 * worked)
        waits = begin <= at < end
        values = {"JobsQueue": (0.0 if waits else ready, ready if waits else 100.0), "HighPriorityQueue": (0.0, 1.0)}
        for queue, (visible, hidden) in values.items():
            names = {"QueueName": queue}
            stack.metrics.add("AWS/SQS", "ApproximateNumberOfMessagesVisible", names, BEGIN + at, visible)
            stack.metrics.add("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", names, BEGIN + at, hidden)
        for function, running in (("ConsumerFunction", 1 if waits else 10), ("ProducerFunction", 1), ("NotifierFunction", 1)):
            stack.function(function, at, at + MINUTE, Errors=0, Throttles=0, ConcurrentExecutions=running)
        names = {"FunctionName": "ConsumerFunction", "ModelId": "us.amazon.nova-2-lite-v1:0"}
        stack.metrics.add("Docket", "CostNanoUsd", names, BEGIN + at, 0.0 if waits else 2_400_000.0)
    stack.api_errors(0, SPAN, MINUTE, 0)
    stack.budget(0, SPAN, MINUTE, lambda at: 0.6 * (min(at, begin) + max(0, at - end)) / SPAN)
    return stack


# -------------------------------------------------------------------- series


def read_series(stack: Stack, query: MetricQuery) -> Series:
    times = range(BEGIN, BEGIN + SPAN, query.period)
    points = ((start, stack.metrics.statistic(query, start)) for start in times)
    return [(start - BEGIN, value) for start, value in points if value is not None]


def search_series(stack: Stack, expression: str, period: int) -> Iterator[tuple[str, Series]]:
    """One series for each value of the dimension that the search leaves open."""
    [(schema, terms, stat)] = SEARCH.findall(expression)
    scale = float(match.group(1)) if (match := re.search(r"\) / (\d+)$", expression)) else 1.0
    wanted = dict(re.findall(r'(\w+)="([^"]*)"', terms))
    name = wanted.pop("MetricName")
    names = {part.strip() for part in schema.split(",")[1:]}
    for namespace, metric, dimensions in sorted(stack.metrics.values):
        values = dict(dimensions)
        if metric == name and set(values) == names and wanted.items() <= values.items():
            query = MetricQuery(namespace, metric, dimensions, stat, period)
            label = next(value for key, value in values.items() if key not in wanted)
            yield label, [(at, value / scale) for at, value in read_series(stack, query)]


def widget_series(stack: Stack, widget: dict) -> Iterator[tuple[str, str | None, Series]]:
    """The label, the colour and the values of each row."""
    rows = read_rows(widget)
    period = widget["properties"].get("period", 300)
    by_id = {row["options"]["id"]: dict(read_series(stack, row["metric"])) for row in rows
             if "metric" in row and "id" in row["options"]}
    for row in rows:
        options = row["options"]
        if options.get("visible") is False:
            continue
        if "metric" in row:
            yield options.get("label", row["metric"].name), options.get("color"), read_series(stack, row["metric"])
        elif "SEARCH(" in row["expression"]:
            for label, series in search_series(stack, row["expression"], period):
                yield label, None, series
        else:
            points = ((at, evaluate(row["expression"], {name: values.get(at) for name, values in by_id.items()}))
                      for at in range(0, SPAN, period))
            yield options.get("label", ""), options.get("color"), [(at, value) for at, value in points if value is not None]


# ------------------------------------------------------------------- drawing


def text(x: float, y: float, content: str, size: int = 11, **attributes: str) -> str:
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}"{more}>{escape(content)}</text>'


def short(value: float) -> str:
    for size, suffix in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def draw_widget(stack: Stack, widget: dict) -> Iterator[str]:
    x, y = widget["x"] * COLUMN + GAP, widget["y"] * ROW + GAP
    width, height = widget["width"] * COLUMN - 2 * GAP, widget["height"] * ROW - 2 * GAP
    properties = widget["properties"]
    if widget["type"] == "text":
        yield text(x, y + 19, properties["markdown"].lstrip("# "), 16, font_weight="bold")
        return
    yield f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="#fff" stroke="#ccc"/>'
    yield text(x + 8, y + 17, fit(properties["title"], width - 16), 12, font_weight="bold")
    if widget["type"] == "log":
        for number, line in enumerate(properties["query"].split(" | ")):
            yield text(x + 8, y + 40 + 16 * number, line, 11, font_family="monospace", fill="#555")
        return
    drawn = list(widget_series(stack, widget))
    columns = max(1, int(width // 230))
    legend = LEGEND * -(-len(drawn) // columns)
    left, top, right, bottom = x + 44, y + 28, x + width - 10, y + height - 10 - legend
    highest = max((value for _, _, series in drawn for _, value in series), default=0) or 1
    period = int(properties.get("period", 300))
    for share in (0, 0.5, 1):
        level = bottom - (bottom - top) * share
        yield f'<line x1="{left:g}" y1="{level:g}" x2="{right:g}" y2="{level:g}" stroke="#eee"/>'
        yield text(left - 5, level + 4, short(highest * share), 10, text_anchor="end", fill="#555")
    for number, (label, own_colour, series) in enumerate(drawn):
        colour = own_colour or COLOURS[number % len(COLOURS)]
        for part in split_at_gaps(series, period):
            points = " ".join(f"{left + (right - left) * at / SPAN:.1f},{bottom - (bottom - top) * value / highest:.1f}"
                              for at, value in part)
            yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        place = x + 10 + (number % columns) * (width - 16) / columns
        line = bottom + 16 + LEGEND * (number // columns)
        yield f'<rect x="{place:g}" y="{line - 8:g}" width="8" height="8" fill="{colour}"/>'
        yield text(place + 12, line, fit(label, (width - 16) / columns - 14), 10, fill="#333")


def split_at_gaps(series: Series, period: int) -> Iterator[Series]:
    """The parts of a series without a missing period. A single value becomes a short line."""
    part: Series = []
    for at, value in series:
        if part and at - part[-1][0] > period:
            yield part if len(part) > 1 else [part[0], (part[0][0] + period // 2, part[0][1])]
            part = []
        part.append((at, value))
    if part:
        yield part if len(part) > 1 else [part[0], (part[0][0] + period // 2, part[0][1])]


def fit(content: str, width: float) -> str:
    characters = int(width / 5.6)
    return content if len(content) <= characters else content[: characters - 1] + "…"


def draw(template: Template) -> str:
    stack, widgets = play_day(), template.dashboard()["widgets"]
    height = max(widget["y"] + widget["height"] for widget in widgets) * ROW
    parts = [line for widget in widgets for line in draw_widget(stack, widget)]
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * COLUMN} {height}" '
            'font-family="Helvetica, Arial, sans-serif">')
    background = '<rect width="100%" height="100%" fill="#f7f7f7"/>'
    return "\n".join([head, background, *parts, "</svg>"]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the picture differs")
    arguments = parser.parse_args()
    picture = draw(Template(read_source()))
    if not arguments.check:
        PICTURE.write_text(picture)
    elif not PICTURE.exists() or PICTURE.read_text() != picture:
        print("dashboard: dashboard.svg differs from template.yaml: run python -m tools.alarms.picture", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
