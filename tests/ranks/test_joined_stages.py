"""Ranks with layers of their own are read as one model, in the order of the stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers.rank_files import write_rank
from helpers.step_lines import encode_step

import gradsound
from gradsound.chosen_run import choose_run
from gradsound.open_run import open_run
from gradsound.ranks import joined_stages, piecewise_reader
from gradsound.ranks.opened_ranks import open_ranks
from gradsound.runs.step import Step

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def random_norms(steps: int, layers: int) -> NDArray[np.float32]:
    """Returns seeded norms, shape (steps, layers)."""
    return np.random.default_rng(0).lognormal(size=(steps, layers)).astype(np.float32)


def write_stages(
    folder: Path, norms: NDArray[np.float32], stages: list[tuple[int, ...]]
) -> list[Path]:
    """Writes the files of ranks, each with as many layers as it has stages.

    The names of the layers are equal: 0, 1 and so on.
    """
    paths, column = [], 0
    for rank, own in enumerate(stages):
        layers = tuple(map(str, range(len(own))))
        part = norms[:, column : column + len(own)]
        column += len(own)
        path = write_rank(folder, rank, part, layers=layers, stages=own, training="a")
        paths.append(path)
    return paths


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("bytes_", [1, 1 << 20])
def test_layers_are_in_the_order_of_stages(
    size: int, bytes_: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rank may have several stages; the size of pieces changes nothing."""
    monkeypatch.setattr(joined_stages, "_STEPS_MAX", size)
    monkeypatch.setattr(piecewise_reader, "_LINES", 1)
    monkeypatch.setattr(piecewise_reader, "_LINE_BYTES", (bytes_, 0))
    norms = random_norms(50, 5)
    paths = write_stages(tmp_path, norms, [(0, 0, 3), (1, 2)])
    run = open_ranks(reversed(paths))
    assert run.header.layers == ("stage0.0", "stage0.1", "stage1.0", "stage2.1", "stage3.2")
    assert run.header.parameters == (3,) * 5
    for _ in range(2):
        found = [step.norms for step in run.steps]
        np.testing.assert_array_equal(found, norms[:, [0, 1, 3, 4, 2]])


def test_different_names_stay(tmp_path: Path) -> None:
    """Layers that have a name each keep it, and ranks without stages are in their order."""
    for rank, name in enumerate(("embed", "block", "head")):
        write_rank(tmp_path, rank, np.full(3, rank + 1 / 3), layers=(name,))
    assert choose_run(tmp_path) == tuple(sorted(tmp_path.iterdir()))
    run = open_run(tmp_path)
    assert run.header.layers == ("embed", "block", "head")
    np.testing.assert_array_equal(
        [step.norms for step in run.steps],
        np.tile(np.float32([1 / 3, 4 / 3, 7 / 3]), (3, 1)),
    )
    assert gradsound.summarize(run).ranks is None


def test_a_step_that_a_rank_lacks_has_absent_layers(tmp_path: Path) -> None:
    """The other stages go on; the raw norms, values and flags of each rank are there."""
    norms = random_norms(2, 3)
    paths = write_stages(tmp_path, norms, [(0,), (1, 1)])
    raw, absent = np.float32([3, 5]), np.array([False, True])
    kept = np.where(absent, np.float32(np.nan), raw / 4)
    values = {"loss": 1 / 3}
    last = Step(4, 1.5, kept, absent, 8.0, True, np.where(absent, kept, raw), values)
    with paths[1].open("ab") as file:
        file.write(encode_step(last))
    *_, second, third = open_ranks(paths).steps
    np.testing.assert_array_equal(second.norms, norms[1])
    assert (second.raw, second.skipped, second.loss_scale) == (None, False, None)
    assert (third.number, third.time, third.skipped, third.loss_scale) == (4, 1.5, True, 8)
    assert third.absent.tolist() == [True, False, True]
    np.testing.assert_array_equal(third.norms, [np.nan, 0.75, np.nan])
    np.testing.assert_array_equal(third.raw, [np.nan, 3, np.nan])
    assert third.values == values


def test_missing_and_equal_stages(tmp_path: Path) -> None:
    """A stage without a file gives a warning; files of two pipelines are refused."""
    paths = write_stages(tmp_path, random_norms(3, 2), [(0,), (2,)])
    with pytest.warns(gradsound.GradsoundWarning, match="no file of stage 1 is given"):
        open_ranks(paths)
    paths = write_stages(tmp_path, random_norms(3, 2), [(1,), (1,)])
    with pytest.raises(ValueError, match=r"both have layer '0' of stage 1: give the files"):
        open_ranks(paths)
