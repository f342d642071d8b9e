"""gradsound list: the runs of a folder as lines of text, and as an object of JSON."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from gradsound.cli.output import escape_unprintable
from gradsound.cli.table_cells import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gradsound.listed_alarms import ListedAlarms
    from gradsound.runs.listed_run import ListedRun

    _Rows = Sequence[tuple[ListedRun, ListedAlarms | str | None]]

_VERSION = 1  # of the keys; a removed key or a changed meaning makes it 2
_NAME_MIN = 20  # characters that stay of a name in a narrow terminal


def to_lines(rows: _Rows, columns: int | None = None) -> Iterator[str]:
    """Yields a title line and a line for each run.

    Args:
        rows: The runs with their alarms: an error if they cannot be read; None if nobody
            asked for them.
        columns: Width of the terminal; names lose their middle to fit, and comments
            their end. None leaves them as they are.
    """
    cells = [[*_cells(run), _alarm_text(alarms)] for run, alarms in rows]
    titles = ["began", "steps", "state", "run", "alarms"]
    if all(alarms is None for _, alarms in rows):
        titles, cells = titles[:-1], [row[:-1] for row in cells]
    others = [k for k, title in enumerate(titles) if title != "run"]
    space = columns and max(
        _NAME_MIN, columns - sum(_width(titles, cells, k) + 2 for k in others)
    )
    for row in cells:
        row[3] = shorten(row[3], space)
    widths = [_width(titles, cells, k) for k in range(len(titles))]
    comments = [escape_unprintable(run.comment) for run, _ in rows]
    for row, comment in zip([titles, *cells], ["comment", *comments]):
        facts = "  ".join(
            cell.rjust(width) if title == "steps" else cell.ljust(width)
            for cell, width, title in zip(row, widths, titles)
        )
        line = f"{facts}  {comment}".rstrip()
        yield line if columns is None else line[: max(columns, len(facts.rstrip()))]


def _width(titles: list[str], cells: list[list[str]], k: int) -> int:
    return max(len(row[k]) for row in (titles, *cells))


def _cells(run: ListedRun) -> list[str]:
    began = datetime.fromtimestamp(run.began).astimezone()
    ranks = f" ({run.ranks} ranks)" if run.ranks > 1 else ""
    return [
        f"{began:%Y-%m-%d %H:%M}",
        "" if run.steps is None else f"{run.steps:,}",
        run.state or run.tool,
        f"{escape_unprintable(run.name)}{ranks}",
    ]


def _alarm_text(alarms: ListedAlarms | str | None) -> str:
    return "" if alarms is None else escape_unprintable(str(alarms))


def to_data(folder: Path, rows: _Rows, errors: dict[str, str]) -> dict[str, Any]:
    """Returns the object that ``--json`` prints; docs/command-line.md lists its keys."""
    return {
        "version": _VERSION,
        "folder": str(folder),
        "runs": [
            {
                "run": run.name,
                "files": [str(path) for path in run.paths],
                "note": run.comment or None,
                "start": run.start or None,
                "changed": datetime.fromtimestamp(run.modified, timezone.utc).isoformat(),
                "steps": run.steps,
                "seconds": run.seconds,
                "ranks": run.ranks,
                "state": run.state or None,
                "tool": run.tool or "gradsound",
                "bytes": run.size or None,
                "alarms": _alarm_data(alarms),
            }
            for run, alarms in rows
        ],
        "errors": [{"file": file, "error": error} for file, error in errors.items()],
    }


def _alarm_data(alarms: ListedAlarms | str | None) -> dict[str, Any] | None:
    if alarms is None or isinstance(alarms, str):
        return None if alarms is None else {"error": alarms}
    last = alarms.last
    return {
        "counts": alarms.counts,
        "last": last and {"step": last.step, "kind": last.kind, "text": last.text},
    }
