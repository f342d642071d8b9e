"""The warning that ranks of one training have attached to different layers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.measure.distributed.ranks import current_rank, share

if TYPE_CHECKING:
    from collections.abc import Sequence

_attached: list[bool] = []  # not empty after the first attachment of this process


def warn_of_other_layers(layers: Sequence[str]) -> None:
    """Warns if an earlier rank attached to other layers: rank 0 alone records.

    Of each process, the first attachment alone counts: later ones may be of some ranks.

    Args:
        layers: What ranks that train the same model have in common.
    """
    if _attached:
        return
    _attached.append(True)
    rank = current_rank()
    digest = hashlib.sha256("\n".join(layers).encode()).hexdigest()
    other, _, its = share("layers", f"{rank} {digest}").partition(" ")
    if its not in ("", digest) and share("warned", str(rank)) == str(rank):
        warn(
            f"rank {rank} has other layers than rank {other}, and rank 0 alone records: in "
            "a pipeline that you wrote yourself, give stage= to attach() on every rank"
        )
