"""Run files of SwanLab: scalars of today's and of older releases are read."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np
from helpers.records import field, leveldb_file
from helpers.tracker_logs import (
    BEGIN,
    entries_of,
    swanlab_file,
    swanlab_line,
    swanlab_scalar,
)

from gradsound.logs.trackers import swanlab

if TYPE_CHECKING:
    from pathlib import Path


def refuse(report: str) -> None:
    """Fails if damage is reported."""
    raise AssertionError(report)


def test_scalars_come_as_they_were_logged(tmp_path: Path) -> None:
    """Names, steps, times and values are kept; a step or value of 0 takes no bytes."""
    norms = [0.0, 1 / 3, nan, inf, -inf]
    path = tmp_path / "x.swanlab"
    path.write_bytes(
        swanlab_file(swanlab_scalar("grad_norm", k, norm) for k, norm in enumerate(norms))
    )
    names, steps, times, numbers = zip(*entries_of(swanlab.read(path, refuse)))
    assert {*names} == {"grad_norm"}
    assert steps == (0, 1, 2, 3, 4)
    assert times == tuple(BEGIN + step / 2 for step in steps)
    np.testing.assert_array_equal(numbers, norms)


def test_fields_may_come_in_any_order(tmp_path: Path) -> None:
    """Another encoder may write a scalar with other fields, and a name of any length."""
    name = "grad_norm/" + "x" * 300
    scalar = field(5, field(1, 1 / 3)) + field(2, 300) + field(99, b"new") + field(1, name)
    path = tmp_path / "x.swanlab"
    path.write_bytes(swanlab_file([field(13, scalar) + field(1, 7)]))
    (entry,) = entries_of(swanlab.read(path, refuse))
    assert (entry[:2], entry[3]) == ((name, 300), 1 / 3)


def test_measurements_of_the_machine_are_left_out(tmp_path: Path) -> None:
    """SwanLab counts their steps by itself, apart from those of the training."""
    path = tmp_path / "x.swanlab"
    records = [swanlab_scalar("__swanlab__.cpu.pct", 0, 6.6), swanlab_scalar("a", 3, 1.5)]
    path.write_bytes(swanlab_file(records))
    assert [entry[0] for entry in entries_of(swanlab.read(path, refuse))] == ["a"]


def test_other_records_are_passed_over(tmp_path: Path) -> None:
    """Columns, lines of the console and media are no scalars."""
    path = tmp_path / "x.swanlab"
    column = field(1, 5) + field(12, field(3, "grad_norm"))
    media = field(1, 6) + field(14, field(1, "text") + field(2, 3))
    path.write_bytes(swanlab_file([column, media, swanlab_scalar("a", 3, 1.5)]))
    assert len([*entries_of(swanlab.read(path, refuse))]) == 1


def test_lines_of_json_of_older_releases_are_read(tmp_path: Path) -> None:
    """SwanLab 0.6 wrote JSON into the same blocks; NaN and infinity are texts there."""
    lines = [
        b'{"model_type": "Header", "data": {"backup_type": "DEFAULT"}}\n',
        *(swanlab_line("grad_norm", 0, 1 / 3), swanlab_line("grad_norm", 1, "NaN")),
        *(swanlab_line("grad_norm", 2, "INF"), swanlab_line("text", 3, "hello")),
    ]
    path = tmp_path / "backup.swanlab"
    path.write_bytes(leveldb_file(b":SWL\xd6\xe1\1", lines))
    names, steps, times, numbers = zip(*entries_of(swanlab.read(path, refuse)))
    assert {*names} == {"grad_norm"}
    assert steps == (0, 1, 2)
    assert {*times} == {BEGIN}
    np.testing.assert_array_equal(numbers, [1 / 3, nan, inf])


def test_a_damaged_record_is_left_out(tmp_path: Path) -> None:
    """One report names its place; the records around it are read."""
    good = [swanlab_scalar("a", step, 1.5) for step in range(2)]
    path = tmp_path / "x.swanlab"
    path.write_bytes(leveldb_file(b":SWL\xd6\xe1\2", [good[0], b"\x6a\x05abc", good[1]]))
    reports: list[str] = []
    assert len([*entries_of(swanlab.read(path, reports.append))]) == 2
    (report,) = reports
    assert report == f"has a damaged record at byte {7 + 7 + len(good[0])}, left out"


def test_scalars_come_while_the_file_grows(tmp_path: Path) -> None:
    """Each scalar comes once, as soon as all of it is there; None follows."""
    data = swanlab_file(swanlab_scalar("grad_norm", k, k + 0.5) for k in range(4))
    path, ends = tmp_path / "x.swanlab", iter([100, 200, len(data)])
    path.write_bytes(data[:60])

    def grow() -> bool:
        end = next(ends, None)
        path.write_bytes(data[:end])
        return end is not None

    groups = [
        None if piece is None else piece.values.tolist()
        for piece in swanlab.read(path, refuse, grow)
    ]
    assert [value for group in groups if group for value in group] == [0.5, 1.5, 2.5, 3.5]
    assert groups.count(None) == 4
    assert groups[0] is None
    assert groups[-1] is None


def test_a_run_file_is_known_by_its_first_bytes() -> None:
    """Files of W&B have the same blocks but another beginning."""
    assert swanlab.is_swanlab(swanlab_file([]))
    assert not swanlab.is_swanlab(leveldb_file(b":W&B\xe1\xbe\0", []))
    assert not swanlab.is_swanlab(b"")
