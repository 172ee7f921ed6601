"""The report of `evaluate.associations`: what each score alone says about each class, value and label set, in pictures and tables."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from clef_ray.evaluate.associations import NULL, Association, Found, Statistic, permuted
from clef_ray.report._style import COLOURS, GREY, GRID, MARKERS, Drawing, canvas, png, svg, svg_file
from clef_ray.report._templates import templates
from clef_ray.report.wording import number
from clef_ray.store import Store

#: Behind a value whose own interval excludes the null. No star, which in the reports of ablations has survived a correction.
MARK = "°"

READING = (
    "AUROC: a score alone as a test for a class, nothing fitted; below 0.5 those with the class have the lower scores. RSA: rank correlation "
    "between the differences of two people's scores and of their labels (Jaccard distance), over a sample of at most 50,000 pairs. All with 95 % intervals over resampled patients, "
    f"one by one ({MARK}: it excludes the null, 0.5 or 0, uncorrected): of twenty that say nothing one is expected to. The permuted score shows how many did so here. "
    "An encoder that is guided by a score and then asked for a class that the score already tells apart has been shown part of the answer: "
    "hold its AUROC against the score's own."
)

#: Statistics with one figure per score -> the figure's scale, the table's heading and its first column.
_OVER_SCORES: Mapping[Statistic, tuple[str, str, str]] = {
    "rsa": ("RSA: score difference and label distance (Spearman)", "RSA by label set", "label set"),
    "spearman": ("Spearman, score and value", "Spearman by value", "value"),
}

_LINE = 0.24  # inches per class
_AREA = 620  # points squared of a dot at |AUROC - 0.5| = 0.5


def answer(found: Found) -> str:
    """How many classes the leading score tells from the rest, beside age and the permuted control; and which it knows best."""
    leading = found.scores[0]
    wanted = [s for s in (leading, "age", permuted(leading)) if s in found.scores]
    parts = []
    for score in dict.fromkeys(wanted):
        rows = [a for a in found.of("auroc") if a.score == score]
        parts.append(f"{score} {sum(a.marked for a in rows)} of {len(rows)}")
    own = [a for a in found.of("auroc") if a.score == leading]
    if not own:
        return f"No class has enough patients; {len(found.rows)} other figures are below."
    best = max(own, key=lambda a: abs(a.estimate.value - NULL["auroc"]))
    return (
        f"Classes that a score alone tells from the rest (interval without 0.5): {', '.join(parts)}. {leading} knows most about "
        f"{best.name} ({best.about}): AUROC {estimate_text(best)}, {best.positive} of {best.patients} patients."
    )


def estimate_text(found: Association) -> str:
    """The value with its interval in brackets, and MARK where that excludes the null."""
    e = found.estimate
    return (
        f"{number(e.value)} [{number(e.low)} to {number(e.high)}]{MARK if found.marked else ''}"
        if np.isfinite(e.value)
        else "undefined"
    )


def drawings(found: Found) -> dict[str, Drawing]:
    """File stem -> figure: a matrix per label set, RSA of every score, and rank correlations with values where there are any."""
    made = {f"auroc_{about}": _matrix(found, about) for about in _abouts(found.of("auroc"))}
    for statistic, (label, _, _) in _OVER_SCORES.items():
        if rows := found.of(statistic):
            made[statistic] = _bars(found, rows, statistic, label)
    return made


def _abouts(rows: Sequence[Association]) -> list[str]:
    return list(dict.fromkeys(a.about for a in rows))


def held(rows: Sequence[Association]) -> str:
    """`n = ...` of these rows, a range where scores have different records."""

    def span(of: Callable[[Association], int]) -> str:
        low, high = min(map(of, rows)), max(map(of, rows))
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"

    return f"n = {span(lambda a: a.records)} records of {span(lambda a: a.patients)} patients"


def _matrix(found: Found, about: str) -> Drawing:
    """Classes down, scores across; a dot's area is |AUROC - 0.5|, its colour the direction, filled where the interval excludes 0.5."""
    rows = found.of("auroc", about)
    classes = list(dict.fromkeys(a.name for a in rows))
    figure, axes = canvas(2.6 + _LINE * len(classes))
    for a in rows:
        off = a.estimate.value - NULL["auroc"]
        if np.isfinite(off):
            _dot(axes, found.scores.index(a.score), classes.index(a.name), off, filled=a.marked)
    axes.set_xlim(-0.6, len(found.scores) - 0.4)
    axes.set_ylim(len(classes) - 0.4, -0.6)
    axes.set_xticks(range(len(found.scores)), found.scores, rotation=90, fontsize=7)
    axes.xaxis.tick_top()
    most = {a.name: a.positive for a in rows}
    axes.set_yticks(range(len(classes)), [f"{c} ({most[c]})" for c in classes], fontsize=7)
    axes.grid(visible=True, axis="both", color=GRID, linewidth=0.5)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_ylabel(f"{about}: class (patients who have it)", fontsize=8)
    figure.legend(
        handles=_key(), loc="outside lower center", ncols=3, frameon=False, fontsize=7, labelspacing=1.0
    )
    strongest = sorted(rows, key=lambda a: -abs(np.nan_to_num(a.estimate.value - NULL["auroc"])))[:5]
    alt = f"AUROC of each score alone for each class of {about}. Furthest from 0.5: " + ", ".join(
        f"{a.score} for {a.name} {number(a.estimate.value)}" for a in strongest
    )
    caption = f"A dot per score and class of {about}; {held(rows)}; 95 % intervals over resampled patients."
    return Drawing(f"AUROC of each score alone: {about}", alt + ".", figure, caption)


