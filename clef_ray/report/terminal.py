"""The comparison in the terminal: one line per arm and, below it, its difference to the base arm."""

from math import ceil

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clef_ray.report.comparison import Comparison
from clef_ray.report.rows import Interval, Row
from clef_ray.report.wording import LEGEND, counted, half, number, signed

_VALUE = 18  # characters of a value with its interval and mark, and the column's frame
_TEXT = 100


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the table, its legend, the answer and the caveats; fits 100 columns (wider terminals get fewer, wider tables)."""
    for metrics in _split(comparison, console.width):
        console.print(_table(comparison, metrics))
    width = min(_TEXT, console.width)
    if len(comparison.leading) < len(comparison.rows):
        others = len(comparison.rows) - len(comparison.leading)
        told = f"{counted(others, 'other configuration')} {'is' if others == 1 else 'are'} in the report."
        console.print(Text(told, style="dim"), width=width)
    legend = (
        f"± : half of the 95 % t interval over seeds. Second line: minus {comparison.ablation.base}. {LEGEND}"
    )
    console.print(Text(legend, style="dim"), width=width)
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
            f"\n{signed(d.value)} {_half(d.seeds)} {d.mark}".rstrip(), style="bold" if d.mark else "dim"
        )
    return text


def _half(interval: Interval | None) -> str:
    return half(interval).replace(" ", "") or "–"
