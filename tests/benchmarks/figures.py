"""What a benchmark gives back, and what all of them need: medians, works taken in turns, progress."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from time import monotonic, perf_counter
from typing import TypeVar

Table = dict[str, dict[str, float]]
"""Figures by row, then by column; a row may lack a column. The column `TARGET` holds what is to be reached."""
Tables = dict[str, Table]
"""Tables by title."""

TARGET = "target"
T = TypeVar("T")


def say(text: str) -> None:
    """On stderr; stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def progress(things: Iterable[T], what: str) -> Iterator[T]:
    """Say how far it is, at most every two seconds."""
    everything = list(things)
    said = monotonic()
    for count, thing in enumerate(everything, 1):
        yield thing
        if monotonic() - said > 2:
            said = monotonic()
            say(f"    {what}: {count:,} of {len(everything):,}")


def in_turns(works: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median milliseconds of each, one after the other, round after round: a shared machine drifts by more than they
    differ. The first round does not count."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            started = perf_counter()
            work()
            if turn:
                taken[name].append((perf_counter() - started) * 1000)
    return {name: median(times) for name, times in taken.items()}


def transposed(columns: Mapping[str, Mapping[str, float]]) -> Table:
    """Figures by column, then by row, turned into a table."""
    table: Table = {}
    for column, rows in columns.items():
        for row, value in rows.items():
            table.setdefault(row, {})[column] = value
    return table


def as_text(title: str, table: Table) -> str:
    """A table as lines."""
    longest_first = sorted(table.values(), key=len, reverse=True)  # a row may lack columns: let a fuller one set their order
    columns = sorted(dict.fromkeys(column for row in longest_first for column in row), key=lambda column: column == TARGET)
    grid = [[title, *columns]] + [[name, *(_number(row.get(column)) for column in columns)] for name, row in table.items()]
    widths = [max(len(line[i]) for line in grid) for i in range(len(grid[0]))]
    return "\n".join(_line(cells, widths) for cells in grid)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join([cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))]).rstrip()


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 or (value == int(value) and abs(value) >= 10) else f"{value:.3g}"