def _dot(axes: Axes, x: float, y: float, off: float, *, filled: bool) -> None:
    colour = COLOURS[1] if off > 0 else COLOURS[0]
    face = colour if filled else "none"
    axes.scatter(
        [x], [y], s=max(abs(off) * _AREA, 4), facecolors=face, edgecolors=colour, linewidths=0.8, zorder=3
    )


def _key() -> list[Line2D]:
    """Sizes, directions, and what a filled dot is."""

    def dot(label: str, colour: str, off: float, filled: bool = True) -> Line2D:
        side = float(np.sqrt(off * _AREA))
        face = colour if filled else "none"
        return Line2D([], [], linestyle=" ", marker="o", markersize=side, color=colour, mfc=face, label=label)

    return [  # read column by column
        dot("higher score with the class", COLOURS[1], 0.1),
        dot("lower score with the class", COLOURS[0], 0.1),
        dot("AUROC 0.6 or 0.4", GREY, 0.1),
        dot("AUROC 0.8 or 0.2", GREY, 0.3),
        dot("interval excludes 0.5", GREY, 0.1),
        dot("interval holds 0.5", GREY, 0.1, filled=False),
    ]


def _bars(found: Found, rows: Sequence[Association], statistic: Statistic, label: str) -> Drawing:
    """One line per score, one marker per label set or value, with its interval."""
    abouts = _abouts(rows)
    figure, axes = canvas(1.6 + len(found.scores) * (0.16 + 0.09 * len(abouts)), grid="x")
    for index, about in enumerate(abouts):
        own = [a for a in rows if a.about == about]
        y = [found.scores.index(a.score) + 0.7 * ((index + 0.5) / len(abouts) - 0.5) for a in own]
        colour = COLOURS[index % len(COLOURS)]
        axes.hlines(y, [a.estimate.low for a in own], [a.estimate.high for a in own], color=colour, lw=1.3)
        axes.plot(
            [a.estimate.value for a in own],
            y,
            linestyle=" ",
            marker=MARKERS[index % len(MARKERS)],
            color=colour,
            markersize=4,
            label=about,
        )
    axes.axvline(NULL[statistic], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(found.scores)), found.scores, fontsize=7)
    axes.set_ylim(len(found.scores) - 0.4, -0.6)
    axes.set_xlabel(label)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=7)
    said = ", ".join(f"{a.score} and {a.about} {number(a.estimate.value)}" for a in rows)
    caption = (
        f"{held(rows)}; bars: 95 % intervals over resampled patients; dashed: a score that says nothing."
    )
    return Drawing(label, f"{label}: {said}.", figure, caption)


