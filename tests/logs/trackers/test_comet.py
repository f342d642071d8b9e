"""Offline experiments of Comet: metrics are read from a folder, a zip file, the file."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers.tracker_logs import BEGIN, comet_lines, entries_of, make_zip

from gradsound.logs.trackers import comet
from gradsound.logs.trackers.zip_file import read_names

if TYPE_CHECKING:
    from pathlib import Path


def refuse(report: str) -> None:
    """Fails if damage is reported."""
    raise AssertionError(report)


@pytest.mark.parametrize("kind", ["folder", "zip", "file"])
def test_metrics_come_as_they_were_logged(tmp_path: Path, kind: str) -> None:
    """Names, steps, times and values are kept; NaN and infinities are texts there."""
    texts = {0: 1 / 3, 1: "NaN", 2: "Infinity", 3: "-Infinity", 4: 2}
    lines = comet_lines("grad_norm/fc1", texts)
    path = tmp_path / "1234.zip"
    make_zip(path, {"experiment.json": b"{}", "messages.json": lines})
    if kind != "zip":
        (tmp_path / "messages.json").write_bytes(lines)
        path = tmp_path if kind == "folder" else tmp_path / "messages.json"
    names, steps, times, numbers = zip(*entries_of(comet.read(path, refuse)))
    assert {*names} == {"grad_norm/fc1"}
    assert steps == (0, 1, 2, 3, 4)
    assert times == tuple(BEGIN + step / 2 for step in steps)
    np.testing.assert_array_equal(numbers, [1 / 3, nan, inf, -inf, 2])


@pytest.mark.parametrize(
    "line",
    [
        b'{"payload":{"param":{"paramName":"lr","paramValue":1}},"type":"parameter_msg"}',
        b'{"payload":{"metric":{"metricName":"x","metricValue":"text"}}}',
        b'{"payload":{"metric":[]}}',
        *(b'{"payload":null}', b"[]", b"3"),
    ],
    ids=repr,
)
def test_other_messages_are_passed_over(tmp_path: Path, line: bytes) -> None:
    """Parameters, texts and other JSON are no metrics."""
    path = tmp_path / "messages.json"
    path.write_bytes(line + b"\n" + comet_lines("a", {0: 1.5}))
    assert [entry[0] for entry in entries_of(comet.read(path, refuse))] == ["a"]


def test_an_experiment_is_followed(tmp_path: Path) -> None:
    """Lines that come later are read when all of a line is there."""
    lines = comet_lines("a", {k: k + 0.5 for k in range(3)})
    cut = lines.rindex(b"metricValue")
    path, ends = tmp_path / "messages.json", iter([cut, len(lines)])
    path.write_bytes(lines[:50])

    def grow() -> bool:
        end = next(ends, None)
        path.write_bytes(lines[:end])
        return end is not None

    groups = [
        None if piece is None else piece.values.tolist()
        for piece in comet.read(path, refuse, grow)
    ]
    assert groups == [None, [0.5, 1.5], None, [2.5], None]


def test_experiments_are_known_by_their_files(tmp_path: Path) -> None:
    """An unpacked zip file is known too; the file of messages has its begin."""
    make_zip(tmp_path / "x.zip", {"experiment.json": b"{}", "messages.json": b""})
    assert comet.is_offline_run(read_names(tmp_path / "x.zip"))
    assert not comet.is_offline_run(["messages.json"])
    assert comet.is_messages_file(comet_lines("a", {}))
    assert not comet.is_messages_file(b'{"payload": {}}\n')
