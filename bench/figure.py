"""Draws a measure as SVG: one bar per variant with its median, the range as a whisker, and the target as a line.

It uses no library, so that the same values give the same file. The background is light
or dark, as the reader's system is.
"""
import math
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT = 760, 232, 150
ROW, GAP, HEAD, AXIS = 20, 9, 34, 30
# The axis is logarithmic if the largest value is this multiple of the smallest.
LOG_FROM = 20
# Maximum length of a condition's label on the line of the first variant.
LABEL_CHARS = 14
VARIANTS = ("docket", "docket, no admission", "powertools-threads", "powertools", "plain", "powertools-threads, 40 calls")
STYLE = """
svg{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.halo{stroke-width:3px;stroke-linejoin:round;fill:#ffffff;stroke:#ffffff}
.ground{fill:#ffffff}.text{fill:#24292f}.soft{fill:#57606a}.grid{stroke:#d0d7de}
.whisker{stroke:#24292f}.goal{stroke:#cf222e;stroke-dasharray:4 3}.goaltext{fill:#cf222e}
.v0{fill:#0969da}.v1{fill:#80b8f0}.v2{fill:#bf8700}.v3{fill:#d4a72c}.v4{fill:#8c959f}.v5{fill:#e8c468}
@media (prefers-color-scheme:dark){
.halo{fill:#0d1117;stroke:#0d1117}.ground{fill:#0d1117}.text{fill:#e6edf3}.soft{fill:#9198a1}.grid{stroke:#30363d}
.whisker{stroke:#e6edf3}.goal{stroke:#ff7b72}.goaltext{fill:#ff7b72}
.v0{fill:#58a6ff}.v1{fill:#1f5a99}.v2{fill:#d29922}.v3{fill:#9e6a03}.v4{fill:#6e7681}.v5{fill:#6b4700}}
"""


def format_number(value: float) -> str:
    """Three significant digits, and all digits before the decimal point."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass
class Axis:
    """Maps values to x positions between LEFT and the right edge."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def for_values(cls, values: list[float]) -> "Axis":
        high = max(values) or 1
        positive = [value for value in values if value > 0]
        if positive and len(positive) == len(values) and high / min(positive) > LOG_FROM:
            return cls(10 ** math.floor(math.log10(min(positive) * 0.999)), high, True)
        return cls(0, high, False)

    def position(self, value: float) -> float:
        span = WIDTH - LEFT - RIGHT
        if self.logarithmic:
            fraction = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            fraction = value / self.high
        return round(LEFT + span * fraction, 1)

    def ticks(self) -> list[float]:
        if self.logarithmic:
            first, last = round(math.log10(self.low)), math.floor(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        step = 10 ** math.floor(math.log10(self.high))
        step = next(size for size in (step / 5, step / 2, step, step * 2) if self.high / size <= 6)
        return [step * number for number in range(int(self.high / step) + 1)]


class Drawing:
    def __init__(self) -> None:
        self.parts: list[str] = []
        # Drawn last, above the lines of the targets.
        self.values: list[tuple[float, float, str]] = []
        self.y = 0.0

    def text(self, x: float, y: float, words: str, style: str = "text", anchor: str = "start", more: str = "") -> None:
        self.parts.append(f'<text class="{style}" x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{escape(words)}</text>')

    def line(self, style: str, x1: float, y1: float, x2: float, y2: float, width: float = 1) -> None:
        self.parts.append(f'<line class="{style}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke-width="{width:g}"/>')

    def draw_panel(self, result: dict, quantity: str, title: str) -> None:
        """Draws all values of one quantity, grouped by condition."""
        series = [one for one in result["series"] if one["quantity"] == quantity]
        goals = [bar for bar in result["bars"] if bar.get("goal") is not None and bar["quantity"] == quantity]
        axis = Axis.for_values([one[key] for one in series for key in ("min", "max")] + [bar["goal"] for bar in goals])
        unit = series[0]["unit"]
        self.text(16, self.y + 16, f"{title} ({unit}{', logarithmic' if axis.logarithmic else ''})", "text", more=' font-weight="600"')
        self.y += HEAD
        top, ranks = self.y, {name: rank for rank, name in enumerate(VARIANTS)}
        grid = len(self.parts)
        for at in dict.fromkeys(one["at"] for one in series):
            group = sorted((one for one in series if one["at"] == at), key=lambda one: ranks.get(one["variant"], 9))
            group_top = self.y
            if at:
                self.text(16, self.y + 14, at, "soft")
            if len(at) > LABEL_CHARS:
                self.y += ROW - 2  # Otherwise the label would overlap the variants' names.
            for one in group:
                self.draw_bar(axis, one, ranks.get(one["variant"], len(VARIANTS) - 1))
            for bar in goals:
                if bar["at"] in ("", at):
                    self.line("goal", axis.position(bar["goal"]), group_top - 4, axis.position(bar["goal"]), self.y - 2, 1.5)
            self.y += GAP
        bottom = self.y
        lines = []
        for tick in axis.ticks():
            x = axis.position(tick)
            lines.append(f'<line class="grid" x1="{x:g}" y1="{top - 6:g}" x2="{x:g}" y2="{bottom - 4:g}"/>')
            self.text(x, bottom + 10, format_number(tick), "soft", "middle")
        self.parts[grid:grid] = lines
        while self.values:
            label = self.values.pop(0)
            self.text(*label, "halo")
            self.text(*label, "soft")
        self.y += AXIS

    def draw_bar(self, axis: Axis, one: dict, rank: int) -> None:
        y, end = self.y, axis.position(one["median"])
        self.text(LEFT - 8, y + 13, one["variant"], "text", "end")
        self.parts.append(
            f'<rect class="v{rank}" x="{LEFT}" y="{y + 2:g}" width="{max(end - LEFT, 1):g}" height="{ROW - 5}" rx="2"/>'
        )
        low, high = axis.position(one["min"]), axis.position(one["max"])
        if high - low > 1:
            middle = y + 2 + (ROW - 5) / 2
            self.line("whisker", low, middle, high, middle)
            for x in (low, high):
                self.line("whisker", x, middle - 3, x, middle + 3)
        spread = f" ({format_number(one['min'])} to {format_number(one['max'])})" if one["min"] != one["max"] else ""
        self.values.append((max(end, high) + 6, y + 13, format_number(one["median"]) + spread))
        self.y += ROW


def draw_svg(result: dict, quantities: list[str]) -> str:
    drawing = Drawing()
    drawing.text(16, 24, result["title"], more=' font-size="15" font-weight="600"')
    drawing.y = 36
    for quantity in quantities:
        drawing.draw_panel(result, quantity, quantity or result["measure"])
    if any(bar.get("goal") is not None for bar in result["bars"]):
        drawing.line("goal", 16, drawing.y + 2, 40, drawing.y + 2, 1.5)
        drawing.text(46, drawing.y + 6, "bar to reach", "goaltext")
        drawing.y += 20
    height = round(drawing.y + 6)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="{escape(result["title"], quote=True)}">'
    )
    ground = f'<rect class="ground" width="{WIDTH}" height="{height}" rx="6"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", ground, *drawing.parts, "</svg>"]) + "\n"
