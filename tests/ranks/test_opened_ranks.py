"""The files of all ranks are one run, whatever their files are like."""

from __future__ import annotations

import gzip
import re
import tracemalloc
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers.rank_files import write_rank, write_ranks

import gradsound
from gradsound.ranks import combined_ranks, piecewise_reader
from gradsound.ranks.opened_ranks import are_rank_files, open_ranks
from gradsound.runs.restarts import encode_restart
from gradsound.runs.step_block import concatenate

if TYPE_CHECKING:
    from pathlib import Path


def norms_of(run: gradsound.Run) -> np.ndarray:
    """Returns the norms of all ranks, shape (S, R); NaN where a rank has none."""
    block = concatenate([*run.blocks()])
    return np.where(block.absent, np.nan, block.norms)


def random_norms(steps: int, ranks: int) -> np.ndarray:
    """Returns norms around 1, shape (S, R), float32."""
    random = np.random.default_rng(3)
    return random.lognormal(size=(steps, ranks)).astype(np.float32)


def test_a_rank_is_a_layer_whose_norm_is_that_of_its_whole_model(tmp_path: Path) -> None:
    """The squares of all layers with a gradient add up, and ranks are in their order."""
    paths = [
        write_rank(tmp_path, rank, np.array([[3.0, 4.0], [1 / 3, 2 / 3]]) * (rank + 1))
        for rank in (10, 2)
    ]
    run = gradsound.read_ranks(paths)
    assert run.header.layers == ("rank 2", "rank 10")
    assert run.header.parameters == (6, 6)
    assert run.name == str(tmp_path / "run.rank*.jsonl")
    expected = np.outer([5.0, np.sqrt(5) / 3], [3, 11])
    np.testing.assert_allclose(norms_of(run), expected, rtol=1e-6)


def test_nan_and_infinity_of_a_layer_are_those_of_its_rank(tmp_path: Path) -> None:
    """Infinity stays infinity beside numbers, NaN wins, and large norms stay finite."""
    rows = [[np.inf, 1.0], [np.nan, np.inf], [3e38, 3e38]]
    paths = [write_rank(tmp_path, rank, np.array(rows)) for rank in range(2)]
    norms = norms_of(open_ranks(paths))
    np.testing.assert_array_equal(norms[:2, 0], [np.inf, np.nan])
    assert np.isfinite(norms[2]).all()


def test_steps_are_aligned_by_number(tmp_path: Path) -> None:
    """A rank that lacks steps is absent there; its other steps keep their numbers."""
    whole = write_rank(tmp_path, 0, np.arange(1.0, 7.0))
    late = write_rank(tmp_path, 1, np.arange(13.0, 15.0), first=2)
    block = concatenate([*open_ranks([whole, late]).blocks()])
    assert block.numbers.tolist() == [0, 1, 2, 3, 4, 5]
    assert block.absent[:, 1].tolist() == [True, True, False, False, True, True]
    assert block.norms[2:4].tolist() == [[3.0, 13.0], [4.0, 14.0]]