def tables(found: Found) -> list[tuple[str, list[str], list[list[str]]]]:
    """(heading, columns, lines), scores across: AUROC by class per label set, RSA by label set, rank correlation by value."""
    made = []
    for about in _abouts(found.of("auroc")):
        rows = found.of("auroc", about)
        made.append((f"AUROC: {about}", ["class", *found.scores], _lines(found, rows, lambda a: a.name)))
    for statistic, (_, heading, first) in _OVER_SCORES.items():
        if rows := found.of(statistic):
            made.append((heading, [first, *found.scores], _lines(found, rows, lambda a: a.about)))
    return made


def _lines(found: Found, rows: Sequence[Association], name: Callable[[Association], str]) -> list[list[str]]:
    cells = {(name(a), a.score): estimate_text(a) for a in rows}
    firsts = dict.fromkeys(name(a) for a in rows)
    return [[first, *(cells.get((first, s), "–") for s in found.scores)] for first in firsts]


COLUMNS = ("score", "statistic", "about", "class", "value", "low", "high", "records", "patients", "positive")


def records(found: Found) -> list[dict[str, Any]]:
    """Every figure as a flat mapping, NaN as None."""

    def known(value: float) -> float | None:
        return value if np.isfinite(value) else None

    return [
        dict(
            zip(
                COLUMNS,
                (
                    *(a.score, a.statistic, a.about, a.name),
                    *map(known, (a.estimate.value, a.estimate.low, a.estimate.high)),
                    *(a.records, a.patients, a.positive),
                ),
                strict=True,
            )
        )
        for a in found.rows
    ]


def write(found: Found, store: Store, said: Mapping[str, str]) -> None:
    """report.html, report.md, table.csv, and each figure as PNG and SVG. said: name, question, data, command."""
    pictures = drawings(found)
    files = {f"{stem}.png": png(drawing) for stem, drawing in pictures.items()}
    files |= {f"{stem}.svg": svg_file(drawing) for stem, drawing in pictures.items()}
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records(found))
    files["table.csv"] = out.getvalue().encode()
    files["report.md"] = markdown(found, said, pictures).encode()
    files["report.html"] = page(found, said, pictures).encode()
    for name, content in files.items():
        store.write_bytes(name, content)


def page(found: Found, said: Mapping[str, str], pictures: Mapping[str, Drawing]) -> str:
    """The report as one HTML page that needs nothing else."""
    return (
        templates()
        .get_template("associations.html")
        .render(
            **said,
            answer=answer(found),
            reading=READING,
            notes=found.notes,
            drawings=[(d.title, Markup(svg(d)), d.caption) for d in pictures.values()],  # noqa: S704 - drawn here, and escaped there
            tables=tables(found),
        )
    )


def markdown(found: Found, said: Mapping[str, str], pictures: Mapping[str, Drawing]) -> str:
    """The same as Markdown, the figures beside it."""
    lines = [f"# {said['question']}", "", answer(found), "", READING, ""]
    lines += [*(f"- {note}" for note in found.notes), ""]
    lines += [f"![{drawing.title}]({stem}.png)\n\n{drawing.caption}\n" for stem, drawing in pictures.items()]
    for heading, columns, body in tables(found):
        lines += [f"## {heading}", "", _row(columns), _row(["---"] * len(columns)), *map(_row, body), ""]
    lines += [f"`{said['command']}` on {said['data']}", ""]
    return "\n".join(lines)


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"
