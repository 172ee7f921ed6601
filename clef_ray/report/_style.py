"""How the report's figures look. Drawn with matplotlib's objects, not pyplot, so that nothing global is touched.

Colours are Okabe and Ito's (2008), told apart by colour-blind readers; every line also has its own marker and dash, for grey print.
A figure is written twice: as PNG for slides and papers, and as SVG inside the page, where its colours become the page's own (light or dark).
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

Grid = Literal["x", "y"]
Direction = Literal["horizontal", "vertical"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (6, 1.5)), (0, (4, 1, 1, 1)), (0, (2, 1)))
LEVELS = (
    (0, (5, 3)),
    (0, (1, 1.5)),
    (0, (8, 2, 1, 2)),
    (0, (3, 5)),
)  # dashes of horizontal and vertical levels
GREY = "#555555"
GRID = "#dddddd"
RULE = "#bbbbbb"
WIDTH, HEIGHT = 5.6, 3.8  # inches; narrow, so that the text stays readable on a phone
DPI = 200

#: The page's names for these colours (style.html); text, axes and the last series are black here and the page's ink there.
_NAMES = {
    **{colour: f"series-{index}" for index, colour in enumerate(COLOURS)},
    "#000000": "ink",
    "#ffffff": "page",
    GREY: "soft",
    GRID: "grid",
    RULE: "line",
}


@dataclass(frozen=True)
class Drawing:
    """A figure with its title and its content in words, for readers who do not see it. caption: what stands below it."""

    title: str
    alt: str
    figure: Figure
    caption: str = ""

    @property
    def told(self) -> dict[str, str]:
        """What its files say of themselves."""
        return {"Title": self.title, "Description": self.caption or self.alt}

    @cached_property
    def vectors(self) -> str:
        """As SVG, in the colours of print and with text as text; without a date."""
        buffer = io.StringIO()
        _lay_out(self.figure)
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": self.title}):
            bare = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            FigureCanvasSVG(self.figure).print_svg(buffer, metadata=bare | self.told)
        return buffer.getvalue()


def canvas(height: float = HEIGHT, grid: Grid = "y") -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes. height [inch]; grid: the axis whose lines help reading."""
    figure, ((axes,),) = panels(1, 1, height)
    tidy(axes, grid)
    return figure, axes


def panels(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure with rows x columns pairs of axes. height [inch] of the whole; options: those of `Figure.subplots`."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    return figure, [list(row) for row in figure.subplots(rows, columns, squeeze=False, **options)]


def tidy(axes: Axes, grid: Grid = "y") -> None:
    """A light grid behind the data, and no frame where there is no scale."""
    axes.grid(axis=grid, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def png(drawing: Drawing) -> bytes:
    """The drawing as PNG, its title and caption in the file's text."""
    buffer = io.BytesIO()
    _lay_out(drawing.figure)
    FigureCanvasAgg(drawing.figure).print_png(buffer, metadata=drawing.told)
    return buffer.getvalue()


def svg_file(drawing: Drawing) -> bytes:
    """The drawing as a file of its own, in the colours of print and with text that can be edited."""
    return drawing.vectors.encode()


def svg(drawing: Drawing) -> str:
    """The drawing as an element for an HTML page: text stays text in the page's font, colours are the page's variables, coordinates have
    two decimals, and no two drawings share an id.
    """
    width, height = (72 * side for side in drawing.figure.get_size_inches())
    inner = drawing.vectors.partition("<svg ")[2].partition(">")[2]
    inner = re.sub(
        r"<title>.*?</title>|<metadata>.*?</metadata>|<style.*?</style>|font-family: [^;\"]*;? ?",
        "",
        inner,
        flags=re.DOTALL,
    )
    inner = inner.replace("xlink:href", "href")
    used = set(re.findall(r"#([\w-]+)", inner))
    inner = re.sub(r' id="([\w.-]+)"', lambda found: found[0] if found[1] in used else "", inner)
    inner = re.sub(r' (?:d|x|y|transform)="[^"]*"', lambda found: _DECIMALS.sub(r"\1", found[0]), inner)
    for colour, name in _NAMES.items():
        inner = re.sub(rf"{colour}\b", f"var(--{name})", inner, flags=re.IGNORECASE)
    head = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(drawing.alt)}">'
    return head + re.sub(r"\s*\n\s*", " ", inner)


def _lay_out(figure: Figure) -> None:
    """Place everything once: laid out again for each file, it would move by a hair."""
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


_DECIMALS = re.compile(r"(\.\d\d)\d+")


def draw_levels(axes: Axes, levels: Mapping[str, float], colour: str, direction: Direction) -> None:
    """Lines at these values through the whole figure; one so far off that it would flatten what is drawn is told in the legend only."""
    low, high = axes.get_ylim() if direction == "horizontal" else axes.get_xlim()
    line = axes.axhline if direction == "horizontal" else axes.axvline
    for index, (name, level) in enumerate(levels.items()):
        if off_scale(low, high, level):
            axes.plot([], [], " ", label=f"{name}: {level:.2f} (off the scale)")
        else:
            line(
                level,
                color=colour,
                linewidth=1.1,
                linestyle=LEVELS[index % len(LEVELS)],
                label=name,
                zorder=1,
            )


def off_scale(low: float, high: float, level: float) -> bool:
    """Whether a level lies so far off that showing it would flatten what is drawn from low to high."""
    return not 2 * low - high < level < 2 * high - low


def shades() -> Colormap:
    """Cividis (Nunez et al. 2018) without its ends, which would be lost on a dark and on a white page."""
    from matplotlib import colormaps

    return LinearSegmentedColormap.from_list("shades", colormaps["cividis"](np.linspace(0.2, 0.95, 64)))
