"""The running training, in its own process: records it, and ends that again."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import distributed
from torch.optim import Optimizer

from gradsound.attachment import is_attached
from gradsound.measure.distributed.pipeline_stages import stages_by_parameter
from gradsound.measure.layers import is_sharded
from gradsound.measure.live_objects import find_objects
from gradsound.remote.common_step import CommonStep
from gradsound.remote.safe_point import is_safe_point
from gradsound.script.found_run import parameters_of
from gradsound.script.found_trainings import FoundTrainings, active_trainings
from gradsound.script.run_options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[str, str], None]


def obey(order: str, tell: Tell) -> None:
    """Does what a command orders.

    Args:
        order: The file of the order.
        tell: Gets the kind of a message and its text, also after this has returned.
    """
    if not is_safe_point():
        tell("wait", "hook")
        return
    data = json.loads(Path(order).read_text())
    if data["action"] == "attach":
        _attach(data, tell)
    elif data["action"] == "detach":
        _detach(data, tell)
    else:
        _withdraw(tell)


def _attach(data: dict[str, Any], tell: Tell) -> None:
    """Begins to look for the steps of all optimizers."""
    if (active := active_trainings()) is not None:
        tell("error", f"{_describe(active)}; end that with gradsound detach {os.getpid()}")
        return
    optimizers = _find_optimizers()
    if not optimizers:
        tell("wait", "optimizer")
        return
    names = ", ".join(dict.fromkeys(type(one).__name__ for one in optimizers))
    if all(is_attached(one) for one in optimizers):
        tell("error", f"the script records its {names} itself, with gradsound.attach")
        return
    parameters = [p for one in optimizers for p in parameters_of(one)]
    sharded = any(map(is_sharded, parameters))
    stages = stages_by_parameter()
    if any(id(parameter) in stages for parameter in parameters):
        tell(
            "error",
            "it has a stage of a pipeline, whose ranks cannot begin at one step later: "
            "call gradsound.attach in the script, or start it with gradsound run",
        )
        return
    if answer := _rank_answer(data["workers"], sharded=sharded):
        tell(*answer)
        return
    trainings = FoundTrainings(RunOptions.from_data(data["options"]), optimizers, tell)
    if sharded:
        common = CommonStep(data["name"])

        def before() -> bool:
            if not common.has_come():
                return False
            trainings.before = None
            return True

        trainings.before = before
        if distributed.get_rank():
            tell("idle", "it measures its part for rank 0")
            return
    tell("found", names)


def _rank_answer(workers: int, *, sharded: bool) -> tuple[str, str] | None:
    """Returns the kind and the text of a message, if this rank does not attach.

    Args:
        workers: How many processes a user attaches to at once; 0 for one process.
        sharded: Whether each rank has a part of the gradients.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    rank, size = distributed.get_rank(), distributed.get_world_size()
    if sharded and workers != size:
        return "error", (
            f"each of {size} processes has a part of the model: attach to all, with --all "
            "and the number of the launcher, which must run on this machine"
        )
    if rank and not workers:
        return "error", (
            f"it is rank {rank}, and rank 0 records: attach to that one, or to all workers "
            "of a launcher with --all"
        )
    if rank and not sharded:
        return "idle", f"rank {rank} leaves the recording to rank 0"
    return None


def _detach(data: dict[str, Any], tell: Tell) -> None:
    """Removes all hooks, and finishes the files while the training goes on."""
    if (active := active_trainings()) is None:
        if data["workers"]:  # of the other ranks, only rank 0 records
            tell("idle", "nothing of gradsound is here")
        else:
            tell("error", "gradsound neither attached to it nor runs it")
    elif not any(run.sharded for run in active.runs if not run.closed):
        active.end()
        _end_runs(active, tell)
    else:
        common = CommonStep(data["name"])

        def before() -> bool:
            if not common.has_come():
                return True
            active.before = _never
            _end_runs(active, tell)
            return False

        active.before = before
        tell("accepted", "")


def _end_runs(active: FoundTrainings, tell: Tell) -> None:
    files = ", ".join(str(run.file) for run in active.runs if not run.closed)
    finishes = [run.leave() for run in active.runs]

    def finish() -> None:
        for one in finishes:
            one()
        tell("done", files)

    # A sound file may need seconds, for which a training must not wait.
    threading.Thread(target=finish, name="gradsound").start()


def _never() -> bool:
    return False


def _withdraw(tell: Tell) -> None:
    """Removes hooks without a run."""
    active = active_trainings()
    if active is not None and all(run.closed for run in active.runs):
        active.end()
    tell("done", "")


def _describe(active: FoundTrainings) -> str:
    files = ", ".join(str(run.file) for run in active.runs if not run.closed)
    return f"recorded already, in {files}" if files else "attached already"


def _find_optimizers() -> list[Optimizer]:
    """Returns the complete optimizers of this process, without a call of their own code."""
    found = [one for one in find_objects(Optimizer) if "param_groups" in vars(one)]
    return [one for one in found if parameters_of(one)]
