"""The headline table for a paper: Markdown, and LaTeX with booktabs."""

from collections.abc import Iterable, Iterator, Sequence

from clef_ray.report.comparison import Comparison
from clef_ray.report.overall import Averaged
from clef_ray.report.rows import Cell, Row
from clef_ray.report.testing import GAPS, OVERALL, TESTS, tested_cells
from clef_ray.report.wording import counted, half, number, signed, span

_ARROWS = {"▲": r"$\uparrow$", "▼": r"$\downarrow$", "": "", "▲*": r"$\uparrow$*", "▼*": r"$\downarrow$*"}
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
        "▲": r"$\uparrow$",
        "▼": r"$\downarrow$",
    }
)


def caption(comparison: Comparison) -> str:
    """What the numbers of the table are, in plain text."""
    corrected = (
        f"; a star those of {comparison.ablation.headline[0]} that hold after Holm's correction over {comparison.family}"
        if comparison.family
        else ""
    )
    told = (
        f"{comparison.ablation.question} Mean over n training seeds, ± half of its 95 % t interval over seeds. Differences are to "
        f"{comparison.ablation.base} on the same seeds; an arrow marks those whose two 95 % intervals, over seeds and over resampled "
        f"patients, both exclude 0 ({counted(comparison.comparisons, 'difference')}, not corrected for multiple comparisons){corrected}."
    )
    return " ".join(filter(None, (told, comparison.judged)))


def markdown(comparison: Comparison) -> str:
    """What was found of leakage; one line per arm, in each metric's column the mean, and in brackets the difference to the base arm; below
    it the tests of the first metric, and averages over tasks where there are enough.
    """
    metrics = comparison.ablation.headline
    first = f"**Leakage:** {comparison.leakage}.\n\n" if comparison.leakage else ""
    rows = [
        [row.arm.name, str(row.complete), *(_both(row.cells.get(metric)) for metric in metrics)]
        for row in comparison.leading
    ]
    parts = [f"{_piped(['arm', 'n', *metrics], rows)}\n\n{caption(comparison)}"]
    parts += [f"{title}\n\n{_piped(head, rows)}\n\n{note}" for title, head, rows, note in _more(comparison)]
    return first + "\n\n".join(parts) + "\n"


def _piped(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _more(comparison: Comparison) -> Iterator[tuple[str, list[str], list[list[str]], str]]:
    """Title, head, rows and note of the tables below the headline's: the gaps, the tests, and the averages of each measure."""
    base = comparison.ablation.base
    if comparison.gaps:
        head = ["gap", "arm", "n", "against 0", "seeds", "patients"]
        rows = [
            [
                metric,
                row.arm.name,
                str(len(cell.values)),
                f"{signed(cell.mean)} {cell.mark}".rstrip(),
                span(cell.seeds),
                span(cell.patients),
            ]
            for metric, row, cell in comparison.gaps
        ]
        yield "Each gap against 0, over n seeds.", head, rows, GAPS
    if comparison.tested:
        head = ["arm", "n", f"minus {base}", "seeds", "patients", "p (Holm)", "d_z"]
        rows = [tested_cells(row, d) for row, d in comparison.tested]
        title = f"Each arm against {base} in {comparison.ablation.headline[0]}, over n seeds."
        yield title, head, rows, " ".join(filter(None, (TESTS, comparison.power)))
    for averages in comparison.overall:
        head = ["arm", "n", "IQM", "seeds", f"P(above {base})", "seeds"]
        rows = [[s.arm, str(s.n), *_averaged(s.mean), *_averaged(s.above)] for s in averages.standings]
        title = f"{averages.measure} over {len(averages.metrics)} tasks ({', '.join(averages.metrics)}), in n seeds."
        yield title, head, rows, OVERALL


def _averaged(found: Averaged | None) -> list[str]:
    return ["–", "–"] if found is None else [number(found.value), span(found.seeds)]


def _both(cell: Cell | None) -> str:
    return " ".join(filter(None, (_mean(cell), f"({found})" if (found := _difference(cell)) else "")))


def latex(comparison: Comparison) -> str:
    r"""`table`s for \usepackage{booktabs}: of each arm two lines, the means and below them the differences to the base arm; then the tests of
    the first metric, and averages over tasks where there are enough.
    """
    metrics = comparison.ablation.headline
    name = comparison.ablation.name.replace("_", "-")
    rows = [line for row in comparison.leading for line in _latex_row(row, metrics)]
    lines = [
        "% needs \\usepackage{booktabs}",
        *([f"% leakage: {comparison.leakage}"] if comparison.leakage else []),
    ]
    lines += _table(caption(comparison), name, ["arm", "$n$", *map(_escaped, metrics)], rows)
    for number_of, (title, head, cells, note) in enumerate(_more(comparison), start=2):
        body = [_line([_escaped(cell) for cell in row]) for row in cells]
        lines += ["", *_table(f"{title} {note}", f"{name}-{number_of}", [*map(_escaped, head)], body)]
    return "\n".join(lines) + "\n"


def _table(told: str, label: str, head: Sequence[str], rows: Sequence[str]) -> list[str]:
    """The lines of one table. head, rows: in LaTeX; told: the caption in plain text."""
    return [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escaped(told)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\toprule",
        _line(head),
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _latex_row(row: Row, metrics: Sequence[str]) -> list[str]:
    cells = [row.cells.get(metric) for metric in metrics]
    means = [_escaped(row.arm.name), str(row.complete), *(_escaped(_mean(cell)) for cell in cells)]
    differences = [_small(_difference(cell)) for cell in cells]
    return [_line(means)] + ([_line(["", "", *differences])] if any(differences) else [])


def _small(text: str) -> str:
    mark = next((m for m in _ARROWS if m and text.endswith(m)), "")
    return rf"{{\footnotesize {_escaped(text.removesuffix(mark).strip())}{_ARROWS[mark]}}}" if text else ""


def _line(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _escaped(text: str) -> str:
    return text.translate(_LATEX)


def _mean(cell: Cell | None) -> str:
    return " ".join(filter(None, (number(cell.mean), half(cell.seeds)))) if cell else "–"


def _difference(cell: Cell | None) -> str:
    d = cell.difference if cell else None
    return " ".join(filter(None, (signed(d.value), half(d.seeds), d.shown))) if d else ""
