"""One rank: its number, the name of its training, its part of a sharded model."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from gradsound.measure.distributed.ranks import current_rank, rank_count, training_name
from gradsound.measure.distributed.sharded_norms import ShardedNorms
from gradsound.measure.norms.snapshot import NormSnapshot


@contextmanager
def process_group() -> Iterator[None]:
    """Makes this process the only rank of a training."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_training_has_a_name_of_its_own() -> None:
    """All ranks get one text, which no other training has; without a group, it is empty."""
    names = []
    for _ in range(2):
        assert training_name() == ""
        with process_group():
            names.append(training_name())
            assert training_name() == names[-1]
    assert names[0] != names[1]
    assert [len(bytes.fromhex(name)) for name in names] == [8, 8]


def test_a_process_alone_is_rank_0_of_1() -> None:
    """So it is with a process group and without."""
    assert (current_rank(), rank_count()) == (0, 1)
    with process_group():
        assert (current_rank(), rank_count()) == (0, 1)


def test_norms_of_host_and_accelerator_are_added_up() -> None:
    """Each step is one vector of squares; a rank that could not measure fails all."""
    snapshot = NormSnapshot(
        np.array([False, False, True]),
        rows=None,
        row=0,
        order=np.array([0]),
        values=[3.0],
        vectors=[torch.tensor([0.0, 4.0, 0.0])],
    )
    first = np.array([0, 2])
    with process_group():
        norms = ShardedNorms()
        norms.update_parameters([nn.Parameter(torch.ones(1)) for _ in range(3)])
        for _ in range(2):
            values, absent = norms.reduce(snapshot, first).values()
            assert (values.tolist(), absent.tolist()) == ([5, 0], [False, True])
        with pytest.raises(RuntimeError, match=r"^1 of the ranks could not"):
            norms.reduce(None, first).values()
