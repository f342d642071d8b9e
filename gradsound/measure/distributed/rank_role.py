"""What a rank measures, and whether it records that in files of its own.

Shapes: L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.distributed as dist

from gradsound.measure.distributed.layer_mismatch import warn_of_other_layers
from gradsound.measure.distributed.pipeline_stages import stages_by_parameter
from gradsound.measure.distributed.ranks import current_rank, rank_count
from gradsound.measure.distributed.rendezvous import wait_for_ranks
from gradsound.runs.rank_file_names import rank_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gradsound.measure.layers import Layer


@dataclass(frozen=True, slots=True)
class RankRole:
    """What this rank measures and records.

    Attributes:
        rank: Number of this rank.
        layers: The layers to measure, length L.
        records: Whether this rank records.
        peers: The ranks that record together with this one, each in files of its own; empty
            if rank 0 alone records.
        local: Whether to measure this rank's gradients before they are reduced.
        stages: The pipeline stage of each layer, length L; empty without a pipeline.
        partial: Whether the model has layers besides, which are stages of other ranks.
    """

    rank: int
    layers: tuple[Layer, ...]
    records: bool
    peers: tuple[int, ...] = ()
    local: bool = False
    stages: tuple[int, ...] = ()
    partial: bool = False

    def file(self, path: str | Path | None) -> str | Path | None:
        """Returns the path of this rank's own file, if each rank has one."""
        if path is None or not self.peers:
            return path
        return rank_path(Path(path), self.rank)

    def patterns(self, patterns: Iterable[str] | None) -> Iterable[str] | None:
        """Returns globs that select the layers; in a pipeline, no layer of another rank."""
        return [escape(layer.name) for layer in self.layers] if self.partial else patterns

    def wait_for_others(self) -> Any:
        """Waits until all ranks of a sharded model attach.

        Returns:
            The process group of the ranks with the same layers; None if these are all.

        Raises:
            RuntimeError: As `wait_for_ranks`.
        """
        names = ", ".join(layer.name for layer in self.layers)
        stages = " ".join(map(str, sorted({*self.stages})))
        parts = wait_for_ranks("attach()", names, part=stages)
        if len(parts) == 1:
            return None
        group, _ = dist.new_subgroups_by_enumeration(parts)  # type: ignore[no-untyped-call]
        return group


def find_role(
    layers: tuple[Layer, ...], *, each: bool, stage: int | None = None
) -> RankRole:
    """Returns the role of this rank.

    In a pipeline, each rank has layers of its own, and each stage is recorded once: by the
    ranks of the pipeline to which rank 0 belongs.

    Args:
        layers: The layers that the model has on this rank.
        each: Whether the user asks for the gradients of each rank's own batch.
        stage: The stage that the layers are, if the user tells it.
    """
    count, rank = rank_count(), current_rank()
    if count == 1:
        return RankRole(rank, layers, records=True)
    if (role := _find_stages(rank, layers)) is not None:
        return role
    everyone = tuple(range(count))
    if stage is not None:
        holders = [one for layer in layers for one in _ranks_of_shards(layer)]
        return RankRole(
            rank,
            layers,
            records=rank == min(holders, default=rank),
            peers=everyone,
            stages=(stage,) * len(layers),
        )
    if each:
        return RankRole(rank, layers, records=True, peers=everyone, local=True)
    if not any(layer.sharded for layer in layers):
        warn_of_other_layers([f"{one.name} {one.trainable_size}" for one in layers])
    return RankRole(rank, layers, records=rank == 0)


def _ranks_of_shards(layer: Layer) -> list[int]:
    """Returns the ranks that have a part of a layer; empty if it is whole."""
    meshes = [p.device_mesh.mesh for p in layer.parameters if hasattr(p, "device_mesh")]
    return [int(rank) for mesh in meshes for rank in mesh.flatten()]


def _find_stages(rank: int, layers: Sequence[Layer]) -> RankRole | None:
    """Returns the role of this rank in a pipeline; None if its layers are no stages.

    Layers outside of the stages are left out: they are stages of other ranks.
    """
    stage_of = stages_by_parameter()
    found = [
        (
            layer,
            next((stage_of[id(p)] for p in layer.parameters if id(p) in stage_of), None),
        )
        for layer in layers
    ]
    own = [(layer, stage) for layer, stage in found if stage is not None]
    if not own:
        return None
    group = own[0][1].group
    ranks = dist.get_process_group_ranks(dist.group.WORLD if group is None else group)
    if len(ranks) == 1:
        return None
    return RankRole(
        rank,
        layers=tuple(layer for layer, _ in own),
        records=0 in ranks,
        peers=tuple(ranks),
        stages=tuple(stage.stage_index for _, stage in own),
        partial=len(own) < len(layers),
    )
