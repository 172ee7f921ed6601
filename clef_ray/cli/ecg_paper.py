"""A picture of some records as on ECG paper: 25 mm/s and 10 mm/mV, large squares of 0.2 s and 0.5 mV, both axes in units."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clef_ray.datasets import LEADS

#: Paper: inches per second and per mV, and the longest piece that is drawn.
PER_SECOND, PER_MILLIVOLT, LONGEST = 25 / 25.4, 10 / 25.4, 10.0

#: mV between two rows: as close as paper has them; a tall wave runs into its neighbour there too.
ROW = 2.5

#: More rows than this make no readable page.
MOST_ROWS = 12

_PAPER, _FINE, _COARSE, _INK = "#fffafa", "#f6d5d5", "#e8a5a5", "#111111"


@dataclass(frozen=True, slots=True)
class Strip:
    """One record to draw. mv_CT: mV [leads, samples], NaN = invalid; fs [Hz]; title: what stands above it."""

    title: str
    mv_CT: NDArray[np.float32]
    fs: float
    leads: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return float(min(self.mv_CT.shape[1] / self.fs, LONGEST))


@dataclass(frozen=True, slots=True)
class _Piece:
    """One lead from `start` to `stop` [s] in a row, 0 the topmost."""

    lead: int
    row: int
    start: float
    stop: float


def draw(strips: Sequence[Strip]) -> bytes:
    """The records one below the other, as PNG."""
    plans = [_plan(strip) for strip in strips]
    spans = [_span(strip, plan) for strip, plan in zip(strips, plans, strict=True)]
    wide = max(strip.seconds for strip in strips)
    high = [(top - bottom) * PER_MILLIVOLT for bottom, top in spans]
    left, right, above, below = 0.62, 0.2, 0.34, 0.44  # inches around each record, for title and axes
    width, height = left + wide * PER_SECOND + right, sum(high) + len(high) * (above + below)
    figure = Figure(figsize=(max(width, 5.0), height), dpi=130, facecolor="white")
    top = height
    for strip, plan, span, inches in zip(strips, plans, spans, high, strict=True):
        top -= above + inches
        box = (
            left / max(width, 5.0),
            top / height,
            strip.seconds * PER_SECOND / max(width, 5.0),
            inches / height,
        )
        _draw_one(figure.add_axes(box), strip, plan, span)
        top -= below
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _plan(strip: Strip) -> list[_Piece]:
    """Twelve leads as four columns of three and a whole lead II below; other leads one below the other."""
    if not set(LEADS) <= set(strip.leads):
        return [_Piece(lead, lead, 0.0, strip.seconds) for lead in range(min(len(strip.leads), MOST_ROWS))]
    quarter = strip.seconds / 4
    grid = [
        _Piece(strip.leads.index(name), index % 3, quarter * (index // 3), quarter * (index // 3 + 1))
        for index, name in enumerate(LEADS)
    ]
    return [*grid, _Piece(strip.leads.index("II"), 3, 0.0, strip.seconds)]


def _piece_mv(strip: Strip, piece: _Piece) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Times [s] and mV of a piece around its median."""
    first, last = round(piece.start * strip.fs), round(piece.stop * strip.fs)
    mv_T = strip.mv_CT[piece.lead, first:last]
    middle = np.nanmedian(mv_T) if np.isfinite(mv_T).any() else np.float32(0)
    return np.arange(first, first + len(mv_T)) / strip.fs, mv_T - middle


def _span(strip: Strip, plan: Sequence[_Piece]) -> tuple[float, float]:
    """Lowest and highest mV on the page, 0 in the top row's middle: room for the waves of every row, two rows at most above and below."""
    last = max(piece.row for piece in plan)
    drawn = [(_piece_mv(strip, piece)[1], -piece.row * ROW) for piece in plan]
    high = max(float(np.nanmax(mv_T, initial=0)) + zero for mv_T, zero in drawn) + 0.2
    low = min(float(np.nanmin(mv_T, initial=0)) + zero for mv_T, zero in drawn) - 0.2
    bottom = -last * ROW
    return max(min(low, bottom - 0.5 * ROW), bottom - 2 * ROW), min(max(high, 0.5 * ROW), 2 * ROW)


def _draw_one(axes: Axes, strip: Strip, plan: Sequence[_Piece], span: tuple[float, float]) -> None:
    _paper(axes, strip.seconds, *span, rows=1 + max(piece.row for piece in plan))
    for piece in plan:
        time_T, mv_T = _piece_mv(strip, piece)
        axes.plot(time_T, mv_T - piece.row * ROW, color=_INK, linewidth=0.7, solid_joinstyle="round")
        name_at = (piece.start + 0.06, 0.3 * ROW - piece.row * ROW)
        box = {"facecolor": _PAPER, "edgecolor": "none", "pad": 1.0}
        axes.annotate(
            strip.leads[piece.lead], name_at, fontsize=8, weight="bold", color=_INK, bbox=box, zorder=1
        )
        if piece.start > 0:
            axes.plot([piece.start] * 2, np.array([-0.25, 0.25]) - piece.row * ROW, color=_INK, linewidth=1.2)
    axes.set_title(strip.title, fontsize=9, loc="left")
    axes.set_title("25 mm/s, 10 mm/mV, each lead around its median", fontsize=7, loc="right", color="#555555")


def _paper(axes: Axes, seconds: float, bottom: float, top: float, rows: int) -> None:
    """The squares, and on the axes seconds and the mV of each row around its own zero."""
    axes.set(xlim=(0, seconds), ylim=(bottom, top), facecolor=_PAPER)
    for across, up, colour, line in ((0.04, 0.1, _FINE, 0.35), (0.2, 0.5, _COARSE, 0.55)):
        x = np.arange(0, seconds + across / 2, across)
        y = np.arange(np.ceil(bottom / up), np.floor(top / up) + 1) * up
        squares = [[(v, bottom), (v, top)] for v in x] + [[(0, v), (seconds, v)] for v in y]
        axes.add_collection(LineCollection(squares, colors=colour, linewidths=line, zorder=0))
    ticks = [(mv - row * ROW, f"{mv:g}") for row in range(rows) for mv in (-1, 0, 1)]
    axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks], fontsize=6)
    axes.set_xticks(np.arange(0, seconds + 1e-9, 1.0 if seconds > 2 else 0.2))
    axes.tick_params(axis="x", labelsize=7)
    axes.tick_params(length=2, color=_COARSE)
    axes.set_xlabel("time [s]", fontsize=7, labelpad=1)
    axes.set_ylabel("lead [mV]", fontsize=7, labelpad=2)
    for spine in axes.spines.values():
        spine.set_color(_COARSE)