def test_numbers_may_have_gaps_of_any_length(tmp_path: Path) -> None:
    """Steps far apart are all there, in order, and gaps take no steps of their own."""
    paths = [write_rank(tmp_path, rank, np.ones(3)) for rank in range(2)]
    for path in paths:
        lines = path.read_text().splitlines(keepends=True)
        lines[2] = lines[2].replace('"step": 1', '"step": 70000')
        lines[3] = lines[3].replace('"step": 2', '"step": 900000')
        path.write_text("".join(lines))
    steps = [*open_ranks(paths).steps]
    assert [step.number for step in steps] == [0, 70_000, 900_000]
    assert not any(step.absent.any() for step in steps)


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("bytes_", [1, 300, 1 << 20])
def test_the_size_of_pieces_changes_nothing(
    size: int, bytes_: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the steps of a block nor the bytes read at once change a number."""
    norms, waits = random_norms(100, 3), np.abs(random_norms(100, 3)) / 7
    paths = write_ranks(tmp_path, norms, waits=waits)
    monkeypatch.setattr(combined_ranks, "_STEPS_MIN", size)
    monkeypatch.setattr(combined_ranks, "_STEPS_MAX", size)
    monkeypatch.setattr(piecewise_reader, "_LINES", 1)
    monkeypatch.setattr(piecewise_reader, "_LINE_BYTES", (bytes_, 0))
    block = concatenate([*open_ranks(paths).blocks()])
    np.testing.assert_array_equal(block.norms, norms)
    np.testing.assert_array_equal(block.rank_times.waits, waits)


def test_values_and_times_are_medians_over_the_ranks(tmp_path: Path) -> None:
    """A value that a single rank logs is there, too; the wait is no value of the run."""
    times = np.array([[5.0, 1.0, 2.0], [5.1, 1.1, 2.1]])
    paths = write_ranks(tmp_path, random_norms(2, 3), times, np.ones((2, 3)))
    for path, loss in zip(paths, (1 / 3, 5 / 3, 2 / 3)):
        lines = path.read_text().splitlines(keepends=True)
        more = f', "loss": {loss}' + (', "accuracy": 0.25' if path is paths[0] else "")
        lines[2] = lines[2].replace("}}", more + "}}")
        path.write_text("".join(lines))
    first, second = open_ranks(paths).steps
    assert (first.time, second.time) == (2.0, 2.1)
    assert first.values == {}
    assert second.values == {"loss": 2 / 3, "accuracy": 0.25}


def test_a_torn_last_line_ends_its_rank_alone(tmp_path: Path) -> None:
    """The reader warns, and the other ranks go on."""
    paths = write_ranks(tmp_path, random_norms(5, 2))
    paths[1].write_bytes(paths[1].read_bytes()[:-9])
    with pytest.warns(gradsound.GradsoundWarning, match=r"rank1\.jsonl: line 6 is torn"):
        norms = norms_of(open_ranks(paths))
    assert np.isnan(norms).tolist() == [[False, False]] * 4 + [[False, True]]


def test_a_wrong_line_is_an_error_with_its_place(tmp_path: Path) -> None:
    """The message names the file of the rank and the line."""
    paths = write_ranks(tmp_path, random_norms(5, 2))
    paths[1].write_text(paths[1].read_text().replace('"step": 3', '"step": 1'))
    with pytest.raises(gradsound.RunFormatError, match=r"rank1\.jsonl, line 5: .*step"):
        norms_of(open_ranks(paths))


def test_a_resumed_training_has_each_step_once(tmp_path: Path) -> None:
    """Every rank goes on in its own file; the later steps count."""
    paths = write_ranks(tmp_path, np.ones((6, 2)))
    for rank, path in enumerate(paths):
        later = write_rank(tmp_path, 7, np.full(4, 2.0 + rank), first=4)
        lines = later.read_bytes().splitlines(keepends=True)[1:]
        later.unlink()
        path.write_bytes(path.read_bytes() + encode_restart(4, "", "") + b"".join(lines))
    norms = norms_of(open_ranks(paths))
    np.testing.assert_array_equal(norms, [[1, 1]] * 4 + [[2, 3]] * 4)


def test_compressed_files_have_the_same_steps(tmp_path: Path) -> None:
    """Files of one training may be compressed, each or some of them."""
    norms = random_norms(600, 3)
    paths = write_ranks(tmp_path, norms)
    packed = tmp_path / "run.rank1.jsonl.gz"
    packed.write_bytes(gzip.compress(paths[1].read_bytes()))
    np.testing.assert_array_equal(norms_of(open_ranks([paths[0], packed, paths[2]])), norms)


def test_more_ranks_than_files_may_be_open(tmp_path: Path) -> None:
    """The limit of a process may be 256 files, and a training may have more ranks."""
    resource = pytest.importorskip("resource")
    norms = random_norms(3, 80)
    paths = write_ranks(tmp_path, norms)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    try:
        found = norms_of(open_ranks(paths))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    np.testing.assert_array_equal(found, norms)


def test_memory_does_not_grow_with_the_steps(tmp_path: Path) -> None:
    """Eight times the steps take at most a tenth more memory at the peak."""

    def peak(steps: int) -> int:
        paths = write_ranks(tmp_path, random_norms(steps, 4))
        run = open_ranks(paths)
        tracemalloc.start()
        for _ in run.blocks():
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(40_960) < 1.1 * peak(5120)


@pytest.mark.parametrize(
    ("names", "are_ranks"),
    [
        (["a.rank0.jsonl", "a.rank1.jsonl"], True),
        (["x/a.rank0.jsonl", "y/a.rank12.jsonl.gz"], True),
        (["a.rank0.jsonl"], False),
        (["a.rank0.jsonl", "b.rank0.jsonl"], False),
        (["a.rank0.jsonl", "a.jsonl"], False),
        (["a.rank0.csv", "a.rank1.csv"], False),
    ],
)
def test_names_tell_the_ranks_of_a_training(
    names: list[str], are_ranks: bool, tmp_path: Path
) -> None:
    """Files of one rank each are ranks; files of the same rank are runs to compare."""
    assert are_rank_files([tmp_path / name for name in names]) == are_ranks


def test_files_that_are_not_of_one_training_are_refused(tmp_path: Path) -> None:
    """Each message names the files and the remedy."""
    first = write_rank(tmp_path, 0, np.ones(2), training="a")
    other = write_rank(tmp_path, 1, np.ones(2), training="b")
    with pytest.raises(ValueError, match="different trainings: give the files of one"):
        open_ranks([first, other])
    other = write_rank(tmp_path, 1, np.ones((2, 2)), training="a")
    with pytest.raises(ValueError, match=r"different layers \(not in both: fc\)"):
        open_ranks([first, other])
    (tmp_path / "sub").mkdir()
    twin = write_rank(tmp_path / "sub", 0, np.ones(2))
    with pytest.raises(ValueError, match=r"are both rank 0: give .* each once"):
        open_ranks([first, twin])
    renamed = other.rename(tmp_path / "old.rank1.jsonl")
    with pytest.raises(ValueError, match=re.escape("such as run.rank*.jsonl")):
        open_ranks([first, renamed])
    with pytest.raises(ValueError, match="got 1 rank"):
        open_ranks([first])
    with pytest.raises(ValueError, match="is not the file of a rank"):
        open_ranks([first, tmp_path / "run.jsonl"])
    (tmp_path / "run.rank3.jsonl").touch()
    with pytest.raises(gradsound.RunFormatError, match=r"rank3\.jsonl: is empty"):
        open_ranks([first, tmp_path / "run.rank3.jsonl"])


def test_a_missing_rank_and_a_late_one_get_a_warning(tmp_path: Path) -> None:
    """The other ranks are a run all the same."""
    paths = [write_rank(tmp_path, rank, np.ones(2)) for rank in (0, 3)]
    with pytest.warns(gradsound.GradsoundWarning, match="no file of rank 1, rank 2 is"):
        run = open_ranks(paths)
    assert norms_of(run).shape == (2, 2)
    late = write_rank(tmp_path, 1, np.ones(2), start="2026-11-25T08:00:00+00:00")
    with pytest.warns(
        gradsound.GradsoundWarning, match=r"rank1\.jsonl began at 2026-11-25"
    ):
        open_ranks([paths[0], late])


def test_a_selection_of_ranks_keeps_their_times(tmp_path: Path) -> None:
    """Globs choose ranks as they choose layers; what is known of their waits stays."""
    waits = np.arange(12.0).reshape(4, 3)
    run = open_ranks(write_ranks(tmp_path, random_norms(4, 3), waits=waits))
    chosen = concatenate([*run.select(["rank 0", "rank 2"]).blocks()])
    np.testing.assert_array_equal(chosen.rank_times.waits, waits[:, [0, 2]])
    rows = [chosen.take(slice(1, 2)), chosen.take(slice(2, 4))]
    np.testing.assert_array_equal(concatenate(rows).rank_times.waits, waits[1:, [0, 2]])
    assert len([*chain.from_iterable(run.blocks())]) == 4
