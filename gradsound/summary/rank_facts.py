"""Which ranks of a training deviated, were late or stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradsound.name_matching import format_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.alarms.thresholds import Alarm


@dataclass(frozen=True, slots=True)
class RankFacts:
    """The ranks that had alarms, by name, in the order of the ranks.

    Attributes:
        count: How many ranks there are.
        deviating: Ranks whose norm was far from that of the others.
        late: Ranks for which the others waited.
        stopped: Ranks that made no step while others went on.

    Example:
        >>> import gradsound
        >>> facts = gradsound.RankFacts(8, ("rank 5",), ("rank 3",), ())
        >>> print(facts)
        8: rank 5 deviates; rank 3 is late
    """

    count: int
    deviating: tuple[str, ...]
    late: tuple[str, ...]
    stopped: tuple[str, ...]

    def __str__(self) -> str:
        parts = [
            f"{format_names(ranks, 'ranks')} {verb if len(ranks) == 1 else verbs}"
            for ranks, verb, verbs in (
                (self.deviating, "deviates", "deviate"),
                (self.late, "is late", "are late"),
                (self.stopped, "has stopped", "have stopped"),
            )
            if ranks
        ]
        return f"{self.count:,}: {'; '.join(parts) or 'none deviates'}"


def find_rank_facts(ranks: Sequence[str], alarms: Sequence[Alarm]) -> RankFacts:
    """Returns the facts of ranks, from the alarms of their run."""
    found = {
        kind: {name for one in alarms if one.kind == kind for name in one.layers}
        for kind in ("rank", "straggler", "dead")
    }
    ordered = [tuple(name for name in ranks if name in of) for of in found.values()]
    return RankFacts(len(ranks), *ordered)
