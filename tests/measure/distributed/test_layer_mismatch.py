"""Ranks that attach to different layers: one warning, without a wait."""

import warnings
from collections.abc import Iterator

import pytest
import torch.distributed as dist

from gradsound.errors import GradsoundWarning
from gradsound.measure.distributed import layer_mismatch
from gradsound.measure.distributed.layer_mismatch import warn_of_other_layers


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[dist.Store]:
    """Yields the store of a training whose only rank, this process, did not attach."""
    monkeypatch.setattr(layer_mismatch, "_attached", [])
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.distributed_c10d._get_default_store()
    dist.destroy_process_group()


def test_other_layers_than_those_of_an_earlier_rank_are_a_warning(
    store: dist.Store,
) -> None:
    """It names both ranks; a later attachment of the same process adds none."""
    store.set("gradsound/layers", "3 of-other-layers")
    with pytest.warns(GradsoundWarning, match="rank 0 has other layers than rank 3, and"):
        warn_of_other_layers(["0 4"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_other_layers(["0 4"])


def test_one_rank_of_all_warns(store: dist.Store) -> None:
    """A rank is silent if another one has warned."""
    store.set("gradsound/layers", "3 of-other-layers")
    store.set("gradsound/warned", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_other_layers(["0 4"])


@pytest.mark.usefixtures("store")
def test_equal_layers_are_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second rank has the layers of the first."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_other_layers(["0 4", "1 2"])
        monkeypatch.setattr(layer_mismatch, "_attached", [])
        warn_of_other_layers(["0 4", "1 2"])
