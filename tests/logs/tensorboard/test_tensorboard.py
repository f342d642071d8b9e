"""Event files of TensorBoard: restarts, resumed trainings, and files that grow."""

from __future__ import annotations

import warnings
from itertools import accumulate, chain
from pathlib import Path

import numpy as np
import pytest
from helpers.event_files import event, event_file, restart, simple
from helpers.records import field

from gradsound import read_run
from gradsound.errors import GradsoundWarning
from gradsound.logs.scalars import Scalars
from gradsound.logs.tensorboard import event_files


def norms(path: Path) -> dict[int, list[float]]:
    """Returns the norms of a log by step; NaN where a layer is absent."""
    return {step.number: step.norms.tolist() for step in read_run(path).steps}


def write(path: Path, steps: range, factor: float = 1.0, tag: str = "grad_norm") -> None:
    """Writes an event file with one norm a step."""
    path.write_bytes(event_file(event(k, [simple(tag, factor * k)]) for k in steps))


def test_a_training_that_starts_again_takes_back_later_steps(tmp_path: Path) -> None:
    """With `purge_step`, the run has the steps that TensorBoard itself has."""
    torch = pytest.importorskip("torch.utils.tensorboard")
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for name, steps, purge in (("a", range(40), None), ("b", range(30, 35), 30)):
        writer = torch.SummaryWriter(str(tmp_path), purge_step=purge)
        for step in steps:
            writer.add_scalar("grad_norm", step + 1, step)
        writer.close()
        for file in tmp_path.glob("events.*"):
            file.rename(tmp_path / f"{name}.tfevents")
    accumulator = module.EventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    accumulator.Reload()
    shown = {one.step: [one.value] for one in accumulator.Scalars("grad_norm")}

    assert len(shown) == 35
    assert norms(tmp_path) == shown


def test_a_restart_in_the_middle_of_a_file_counts(tmp_path: Path) -> None:
    """It takes back all names from its step on, and what comes after it counts."""
    parts = [
        *(event(k, [simple("grad_norm", 1.0), simple("loss", 1.0)]) for k in range(20)),
        restart(5),
        *(event(k, [simple("grad_norm", 2.0)]) for k in range(7, 10)),
    ]
    (tmp_path / "x.tfevents").write_bytes(event_file(parts))
    steps = [*read_run(tmp_path).steps]

    assert [step.number for step in steps] == [0, 1, 2, 3, 4, 7, 8, 9]
    assert [step.norms[0] for step in steps] == [1.0] * 5 + [2.0] * 3
    assert ["loss" in step.values for step in steps] == [True] * 5 + [False] * 3


def test_a_newer_file_takes_back_later_steps_of_its_names(tmp_path: Path) -> None:
    """A training that crashed at step 40 and was resumed at step 30 has 35 steps."""
    write(tmp_path / "1.tfevents", range(40))
    write(tmp_path / "2.tfevents", range(30, 35), factor=2.0)

    assert norms(tmp_path) == {k: [k if k < 30 else 2.0 * k] for k in range(35)}


def test_layers_keep_the_order_of_the_log(tmp_path: Path) -> None:
    """Events of one size are decoded together, but a model has names of any length."""
    layers = ["embed", "layers.0.attention", "norm", "layers.1.mlp", "head", "bias"]
    events = (event(k, [simple(f"grad_norm/{n}", k)]) for k in range(50) for n in layers)
    (tmp_path / "x.tfevents").write_bytes(event_file(events))

    assert read_run(tmp_path).header.layers == tuple(layers)


def test_two_writers_in_one_folder_lose_nothing(tmp_path: Path) -> None:
    """Files with other names do not replace each other, at whatever step they begin."""
    write(tmp_path / "1.tfevents", range(40), tag="grad_norm/a")
    write(tmp_path / "2.tfevents", range(20), tag="grad_norm/b")

    assert [*norms(tmp_path)] == [*range(40)]
    np.testing.assert_equal(norms(tmp_path)[19], [19.0, 19.0])
    np.testing.assert_equal(norms(tmp_path)[20], [20.0, np.nan])


