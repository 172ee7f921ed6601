"""The headline table for a paper: Markdown, and LaTeX with booktabs."""

from collections.abc import Sequence

from clef_ray.report.comparison import Comparison
from clef_ray.report.rows import Cell, Row
from clef_ray.report.wording import counted, half, number, signed

_ARROWS = {"▲": r"$\uparrow$", "▼": r"$\downarrow$", "": ""}
_LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "−": "$-$",
        "±": r"$\pm$",
        "–": "--",
        "α": r"$\alpha$",
        "τ": r"$\tau$",
        "λ": r"$\lambda$",
    }
)


def caption(comparison: Comparison) -> str:
    """What the numbers of the table are, in plain text."""
    return (
        f"{comparison.ablation.question} Mean over n training seeds, ± half of its 95 % t interval over seeds. Differences are to "
        f"{comparison.ablation.base} on the same seeds; an arrow marks those whose two 95 % intervals, over seeds and over resampled "
        f"patients, both exclude 0 ({counted(comparison.comparisons, 'difference')}, not corrected for multiple comparisons)."
    )


def markdown(comparison: Comparison) -> str:
    """One line per arm; in each metric's column the mean, and in brackets the difference to the base arm."""
    metrics = comparison.ablation.headline
    lines = [["arm", "n", *metrics], ["---", "---:", *["---:"] * len(metrics)]]
    for row in comparison.leading:
        cells = [_both(row.cells.get(metric)) for metric in metrics]
        lines.append([row.arm.name.replace("|", r"\|"), str(row.complete), *cells])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{caption(comparison)}\n"


def _both(cell: Cell | None) -> str:
    return " ".join(filter(None, (_mean(cell), f"({found})" if (found := _difference(cell)) else "")))


def latex(comparison: Comparison) -> str:
    r"""A `table` for \usepackage{booktabs}: two lines per arm, the means and below them the differences to the base arm."""
    metrics = comparison.ablation.headline
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escaped(caption(comparison))}}}",
        rf"\label{{tab:{comparison.ablation.name.replace('_', '-')}}}",
        rf"\begin{{tabular}}{{lr{'r' * len(metrics)}}}",
        r"\toprule",
        _line(["arm", "$n$", *map(_escaped, metrics)]),
        r"\midrule",
        *(line for row in comparison.leading for line in _latex_row(row, metrics)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(row: Row, metrics: Sequence[str]) -> list[str]:
    cells = [row.cells.get(metric) for metric in metrics]
    means = [_escaped(row.arm.name), str(row.complete), *(_escaped(_mean(cell)) for cell in cells)]
    differences = [_small(_difference(cell)) for cell in cells]
    return [_line(means)] + ([_line(["", "", *differences])] if any(differences) else [])


def _small(text: str) -> str:
    mark = text[-1] if text.endswith(("▲", "▼")) else ""
    return rf"{{\footnotesize {_escaped(text.removesuffix(mark).strip())}{_ARROWS[mark]}}}" if text else ""


def _line(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _escaped(text: str) -> str:
    return text.translate(_LATEX)


def _mean(cell: Cell | None) -> str:
    return " ".join(filter(None, (number(cell.mean), half(cell.seeds)))) if cell else "–"


def _difference(cell: Cell | None) -> str:
    d = cell.difference if cell else None
    return " ".join(filter(None, (signed(d.value), half(d.seeds), d.mark))) if d else ""
