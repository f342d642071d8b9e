"""Names of the step in tables, JSON lines and consoles of other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.runs.value_roles import EPOCH_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

# Of a tracker that counts the calls of its log(), so the step of the trainer wins.
TRAINER_STEPS = ("train/global_step", "trainer/global_step", "global_step")
# Spelled as `normalize_name` returns them. The first of these names that a log has wins. An
# epoch is the step of a log only where nothing finer is in it.
STEP_NAMES = (
    *("global_step", "train/global_step", "trainer/global_step"),
    *("training/global_step", "global_step/max_steps", "global_steps"),
    *("step", "_step", "steps", "train_step", "train_steps", "train/step"),
    *("training_step", "trainer_step", "current_steps", "current_step", "cur_step"),
    *("optimizer_step", "optim_step", "total_iteration", "total_iterations"),
    *("total_iter", "total_iters", "iteration", "iterations", "iter", "iters"),
    *("iter_num", "num_updates", "n_updates", "num_update", "update", "updates"),
    # Trainers of reinforcement learning: Stable-Baselines3, RLlib, CleanRL.
    *("time/total_timesteps", "total_timesteps", "timesteps_total"),
    *("num_env_steps_sampled_lifetime", "timesteps", "timestep", "env_step"),
    *("env_steps", "num_env_steps_sampled", "num_env_steps", "total_env_steps"),
    *("totalenvinteracts", "total_steps", "num_steps", "frames", "frame"),
    *("time/iterations", "training_iteration", "num_timesteps"),
    *("time/episodes", "episodes", "episode"),
    *("batch", "batches", "batch_idx", "minibatch"),
    *EPOCH_NAMES,
)


def normalize_name(name: str) -> str:
    """Returns a name in lower case, with underscores for spaces and hyphens."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def find_step_name(names: Iterable[str], wanted: str | None = None) -> str | None:
    """Returns the name of the step among the names of a log; None if there is none.

    Args:
        names: The names.
        wanted: The name that a user gave, as the log spells it or in another spelling that
            `normalize_name` makes the same. None finds the step by its usual names.
    """
    names = [*names]
    if wanted in names:
        return wanted
    by_normalized = {normalize_name(name): name for name in reversed(names)}
    candidates = STEP_NAMES if wanted is None else (normalize_name(wanted),)
    return next((by_normalized[n] for n in candidates if n in by_normalized), None)