def test_other_runs_in_subfolders_are_not_reported(tmp_path: Path) -> None:
    """Neither their length nor their damage concerns the run."""
    write(tmp_path / "1.tfevents", range(3))
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "1.tfevents", range(20_000))
    (tmp_path / "torn").mkdir()
    content = (tmp_path / "1.tfevents").read_bytes()
    (tmp_path / "torn" / "1.tfevents").write_bytes(content[:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [*norms(tmp_path)] == [0, 1, 2]


def test_steps_of_one_file_may_go_back(tmp_path: Path) -> None:
    """Threads that log do not keep the order, so a file takes back nothing of itself."""
    path = tmp_path / "x.tfevents"
    order = [*range(17_000), *range(8_000, 8_500), *range(17_000, 18_000), 3]
    path.write_bytes(event_file(event(k, [simple("grad_norm", k)]) for k in order))
    assert path.stat().st_size > 3 << 18  # several pieces

    assert [*norms(tmp_path)] == [*range(18_000)]


def read_grown(path: Path, grow: list) -> list[list[tuple[int, float]]]:
    """Reads a log; before each further reading, calls the next function."""
    calls = iter([*grow])
    reports: list[str] = []

    def wait_for_more() -> bool:
        call = next(calls, None)
        if call is not None:
            call()
        return call is not None

    readings: list[list[tuple[int, float]]] = [[]]
    for scalars in event_files.read(path, reports.append, wait_for_more):
        if isinstance(scalars, Scalars):
            readings[-1] += zip(scalars.steps.tolist(), scalars.values.tolist())
        else:
            readings.append([])
    assert reports == []
    return readings[:-1]


def test_a_file_that_grows_is_read_on(tmp_path: Path) -> None:
    """A reading has the events that are whole, and each event comes once."""
    path = tmp_path / "x.tfevents"
    events = [event(k, [simple("grad_norm", k / 4)]) for k in range(30)]
    content = event_file(events)
    ends = [len(event_file(events[: k + 1])) for k in range(30)]
    cuts = [*range(0, len(content), 41), len(content)]
    path.write_bytes(b"")
    grow = [lambda cut=cut: path.write_bytes(content[:cut]) for cut in cuts[1:]]
    readings = read_grown(path, grow)

    expected = [sum(end <= cut for end in ends) for cut in cuts]
    assert [*accumulate(map(len, readings))] == expected
    assert [*chain(*readings)] == [(k, k / 4) for k in range(30)]


def test_a_file_that_appears_is_read(tmp_path: Path) -> None:
    """A resumed training makes a new file in the folder."""
    write(tmp_path / "1.tfevents", range(3))
    readings = read_grown(
        tmp_path,
        [lambda: None, lambda: write(tmp_path / "2.tfevents", range(3, 5))],
    )

    assert readings == [[(0, 0), (1, 1), (2, 2)], [], [(3, 3), (4, 4)]]


@pytest.mark.parametrize("size", [1 << 19, (1 << 20) - 100, 1 << 20, 1 << 21])
def test_long_records_hide_no_scalars(tmp_path: Path, size: int) -> None:
    """An image of any size is passed over."""
    image = event(1, [field(1, "image") + field(4, bytes(size))])
    one, two = (event(k, [simple("grad_norm", k)]) for k in (1, 2))
    (tmp_path / "x.tfevents").write_bytes(event_file([one, image, two]))
    assert norms(tmp_path) == {1: [1.0], 2: [2.0]}

    (tmp_path / "x.tfevents").write_bytes(event_file([one, two, image])[:-1])
    with pytest.warns(GradsoundWarning, match="x.tfevents ends or is damaged at byte"):
        assert norms(tmp_path) == {1: [1.0], 2: [2.0]}


def test_many_numbers_in_one_event_are_read(tmp_path: Path) -> None:
    """An event of 900 KB with a norm of each of 14,000 layers is one step."""
    values = [simple(f"grad_norm/layers.{k}.{'x' * 40}", k) for k in range(14_000)]
    (tmp_path / "x.tfevents").write_bytes(event_file([event(3, values)]))

    assert norms(tmp_path) == {3: [*map(float, range(14_000))]}
