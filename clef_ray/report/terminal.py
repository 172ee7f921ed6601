"""The comparison in the terminal: one line per arm and, below it, its difference to the base arm."""

from math import ceil

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clef_ray.report.comparison import Comparison
from clef_ray.report.overall import Averaged, Overall
from clef_ray.report.rows import Interval, Row
from clef_ray.report.testing import GAPS, OVERALL, TESTS, tested_cells
from clef_ray.report.wording import LEGEND, counted, half, number, signed, span

_VALUE = 19  # characters of a value with its interval and mark, and the column's frame
_TEXT = 100


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print what was found of leakage, the table, its legend, the tests, the answer and the caveats; fits 100 columns (wider terminals get
    fewer, wider tables).
    """
    width = min(_TEXT, console.width)
    if comparison.leakage:
        loud = "bold red" if comparison.leaks else ""
        console.print(Text.assemble(("Leakage: ", "bold"), (comparison.leakage, loud), "."), width=width)
    for metrics in _split(comparison, console.width):
        console.print(_table(comparison, metrics))
    if len(comparison.leading) < len(comparison.rows):
        others = len(comparison.rows) - len(comparison.leading)
        told = f"{counted(others, 'other configuration')} {'is' if others == 1 else 'are'} in the report."
        console.print(Text(told, style="dim"), width=width)
    legend = (
        f"± : half of the 95 % t interval over seeds. Second line: minus {comparison.ablation.base}. {LEGEND}"
    )
    console.print(Text(" ".join(filter(None, (legend, comparison.judged))), style="dim"), width=width)
    if comparison.gaps:
        console.print(_gaps(comparison))
        console.print(Text(GAPS, style="dim"), width=width)
    if comparison.tested:
        console.print(_tests(comparison))
        console.print(Text(" ".join(filter(None, (TESTS, comparison.power))), style="dim"), width=width)
    for averages in comparison.overall:
        console.print(_overall(comparison, averages))
        console.print(Text(f"{OVERALL} Tasks: {', '.join(averages.metrics)}.", style="dim"), width=width)
    console.print(Text.assemble("\n", ("Answer. ", "bold"), comparison.answer, "\n"), width=width)
    for caveat in comparison.caveats:
        console.print(Text(f"· {caveat}"), width=width)
    if comparison.larger:
        console.print(
            Text(f"· A larger budget: {comparison.larger}"), soft_wrap=True
        )  # unbroken, so that it can be copied


def _split(comparison: Comparison, width: int) -> list[tuple[str, ...]]:
    """The headline metrics in as few tables as the width allows, evenly filled."""
    headline = comparison.ablation.headline
    names = max(len(_name(comparison, row)) for row in comparison.leading)
    tables = ceil(len(headline) / max(1, (width - names - 12) // _VALUE))
    size = ceil(len(headline) / tables)
    return [headline[start : start + size] for start in range(0, len(headline), size)]


def _table(comparison: Comparison, metrics: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("arm", no_wrap=True)
    table.add_column("seeds", justify="right")
    for metric in metrics:
        table.add_column(metric.replace("/", "/\n"), justify="left", no_wrap=True)
    for row in comparison.leading:
        table.add_row(_name(comparison, row), _count(row), *(_cell(row, metric) for metric in metrics))
    return table


def _gaps(comparison: Comparison) -> Table:
    """Each gap of the headline, by arm."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("gap", overflow="fold")
    table.add_column("arm", overflow="fold")
    for head in ("seeds", "against\n0", "95 % over\nseeds", "95 % over\npatients"):
        table.add_column(head, justify="right", no_wrap=True)
    for metric, row, cell in comparison.gaps:
        value = f"{signed(cell.mean)} {cell.mark}".rstrip()
        cells = (str(len(cell.values)), value, span(cell.seeds), span(cell.patients))
        table.add_row(metric, row.arm.name, *cells, style="bold" if cell.mark else "")
    return table


def _tests(comparison: Comparison) -> Table:
    """Each arm against the base in the first headline metric."""
    table = Table(box=box.SIMPLE_HEAD, title=comparison.ablation.headline[0], title_justify="left")
    table.add_column("arm", overflow="fold")
    heads = (
        "seeds",
        f"minus\n{comparison.ablation.base}",
        "95 % over\nseeds",
        "95 % over\npatients",
        "p\n(Holm)",
        "d_z",
    )
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row, d in comparison.tested:
        table.add_row(*tested_cells(row, d), style="bold" if d.mark else "")
    return table


def _overall(comparison: Comparison, averages: Overall) -> Table:
    """Each arm over all tasks of one measure."""
    title = f"{averages.measure} over {len(averages.metrics)} tasks"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("arm", overflow="fold")
    for head in (
        "seeds",
        "IQM",
        "95 % over\nseeds",
        f"P(above\n{comparison.ablation.base})",
        "95 % over\nseeds",
    ):
        table.add_column(head, justify="right", no_wrap=True)
    for standing in averages.standings:
        cells = (*_averaged(standing.mean), *_averaged(standing.above))
        table.add_row(standing.arm, str(standing.n), *cells)
    return table


def _averaged(found: Averaged | None) -> tuple[str, str]:
    return ("–", "–") if found is None else (number(found.value), span(found.seeds))


def _name(comparison: Comparison, row: Row) -> str:
    return row.arm.name + (" (base)" if row.arm.name == comparison.ablation.base else "")


def _count(row: Row) -> Text:
    """Finished of planned; red where something failed or is missing, but not where a run was stopped early."""
    if row.complete + row.pruned == row.planned and row.pruned:
        return Text(f"{row.complete}/{row.planned}\nstopped", style="dim")
    return Text(f"{row.complete}/{row.planned}", style="" if row.complete == row.planned else "bold red")


def _cell(row: Row, metric: str) -> Text:
    cell = row.cells.get(metric)
    if cell is None:
        return Text("–")
    text = Text(f"{number(cell.mean):>6} {_half(cell.seeds)}")
    if (d := cell.difference) is not None:
        text.append(
            f"\n{signed(d.value)} {_half(d.seeds)} {d.shown}".rstrip(), style="bold" if d.mark else "dim"
        )
    return text


def _half(interval: Interval | None) -> str:
    return half(interval).replace(" ", "") or "–"
