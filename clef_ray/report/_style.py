"""How the report's figures look. Drawn with matplotlib's objects, not pyplot, so that nothing global is touched.

Colours are Okabe and Ito's (2008), told apart by colour-blind readers; every line also has its own marker and dash, for grey print.
"""

import io
from collections.abc import Mapping
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

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
WIDTH, HEIGHT = 6.8, 4.2  # inches; a text column of A4
DPI = 160


def canvas(height: float = HEIGHT, grid: Grid = "y") -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes. height [inch]; grid: the axis whose lines help reading."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    tidy(axes, grid)
    return figure, axes


def tidy(axes: Axes, grid: Grid = "y") -> None:
    """A light grid behind the data, and no frame where there is no scale."""
    axes.grid(axis=grid, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def png(figure: Figure) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


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
