"""Experts in use: the exponential of the entropy of how often each was chosen."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.models import small

import gradsound

KINDS: dict[str, Callable[[list[float]], object]] = {
    "list": list,
    "array": np.array,
    "tensor": torch.tensor,
    "small array": lambda counts: np.array(counts, np.uint8),
    "half tensor": lambda counts: torch.tensor(counts, dtype=torch.bfloat16),
    "tensor with gradient": lambda counts: torch.tensor(
        [*map(float, counts)], requires_grad=True
    ),
    "tensors": lambda counts: [torch.tensor(count) for count in counts],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("counts", "number"),
    [([7], 1), ([4, 0, 0], 1), ([3, 3, 0], 2), ([5] * 6, 6), ([2, 1, 1], 2 * 2**0.5)],
)
def test_experts_in_use(kind: str, counts: list[float], number: float) -> None:
    """Of counts 1/2, 1/4, 1/4 the entropy is 3/2 bits."""
    found = gradsound.in_use(KINDS[kind](counts))

    assert type(found) is float
    assert found == pytest.approx(number, rel=1e-12)
    assert 1 <= found <= len(counts)


def test_counts_may_be_shares_and_huge() -> None:
    """Only their ratios matter; those of a counter have no zeros, which change nothing."""
    assert gradsound.in_use([0.25, 0.25]) == gradsound.in_use([1e308, 1e308]) == 2
    assert gradsound.in_use(Counter("aabb").values()) == 2
    assert gradsound.in_use(Counter("aabb")) == 2
    assert gradsound.in_use([1, 1e-300]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_choice_is_no_number(kind: str) -> None:
    """A step that chose no expert is no error: its training goes on."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(gradsound.in_use(KINDS[kind]([0, 0])))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1, -2], "a count must be finite and not negative, got -2 of expert 1"),
        ([np.nan, 1], "got nan of expert 0"),
        (torch.tensor([1.0, np.inf]), "got inf of expert 1"),
        ([], "one for each expert, got no count"),
        (torch.zeros(0), "got no count"),
        (5, "got 5"),
        (None, "got None"),
        (torch.tensor(5), "got a single number"),
        (np.ones((2, 3)), r"got the shape \(2, 3\): sum those of several layers, or log"),
        (torch.ones(2, 3), r"got the shape \(2, 3\)"),
        (torch.ones(2, 3), "of indices, count each, as torch.bincount does"),
        ({50, 40}, "got a set, which has equal counts only once"),
        ([torch.tensor(1.0, requires_grad=True)], r"got \[tensor\("),
        (torch.ones(2, 3, device="meta"), r"got the shape \(2, 3\)"),
        ([[1, 2], [3]], r"got \[\[1, 2\], \[3\]\]"),
        ("12", "got other things than numbers"),
        ([1, None], "got other things than numbers"),
        ([1j], "got other things than numbers"),
        (torch.tensor([1j]), "got other things than numbers"),
    ],
    ids=str,
)
def test_other_things_are_refused(counts: object, message: str) -> None:
    """One sentence names the value, and where it is."""
    with pytest.raises(ValueError, match=message):
        gradsound.in_use(counts)


def test_nothing_waits_for_an_accelerator() -> None:
    """A tensor elsewhere gives a tensor there; "meta" has no numbers to wait for."""
    found = gradsound.in_use(torch.ones(4, dtype=torch.int64, device="meta"))

    assert isinstance(found, torch.Tensor)
    assert (found.device.type, found.shape) == ("meta", ())


@pytest.mark.parametrize(
    ("counts", "number"),
    [([4, 0, 0], 1), ([3, 3, 0], 2), ([5] * 6, 6), ([2, 1, 1], 2 * 2**0.5)]
    + [(wrong, np.nan) for wrong in ([0, 0], [1, -2], [-1, -1], [np.nan, 1], [np.inf, 1])],
    ids=str,
)
def test_an_accelerator_has_the_same_number(
    counts: list[float], number: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32, and NaN for what is an error elsewhere."""
    tensor = torch.tensor(counts)
    monkeypatch.setattr(torch.Tensor, "is_cpu", False, raising=False)

    found = gradsound.in_use(tensor)

    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(number, rel=1e-6, nan_ok=True)


def test_a_training_that_logs_it_has_the_alarm(tmp_path: Path) -> None:
    """From the counts of a step to the alarm of a run: one of four experts is chosen."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    path = tmp_path / "run.jsonl"
    with gradsound.attach(model, optimizer, log=path) as attachment:
        for _ in range(40):
            optimizer.zero_grad()
            model(torch.rand(8, 3)).square().mean().backward()
            counts = torch.bincount(torch.zeros(8, dtype=torch.int64), minlength=4)
            attachment.log_values(experts=gradsound.in_use(counts))
            optimizer.step()

    alarms = [a for a in gradsound.read_run(path).alarms() if a.kind == "collapsed"]
    assert alarms == [
        gradsound.Alarm(
            "collapsed", 31, "collapsed: experts at 1, highest 1", persists=True
        )
    ]
